"""Location labels: what is known about where something is in an image, and who said it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db.imaging.boxes import Box


class LocationStatus(StrEnum):
    """What is known about where something is in an image."""

    PRESENT = "present"
    """At least one box is known."""
    EMPTY = "empty"
    """It is known that there is no lesion."""
    UNKNOWN = "unknown"
    """Nothing has been stated, or the statement was withdrawn."""


class LocationSource(StrEnum):
    """Where a location label comes from."""

    IMPORTED = "imported"
    DRAWN = "drawn"
    """Drawn by a person from scratch, or declared empty by one."""
    ACCEPTED = "accepted"
    """A proposal that a person accepted unchanged."""
    EDITED = "edited"
    """A proposal that a person corrected."""
    WITHDRAWN = "withdrawn"
    """The reviewer has withdrawn it (status `unknown`)."""


@dataclass(frozen=True, slots=True)
class Location:
    """A statement about where something is: what importers and reviewers produce.

    `mask_png` is a 1-bit PNG of the image's upright size, or None where only boxes are known.
    """

    status: LocationStatus
    boxes: tuple[Box, ...] = ()
    mask_png: bytes | None = None

    def __post_init__(self) -> None:
        if (self.status is LocationStatus.PRESENT) != bool(self.boxes):
            raise ValueError("a present location has at least one box, any other has none")
        if self.mask_png is not None and not self.boxes:
            raise ValueError("only a present location has a mask")


@dataclass(frozen=True, slots=True)
class NewLabel:
    """A statement about where something is in an image.

    All but imported labels need `review_id`; a person's decision about a proposal names its run. `on_test` confirms
    that changing a test image is intended; without it the registry refuses.
    """

    image_id: int
    location: Location
    source: LocationSource
    reviewer: str | None = None
    review_id: int | None = None
    run_id: int | None = None
    on_test: bool = False
    origin: str | None = None
    retraction_id: int | None = None
    restores_id: int | None = None
    mask_hash: str | None = None
    """Of a mask that is stored already; otherwise `location.mask_png` is stored."""


@dataclass(frozen=True, slots=True)
class LocationLabel:
    """A location label of an image, with its origin."""

    id: int
    image_id: int
    revision: int
    status: LocationStatus
    boxes: tuple[Box, ...]
    has_mask: bool
    source: LocationSource
    reviewer: str | None
    run_id: int | None
    created_at: datetime
    origin: str | None = None
    review_id: int | None = None
    retraction_id: int | None = None
    restores_id: int | None = None

    @property
    def statement_id(self) -> int:
        """Id of the label that first stated this; a label restored by a retraction repeats an earlier one."""
        return self.restores_id or self.id
