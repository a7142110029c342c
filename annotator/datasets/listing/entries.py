"""What every reader of a layout returns: entries to register, files refused with the reason, and warnings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from db.imaging.files import ImageFile
from db.records import Box, Split


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where something is in an image of known size, as a data set draws it."""

    boxes: tuple[Box, ...] = ()
    mask_HW: NDArray[np.bool_] | None = None


class BadEntry(Exception):
    """An image whose description cannot be used; the message is the reason."""


class Part(StrEnum):
    """What a data set consists of."""

    IMAGES = "images"
    LABELS = "labels"
    """Files, rows or annotations that say what is in an image."""
    MASKS = "masks"
    """Mask files, and outlines in annotations."""
    SPLITS = "splits"
    """Statements that an image is for training, validation or test."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of each part there are."""

    images: int = 0
    labels: int = 0
    masks: int = 0
    splits: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Add part by part."""
        return Counts(
            self.images + other.images,
            self.labels + other.labels,
            self.masks + other.masks,
            self.splits + other.splits,
        )

    def without(self, other: "Counts") -> "Counts":
        """Subtract part by part."""
        return Counts(
            self.images - other.images,
            self.labels - other.labels,
            self.masks - other.masks,
            self.splits - other.splits,
        )


NOTHING = Counts()


def total(counted: Iterable[Counts]) -> Counts:
    """Add many up."""
    images = labels = masks = splits = 0
    for item in counted:
        images, labels = images + item.images, labels + item.labels
        masks, splits = masks + item.masks, splits + item.splits
    return Counts(images, labels, masks, splits)


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as a data set names it, not yet opened."""

    name: str
    """The image as the data set names it, relative to its folder."""
    path: ImageFile
    class_name: str | None = None
    group: str | None = None
    split: Split | None = None
    mask_paths: tuple[ImageFile, ...] = ()
    """Mask files; several are united."""
    boxes: tuple[Box, ...] = ()
    is_empty: bool = False
    """The data set says that there is nothing to find."""
    draw: Callable[[int, int], Drawing] | None = None
    """For data sets that draw relative to the image or as polygons: (width, height) -> drawing, or BadEntry."""
    labels: int = 0
    """Files, rows or annotations that this comes from."""
    masks: int = 0
    """Mask files and outlines that are used."""
    splits: int | None = None
    """Statements about its split; None for one if there is a split."""
    must_agree: bool = False
    """Its boxes and its mask are said apart from each other, and must be of the same place."""

    @property
    def counts(self) -> Counts:
        """What of the data set is used with this image."""
        splits = int(self.split is not None) if self.splits is None else self.splits
        return Counts(1, self.labels, self.masks, splits)

    @property
    def has_location(self) -> bool:
        """Say whether the data set claims to know the location; a mask may still turn out to be empty."""
        return self.is_empty or bool(self.mask_paths) or bool(self.boxes) or self.draw is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or row that cannot be registered, and why."""

    file: str
    reason: str
    counts: Counts = Counts(images=1)
    """What of the data set goes unused with it."""


@dataclass(frozen=True, slots=True)
class Unused:
    """Something in a data set that was not used, though no image was refused because of it."""

    part: Part
    name: str
    """The file, or the place in a file."""
    reason: str
    count: int = 1

    @property
    def counts(self) -> Counts:
        """It, as counts of all parts."""
        return Counts(**{self.part.value: self.count})


OWN_FILES = frozenset({"partly-export.json", "images.csv", "notes.json"})
"""What exports of partly and Label Studio hold beside the format's own files."""


@dataclass(slots=True)
class Listing:
    """What a data set holds. What its entries, its refusals and what is unused count is what was there."""

    entries: list[Entry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """What speaks against reading it so; an import of it has to be forced."""
    there: Counts = Counts()
    """How many of each part there are, counted before anything is read."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """What befell images that are used all the same, as name and remark; grows while they are drawn, in any order."""

    def refuse(self, name: str, reason: object, counts: Counts = Counts(images=1)) -> None:
        """Note an image that cannot be used.

        Args:
            name: of the image.
            reason: in words, or what was raised: a BadEntry says why, anything else was not foreseen.
            counts: what of the data set goes unused with it.
        """
        foreseen = not isinstance(reason, Exception) or isinstance(reason, BadEntry)
        self.refusals.append(Refusal(name, str(reason) if foreseen else unexpected(reason), counts))

    def leave(self, part: Part, name: str, reason: str, count: int = 1) -> None:
        """Note something that is not used."""
        if count:
            self.unused.append(Unused(part, name, reason, count))

    def note(self, name: str, remark: str) -> None:
        """Note what befell an image that is used all the same; also while it is drawn, from whatever thread."""
        self.notes.append((name, remark))

    def leave_foreign(self, names: Iterable[str]) -> None:
        """Note files that look like labels of another format than the one that is read."""
        foreign = [name for name in names if name.rpartition("/")[2] not in OWN_FILES]
        self.found(Counts(labels=len(foreign)))
        for name in foreign:
            self.leave(Part.LABELS, name, "it is in another format; it was not used")

    def found(self, counts: Counts) -> None:
        """Note that more is there."""
        self.there = self.there + counts

    def remarks(self) -> list[str]:
        """Return what somebody should know: the warnings, and what was not used and why."""
        return [*self.warnings, *unused_in_words(self.unused), *self.notes_in_words()]

    def notes_in_words(self) -> list[str]:
        """Say what befell images, whatever their order, many of the same kind in one sentence."""
        return unused_in_words(Unused(Part.IMAGES, name, remark) for name, remark in sorted(set(self.notes)))


def refuse_shared_files(listing: Listing) -> None:
    """Refuse entries that are about one file: it is unclear which of them holds."""
    owners: dict[ImageFile, list[Entry]] = {}
    for entry in listing.entries:
        owners.setdefault(entry.path, []).append(entry)
    for file, entries in owners.items():
        for entry in entries if len(entries) > 1 else ():
            said = " and ".join(dict.fromkeys(other.name for other in entries))
            listing.refuse(
                entry.name, f"it is listed {len(entries)} times as {file.name} ({said}); keep one", entry.counts
            )
    listing.entries = [entry for entry in listing.entries if len(owners[entry.path]) == 1]


NAMED = 3
"""How many things of which the same is to be said are named."""


def unused_in_words(unused: Iterable[Unused]) -> list[str]:
    """Say what was not used, many of the same kind in one sentence."""
    kinds: dict[tuple[Part, str], list[Unused]] = {}
    for item in unused:
        kinds.setdefault((item.part, item.reason), []).append(item)
    return [sentence for (part, reason), items in kinds.items() for sentence in _in_words(part, reason, items)]


def _in_words(part: Part, reason: str, items: list[Unused]) -> list[str]:
    if len(items) <= NAMED:
        return [f"{item.name}: {reason}" + (f" ({item.count} {part})" if item.count > 1 else "") for item in items]
    named = ", ".join(item.name for item in items[:NAMED])
    return [f"{sum(item.count for item in items)} {part}, such as {named}: {reason}"]


def unexpected(exc: object) -> str:
    """Say that an item cannot be read, where nobody foresaw why: one item never takes the others with it."""
    return f"it cannot be read ({type(exc).__name__}: {str(exc)[:200]})"
