"""Snapshots, retractions, operations that can be undone, and the events of an image's history."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db.records.images import Split


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
    """One event in the history of an image."""

    at: datetime
    what: str
    """registered, changed, removed, put back, proposed, reviewed, classed, located, retracted, restored."""
    by: str | None
    """The person, program or file it comes from."""
    detail: str
    run: str | None = None
    tau: float | None = None
    score: float | None = None
    iou: float | None = None


class OperationKind(StrEnum):
    """What can be undone as a whole."""

    IMPORT = "import"
    PULL = "pull"
    SPLIT = "split"
    REMOVE = "remove"
    SET = "set"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """An import, a pull, a split, a manual change, or the undo of one."""

    id: int
    kind: OperationKind
    detail: str
    author: str
    created_at: datetime
    undone: bool
    undoes_id: int | None = None
    retraction_id: int | None = None
    """The retraction by which an undo retracted labels, or the undo of that retraction."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an operation can change of an image besides its location."""

    class_name: str | None
    group: str | None
    split: Split | None
    removed: bool


@dataclass(frozen=True, slots=True)
class ImageChange:
    """What an operation made of an image, and what has become of it since."""

    image_id: int
    before: ImageFacts | None
    """None where the operation registered it."""
    after: ImageFacts
    now: ImageFacts
