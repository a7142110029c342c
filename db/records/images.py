"""Images with their class, split and current location."""

from dataclasses import dataclass
from enum import StrEnum

from db.errors import InvalidArgument
from db.imaging.boxes import Box
from db.imaging.files import ImageFile
from db.records.labels import Location, LocationLabel, LocationStatus


class Supervision(StrEnum):
    """How much is known about an image."""

    FULLY = "fully"
    PARTLY = "partly"
    UNLABELED = "unlabeled"


class Split(StrEnum):
    """Which part of the data an image belongs to; a test image is never trained on."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


OUTSIDE_TEST: tuple[Split | None, ...] = (Split.TRAIN, Split.VAL, None)
"""Splits that a training may see, and whose images people are asked about."""
PROPOSED_FOR: tuple[Split | None, ...] = (Split.TRAIN, None)
"""Splits whose images get proposals. People review validation images without one, since these judge the proposals."""


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image as an importer found it."""

    path: ImageFile
    content_hash: str
    width: int
    height: int
    class_name: str | None = None
    group: str | None = None
    split: Split | None = None
    location: Location | None = None
    """None where nothing is known."""
    thumbnail: bytes | None = None
    """32 x 32 grey values, what near-duplicates are found by."""
    origin: str | None = None
    """Who or what says all this, in words."""
    operation_id: int | None = None
    """The import that registers it."""
    remark: str | None = None
    """What somebody should know about how the file was read."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One registered image with its current labels."""

    id: int
    path: ImageFile
    content_hash: str
    width: int
    height: int
    class_name: str | None
    group: str | None
    split: Split | None
    label: LocationLabel | None = None
    removed: bool = False
    """Taken out of the data set; only its history and snapshots from before still show it."""

    @property
    def key(self) -> str:
        """The name by which other systems know this image; stable across moves of the file."""
        return f"{self.id}-{self.content_hash.removeprefix('sha256:')[:16]}"

    @property
    def location_status(self) -> LocationStatus:
        """Present, known to be empty, or unknown."""
        return self.label.status if self.label else LocationStatus.UNKNOWN

    @property
    def is_located(self) -> bool:
        """Say whether its location is known; one that is known to be empty is."""
        return self.location_status is not LocationStatus.UNKNOWN

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The known boxes, empty where the location is empty or unknown."""
        return self.label.boxes if self.label else ()

    @property
    def supervision(self) -> Supervision:
        """How much is known of this image."""
        if self.class_name is None:
            return Supervision.UNLABELED
        return Supervision.PARTLY if self.location_status is LocationStatus.UNKNOWN else Supervision.FULLY


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images are listed: those to which everything applies that is given."""

    class_name: str | None = None
    """Of this class; empty: of none."""
    split: str | None = None
    """train, val, test, or none."""
    supervision: Supervision | None = None
    located: bool | None = None
    """Whether the location is known; one that is known to be empty is."""
    proposed: bool | None = None
    """Whether a proposal waits for review."""
    run: str | None = None
    """Run that the proposal comes from."""
    min_score: float | None = None
    """The proposal's score, at least."""
    max_score: float | None = None
    """The proposal's score, at most."""
    reviewer: str | None = None
    """Who said what holds now."""
    name: str | None = None
    """A part of its path below the project folder, or of its URI; capital letters do not matter."""
    look_alikes: bool = False
    """Only images that have near-duplicates."""
    limit: int | None = None
    """At most so many."""

    def __post_init__(self) -> None:
        if self.split not in (None, "none", *Split):
            raise InvalidArgument(f"--split must be {', '.join(Split)} or none, got {self.split!r}")
        if self.name is not None and "\0" in self.name:
            raise InvalidArgument("a name cannot contain NUL")
        if self.limit is not None and self.limit < 1:
            raise InvalidArgument(f"--limit must be at least 1, got {self.limit}")

    @property
    def asks_for_proposal(self) -> bool:
        """Say whether only images with a proposal can be listed."""
        return bool(self.proposed) or any(value is not None for value in (self.run, self.min_score, self.max_score))
