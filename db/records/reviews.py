"""Reviews: what annotators did with the images that were pushed."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from db.records.class_labels import ClassSource
from db.records.labels import Location
from db.records.runs import run_name

WRONG_CLASS = "wrong class"
"""What a reviewer chooses where the class of the image is to be corrected; kept in the review's payload."""


class ReviewOutcome(StrEnum):
    """What a person did with an image that was sent to them."""

    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"
    DRAWN = "drawn"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class NewReview:
    """What a person said about an image, as read from Label Studio.

    `external_version` changes when the annotation is edited in Label Studio; the same id and version is never stored
    twice. `location` is None where the review says nothing about the location (a rejected proposal).
    """

    image_id: int
    outcome: ReviewOutcome
    reviewer: str
    external_id: int
    external_version: str
    proposal_id: int | None = None
    iou: float | None = None
    seconds: float | None = None
    location: Location | None = None
    class_name: str | None = None
    """The class that the person stated, None where none was."""
    class_source: ClassSource | None = None
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """The newest version of one annotation, as a review."""

    id: int
    image_id: int
    outcome: ReviewOutcome
    reviewer: str
    seconds: float | None
    iou: float | None
    """With the proposal it began from, None where there was none."""
    score: float | None
    """Of that proposal."""
    run_id: int | None
    created_at: datetime
    of_nothing: bool = False
    """That proposal was that there is nothing to find."""

    @property
    def run_name(self) -> str | None:
        """Public name of the run whose proposal was reviewed."""
        return run_name(self.run_id) if self.run_id is not None else None
