"""What callers receive about pushes, pulls and attention checks: frozen, typed, free of SQLAlchemy."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from db.records import Box
from db.records.runs import run_name


class SyncKind(StrEnum):
    """Direction of a sync."""

    PUSH = "push"
    PULL = "pull"


class SyncStatus(StrEnum):
    """State of a sync."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    """It ended with an error; the next sync of its kind resumes it."""
    REPLACED = "replaced"
    """It was interrupted, and a new plan has replaced it."""


class StepAction(StrEnum):
    """What a step does."""

    CREATE = "create"
    UPDATE = "update"
    GONE = "gone"
    CONFLICT = "conflict"


class StepState(StrEnum):
    """State of a step."""

    PLANNED = "planned"
    SENT = "sent"
    """A request was sent and its response not yet recorded: its outcome has to be looked up."""
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class SyncStep:
    """One thing that a sync does."""

    action: StepAction
    image_id: int | None = None
    task_id: int | None = None
    annotation_id: int | None = None
    proposal_id: int | None = None
    control: bool = False
    annotators: int = 1
    round: int = 1
    """Of the image's tasks in the project, the one that it is about."""
    address: str | None = None
    detail: str | None = None
    state: StepState = StepState.PLANNED
    ordinal: int = 0
    """Its number in the sync, given when it is stored."""


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """One push or pull."""

    id: int
    connection_id: int
    kind: SyncKind
    status: SyncStatus
    owner: str
    options: dict[str, Any]
    counts: dict[str, Any]
    mark: dict[str, Any]
    detail: str | None
    created_at: datetime
    touched_at: datetime
    finished_at: datetime | None
    silent_s: float = 0.0
    """How long ago it was touched when this was read, by the clock that it was written by; see db/queries/clock.py."""


@dataclass(frozen=True, slots=True)
class AttentionCheck:
    """An attention check: a proposal known to be wrong, planted in a project."""

    image_id: int
    run_id: int
    score: float
    boxes: tuple[Box, ...]
    truth: tuple[Box, ...]
    id: int = 0

    @property
    def run_name(self) -> str:
        """Public name of the run under which it is shown."""
        return run_name(self.run_id)


@dataclass(frozen=True, slots=True)
class AttentionResponse:
    """A person's response to an attention check."""

    check_id: int
    external_id: int
    external_version: str
    reviewer: str
    missed: bool
    """The wrong proposal was accepted: the person's location covers the same place."""
    truth_iou: float
    seconds: float | None = None
    payload: dict[str, Any] = field(default_factory=dict)
