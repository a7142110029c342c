"""What callers receive from the registry and hand to it: frozen, typed, free of SQLAlchemy.

Coordinates are pixels of the displayed (EXIF-upright) image: x, y, width, height, floats, top-left origin.
A location that is *known to be empty* and one that is *not known* are never the same value: see `LocationStatus`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from db.imaging.files import ImageFile


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


class Supervision(StrEnum):
    """How much is known of an image."""

    FULLY = "fully"
    PARTLY = "partly"
    UNLABELED = "unlabeled"


class Split(StrEnum):
    """Which part of the data an image belongs to; a test image is never trained on."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class RunStatus(StrEnum):
    """State of a training."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class ReviewOutcome(StrEnum):
    """What a person did with an image that was sent to them."""

    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"
    DRAWN = "drawn"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel rectangle in pixels of the upright image, top-left origin."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height


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
    remark: str | None = None
    """What somebody should know about how the file was read."""


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

    @property
    def key(self) -> str:
        """The name by which other systems know this image; stable across moves of the file."""
        return f"{self.id}-{self.content_hash.removeprefix('sha256:')[:16]}"

    @property
    def location_status(self) -> LocationStatus:
        """Present, known to be empty, or unknown."""
        return self.label.status if self.label else LocationStatus.UNKNOWN

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
class RunRecord:
    """One training."""

    id: int
    preset: str
    status: RunStatus
    config: dict[str, Any]
    snapshot: str
    checkpoint: Path | None
    metrics: dict[str, Any]
    created_at: datetime
    finished_at: datetime | None

    @property
    def name(self) -> str:
        """The run's public name, also the model version in Label Studio."""
        return f"run-{self.id}"


@dataclass(frozen=True, slots=True)
class NewProposal:
    """A location that a run suggests for an image."""

    image_id: int
    class_name: str
    class_probability: float
    score: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A stored proposal. `outcome` is None while nobody has reviewed it."""

    id: int
    image_id: int
    run_id: int
    class_name: str
    class_probability: float
    score: float
    tau: float
    gate: str
    boxes: tuple[Box, ...]
    outcome: ReviewOutcome | None = None
    created_at: datetime | None = None

    @property
    def run_name(self) -> str:
        """Public name of the run it comes from."""
        return f"run-{self.run_id}"


@dataclass(frozen=True, slots=True)
class NewReview:
    """What a person said about an image, as read from Label Studio.

    `external_version` changes when the annotation is edited over there; the same id and version is never stored
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
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """The newest version of what a person said in one annotation."""

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

    @property
    def run_name(self) -> str | None:
        """Public name of the run whose proposal was reviewed."""
        return f"run-{self.run_id}" if self.run_id is not None else None


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
    """The proposal was held back on purpose, to see what people draw without it."""
    readers: int = 1
    """How many people are to look at it."""


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
    kind: str
    """registered, changed, proposed, reviewed, located."""
    by: str | None
    """The person, program or file it comes from."""
    detail: str
    run: str | None = None
    tau: float | None = None
    score: float | None = None
    iou: float | None = None


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """Counts over the whole registry, as `partly status` prints them."""

    images: dict[str, int]
    locations: dict[str, int]
    classes: dict[str, int]
    splits: dict[str, int]
    proposals: dict[str, int]
    runs: dict[str, int]
