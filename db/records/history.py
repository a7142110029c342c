"""History: snapshots, retractions and the events of an image."""

from dataclasses import dataclass
from datetime import datetime

from db.records.runs import run_name


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
    """Labels retracted together; `undone` if the retraction itself was undone."""

    id: int
    run_id: int | None
    reviewer: str | None
    since: datetime | None
    author: str
    created_at: datetime
    labels: int
    undone: bool

    @property
    def run_name(self) -> str | None:
        """Public name of the run whose labels were retracted, None where the retraction names no run."""
        return run_name(self.run_id) if self.run_id is not None else None


@dataclass(frozen=True, slots=True)
class Event:
    """One event in the history of an image."""

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
