"""What is known of the images to learn from: one as an `Example`, a million of them packed as `Examples`.

Shape legend: N images.
"""

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from db.errors import RegistryError
from db.imaging.files import ImageFile
from db.records import Box, ImageRecord, Location, LocationStatus, NewImage, Split
from db.registry import Registry, Transaction

MaskReader = Callable[[Sequence[int]], Mapping[int, bytes]]
"""Reads masks, PNGs, by the number of their label."""
PATIENCE_S = (1.0, 4.0, 15.0, 60.0)
"""Between attempts to read masks from a registry that cannot be reached."""
PAGE = 1000
"""Images that are unpacked at a time where all are asked for."""
STATUSES = (LocationStatus.UNKNOWN, LocationStatus.EMPTY, LocationStatus.PRESENT)
SPLITS = (None, *Split)
UNKNOWN = STATUSES.index(LocationStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Example:
    """One image to learn from, score or be scored on."""

    path: ImageFile
    width: int
    height: int
    class_name: str | None
    location: Location | None = None
    """None where it is not known."""
    image_id: int | None = None
    split: Split | None = None
    content_hash: str | None = None
    """By which its square is found in the project's cache; None for an image that is not registered."""


class Sized(NamedTuple):
    """How large an image is, and the boxes in it."""

    width: int
    height: int
    boxes: tuple[Box, ...]


def examples_from_records(tx: Transaction, records: Iterable[ImageRecord]) -> list[Example]:
    """Turn registered images into examples, masks included."""
    images = list(records)
    masks = tx.labels.mask_pngs([image.label.id for image in images if image.label and image.label.has_mask])
    examples = []
    for image in images:
        location = None
        if image.location_status is not LocationStatus.UNKNOWN and image.label is not None:
            location = Location(image.location_status, image.boxes, masks.get(image.label.id))
        examples.append(
            Example(
                image.path,
                image.width,
                image.height,
                image.class_name,
                location,
                image.id,
                image.split,
                image.content_hash,
            )
        )
    return examples


def example_from_new(image: NewImage) -> Example:
    """Turn an image that is not registered into an example."""
    return Example(image.path, image.width, image.height, image.class_name, image.location, split=image.split)


class PackedImages:
    """Registered images in columns, some 150 bytes an image. Masks stay in the registry."""

    def __init__(self) -> None:
        self.id_N, self.label_N = array("q"), array("q")
        self.width_N, self.height_N, self.class_N = array("i"), array("i"), array("i")
        self.split_N, self.status_N = array("b"), array("b")
        self.class_names: list[str | None] = []
        self._classes: dict[str | None, int] = {}
        self._cache: Path | None = None
        self._text, self._text_ends_N = bytearray(), array("q", [0])
        self._boxes, self._box_ends_N = array("d"), array("q", [0])

    def add(self, image: ImageRecord) -> None:
        """Put an image after those before."""
        index = self._classes.setdefault(image.class_name, len(self._classes))
        if index == len(self.class_names):
            self.class_names.append(image.class_name)
        self.id_N.append(image.id)
        self.label_N.append(image.label.id if image.label is not None and image.label.has_mask else -1)
        self.width_N.append(image.width)
        self.height_N.append(image.height)
        self.class_N.append(index)
        self.split_N.append(SPLITS.index(image.split))
        self.status_N.append(STATUSES.index(image.location_status))
        self._cache = image.path.cache
        # No path has a NUL in it.
        self._text += f"{image.content_hash}\0{image.path}".encode(errors="surrogateescape")
        self._text_ends_N.append(len(self._text))
        for box in image.boxes:
            self._boxes.extend((box.x, box.y, box.width, box.height))
        self._box_ends_N.append(len(self._boxes))

    def all(self) -> "Examples":
        """Return all of them, in the order in which they were added."""
        return Examples(self, np.arange(len(self.id_N)))

    def of_split(self, split: Split | None) -> list[int]:
        """Return the numbers of the images of a split."""
        code = SPLITS.index(split)
        return [image_id for image_id, own in zip(self.id_N, self.split_N, strict=True) if own == code]

    def boxes(self, n: int) -> tuple[Box, ...]:
        """Return the boxes of an image."""
        start, end = self._box_ends_N[n], self._box_ends_N[n + 1]
        return tuple(Box(*self._boxes[k : k + 4]) for k in range(start, end, 4))

    def texts(self, n: int) -> tuple[str, ImageFile]:
        """Return the content hash and the file of an image."""
        stored = self._text[self._text_ends_N[n] : self._text_ends_N[n + 1]].decode(errors="surrogateescape")
        content_hash, _, path = stored.partition("\0")
        return content_hash, ImageFile.from_text(path, cache=self._cache)


class Examples(Sequence[Example]):
    """Some of the packed images, in an order of their own, with locations that may be hidden."""

    def __init__(
        self,
        packed: PackedImages,
        rows_N: NDArray[np.int64],
        *,
        hidden: frozenset[int] = frozenset(),
        read_masks: MaskReader | None = None,
    ) -> None:
        """Choose images.

        Args:
            packed: where they are.
            rows_N: which of them.
            hidden: numbers of the images whose location is treated as unknown.
            read_masks: where masks come from; without it none of the images may have one.
        """
        self._packed, self._rows_N, self._hidden, self._read_masks = packed, rows_N, hidden, read_masks

    @property
    def ids(self) -> list[int]:
        """Numbers of the images."""
        ids: list[int] = self._column(self._packed.id_N).tolist()
        return ids

    @property
    def class_names(self) -> Iterator[str | None]:
        """The class of each."""
        return (self._packed.class_names[index] for index in self._column(self._packed.class_N).tolist())

    @property
    def statuses(self) -> Iterator[LocationStatus]:
        """What is known of each one's location."""
        shown = zip(self.ids, self._column(self._packed.status_N).tolist(), strict=True)
        return (STATUSES[UNKNOWN if image_id in self._hidden else status] for image_id, status in shown)

    @property
    def sizes(self) -> Iterator[Sized]:
        """How large each is, with its known boxes."""
        for n, status in zip(self._rows_N.tolist(), self.statuses, strict=True):
            boxes = self._packed.boxes(n) if status is LocationStatus.PRESENT else ()
            yield Sized(self._packed.width_N[n], self._packed.height_N[n], boxes)

    def _column(self, values: "array[int]") -> NDArray[Any]:
        return np.frombuffer(values, dtype=values.typecode)[self._rows_N] if len(values) else self._rows_N

    def select(self, indices: Sequence[int]) -> "Examples":
        """Return some of them."""
        rows_N = self._rows_N[np.asarray(indices, dtype=np.int64)]
        return Examples(self._packed, rows_N, hidden=self._hidden, read_masks=self._read_masks)

    def hiding(self, image_ids: Iterable[int]) -> "Examples":
        """Return the same images with some locations hidden."""
        return Examples(self._packed, self._rows_N, hidden=frozenset(image_ids), read_masks=self._read_masks)

    def opened(self, registry: Registry) -> "Examples":
        """Return the same images with masks that are read from a registry when they are asked for."""

        def read_masks(label_ids: Sequence[int]) -> Mapping[int, bytes]:
            for wait_s in (*PATIENCE_S, None):
                try:
                    with registry.read() as tx:
                        found = tx.labels.mask_pngs(label_ids)
                    break
                except RegistryError:
                    # A database that starts anew must not end a training of days.
                    if wait_s is None:
                        raise
                    time.sleep(wait_s)
            if len(found) < len(set(label_ids)):
                raise RegistryError("a known mask is missing from the registry; see: partly db check")
            return found

        return Examples(self._packed, self._rows_N, hidden=self._hidden, read_masks=read_masks)

    def take(self, indices: Iterable[int], *, masks: bool = True) -> list[Example]:
        """Unpack some of them.

        Args:
            indices: which.
            masks: read their masks, too; without it a location has its boxes alone.
        """
        rows = [int(self._rows_N[n]) for n in indices]
        labels = [label for n in rows if (label := self._packed.label_N[n]) >= 0 and self._is_shown(n)] if masks else []
        read: Mapping[int, bytes] = {}
        if labels:
            assert self._read_masks is not None, "masks are in a registry: opened(registry)"
            read = self._read_masks(labels)
        return [self._example(n, read) for n in rows]

    def _is_shown(self, n: int) -> bool:
        return self._packed.status_N[n] != UNKNOWN and self._packed.id_N[n] not in self._hidden

    def _example(self, n: int, masks: Mapping[int, bytes]) -> Example:
        packed, location = self._packed, None
        if self._is_shown(n):
            mask = masks.get(packed.label_N[n])
            location = Location(STATUSES[packed.status_N[n]], packed.boxes(n), mask)
        content_hash, path = packed.texts(n)
        return Example(
            path,
            packed.width_N[n],
            packed.height_N[n],
            packed.class_names[packed.class_N[n]],
            location,
            packed.id_N[n],
            SPLITS[packed.split_N[n]],
            content_hash,
        )

    def __len__(self) -> int:
        return len(self._rows_N)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        return self.take([index])[0]

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), PAGE):
            yield from self[start : start + PAGE]


def taken(examples: Sequence[Example], indices: Sequence[int], *, masks: bool = True) -> list[Example]:
    """Return some examples, unpacked where they are packed; see `Examples.take`."""
    if isinstance(examples, Examples):
        return examples.take(indices, masks=masks)
    return [examples[n] for n in indices]
