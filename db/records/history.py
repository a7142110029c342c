"""Snapshots, retractions, and the events of an image's history."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """A state of the registry that can be read again later."""

    id: int
    hash: str
    position: int
    """Number of the last change that it includes."""
    num_images: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RetractionRecord:
    """Labels taken back together; `undone` once that was itself taken back."""

    id: int
    run_id: int | None
    reviewer: str | None
    since: datetime | None
    author: str
    created_at: datetime
    labels: int
    undone: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was said or done about an image."""

    at: datetime
    what: str
    """registered, changed, proposed, reviewed, located."""
    by: str | None
    """The person, program or file it comes from."""
    detail: str
    run: str | None = None
    tau: float | None = None
    score: float | None = None
    iou: float | None = None
