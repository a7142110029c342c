"""Connections: the Label Studio projects that a registry syncs with, and their tasks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """A Label Studio project that this registry syncs with. The token is never stored."""

    id: int
    url: str
    project_id: int
    media: str


@dataclass(frozen=True, slots=True)
class TaskLink:
    """An image's task in a Label Studio project, and the proposal last sent with it."""

    image_id: int
    task_id: int
    proposal_id: int | None
    control: bool = False
    """The proposal was deliberately not sent, to measure what people draw without it."""
    readers: int = 1
    """Number of annotators the task is meant for."""
