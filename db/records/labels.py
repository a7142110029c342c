"""Locations: what is known about where something is, who or what says so, and the label that holds."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db.imaging.boxes import Box


class LocationStatus(StrEnum):
    """What is known about where something is in an image."""

    PRESENT = "present"
    """At least one box is known."""
    EMPTY = "empty"
    """It is known that there is nothing to find."""
    UNKNOWN = "unknown"
    """Nobody has said anything, or what was said has been withdrawn."""


class LocationSource(StrEnum):
    """Who or what a location label comes from."""

    IMPORTED = "imported"
    DRAWN = "drawn"
    """Drawn by a person from scratch, or declared empty by one."""
    ACCEPTED = "accepted"
    """A proposal that a person left as it was."""
    EDITED = "edited"
    """A proposal that a person corrected."""
    WITHDRAWN = "withdrawn"
    """The person who said it has taken it back (status `unknown`)."""


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

    All but imported labels need `review_id`; a person's decision about a proposal names its run. `on_test` says that
    changing what is known of a test image is meant; without it the registry refuses.
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
    operation_id: int | None = None
    """The import or pull that stores it, so that it can be undone with it."""


@dataclass(frozen=True, slots=True)
class LocationLabel:
    """The location label that holds for an image, with where it comes from."""

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
        """The label in which this was first said; a label that a retraction made hold again repeats an earlier one."""
        return self.restores_id or self.id
