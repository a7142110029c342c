"""Records -> tensors: every image is decoded once, framed, and kept as bytes; augmentation happens later, on tensors.

Shape legend: N images, S side of the square.
"""

import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.errors import ImageUnreadable
from db.imaging.decode import mask_from_png, read_image
from db.imaging.files import ImageFile
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Location, LocationStatus, NewImage, Split
from db.registry import Transaction
from learner.data.letterbox import Frame, frame_of, framed_box, framed_boxes, framed_image, framed_mask
from learner.data.presence import EMPTY, PRESENT, UNKNOWN
from learner.errors import DataInvalid

MEMORY_LIMIT_BYTES = 4 * 2**30
"""Above this, decoded images lie in a memory-mapped temporary file."""

NO_CLASS = -100
"""Class index of an image whose class is not known; cross-entropy ignores it."""


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
            Example(image.path, image.width, image.height, image.class_name, location, image.id, image.split)
        )
    return examples


def example_from_new(image: NewImage) -> Example:
    """Turn an image that is not registered into an example."""
    return Example(image.path, image.width, image.height, image.class_name, image.location, split=image.split)


@dataclass(slots=True)
class FramedData:
    """Images as squares in memory, with their targets."""

    examples: list[Example]
    frames: list[Frame]
    images_N3SS: Tensor
    """uint8."""
    targets_N1SS: Tensor
    """uint8, 255 inside; zeros where the location is not known."""
    known_N: Tensor
    """bool: the location is known, possibly to be empty."""
    class_N: Tensor
    """int64, `NO_CLASS` where it is not known."""
    presence_N: Tensor
    """int8: there is something to find (1), nothing (0), or it is not known (-1); see `learner.data.presence`."""
    unreadable: list[str] = field(default_factory=list)
    """Files that could not be read any more, with the reason; they are left out above."""
    positions: list[int] = field(default_factory=list)
    """Where each of these images was among those that were asked for."""

    def __len__(self) -> int:
        return len(self.examples)

    def select(self, indices: Sequence[int]) -> "FramedData":
        """Return some of the images; they share memory with these where all are wanted."""
        if len(indices) == len(self):
            return replace(self, positions=list(range(len(self))))
        chosen = torch.tensor(indices, dtype=torch.int64)
        return FramedData(
            [self.examples[n] for n in indices],
            [self.frames[n] for n in indices],
            self.images_N3SS[chosen],
            self.targets_N1SS[chosen],
            self.known_N[chosen],
            self.class_N[chosen],
            self.presence_N[chosen],
            positions=list(indices),
        )

    def move_to(self, device: torch.device) -> None:
        """Keep the squares on a GPU if they fill less than a quarter of what is free there."""
        if device.type != "cuda":
            return
        free, _ = torch.cuda.mem_get_info(device)
        if self.images_N3SS.nbytes + self.targets_N1SS.nbytes < free / 4:
            self.images_N3SS, self.targets_N1SS = self.images_N3SS.to(device), self.targets_N1SS.to(device)


def load_framed(
    examples: Sequence[Example],
    classes: Sequence[str],
    *,
    size: int,
    framing: str,
    box_target: str = "ellipse",
    progress: Progress | None = None,
    name: str = "decoding",
) -> FramedData:
    """Decode and frame images on all cores.

    Args:
        examples: what to load.
        classes: class names in the order of the network's outputs.
        size: side of the square, pixels.
        framing: `letterbox` or `resize`.
        box_target: `ellipse` or `rectangle`, for boxes without a mask.
        progress: where to show how far it is.
        name: of the bar.

    Raises:
        DataInvalid: none of the images can be read.
    """
    index = {class_name: n for n, class_name in enumerate(classes)}
    store_N3SS = _allocate((len(examples), 3, size, size))
    targets_NSS = np.zeros((len(examples), 1, size, size), dtype=np.uint8)
    frames = [frame_of(example.width, example.height, size, framing) for example in examples]
    unreadable: list[str] = []
    good: list[int] = []

    def load(position: int) -> str | None:
        example, frame = examples[position], frames[position]
        try:
            store_N3SS[position] = framed_image(_checked_image(example), frame, size)
        except ImageUnreadable as exc:
            return str(exc)
        targets_NSS[position, 0] = _target(example, frame, size, box_target)
        return None

    with (progress or SilentProgress()).task(name, len(examples)) as task, ThreadPoolExecutor() as pool:
        for position, problem in enumerate(pool.map(load, range(len(examples)))):
            if problem is None:
                good.append(position)
            else:
                unreadable.append(problem)
            task.advance()
    if examples and not good:
        raise DataInvalid(f"none of the {len(examples)} images can be read; the first: {unreadable[0]}")
    if unreadable:
        store_N3SS, targets_NSS = store_N3SS[good], targets_NSS[good]
    kept = [examples[n] for n in good]
    return FramedData(
        examples=kept,
        frames=[frames[n] for n in good],
        images_N3SS=torch.from_numpy(store_N3SS),
        targets_N1SS=torch.from_numpy(targets_NSS),
        known_N=torch.tensor([example.location is not None for example in kept], dtype=torch.bool),
        class_N=torch.tensor([index.get(example.class_name or "", NO_CLASS) for example in kept], dtype=torch.int64),
        presence_N=torch.tensor([_presence(example) for example in kept], dtype=torch.int8),
        unreadable=unreadable,
        positions=good,
    )


def _presence(example: Example) -> int:
    if example.location is None or example.location.status is LocationStatus.UNKNOWN:
        return UNKNOWN
    return PRESENT if example.location.status is LocationStatus.PRESENT else EMPTY


def _checked_image(example: Example) -> NDArray[np.uint8]:
    image_HW3 = read_image(example.path)
    height, width = image_HW3.shape[:2]
    if (width, height) != (example.width, example.height):
        raise ImageUnreadable(
            example.path, f"it is {width}x{height} now, but was registered as {example.width}x{example.height}"
        )
    return image_HW3


def _target(example: Example, frame: Frame, size: int, box_target: str) -> NDArray[np.uint8]:
    location = example.location
    if location is None or not location.boxes:
        return np.zeros((size, size), dtype=np.uint8)
    if location.mask_png is not None:
        return framed_mask(mask_from_png(location.mask_png), frame, size)
    boxes = [framed_box(box, frame) for box in location.boxes]
    return framed_boxes(boxes, size, ellipse=box_target == "ellipse")


def _allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if np.prod(shape, dtype=np.int64) <= MEMORY_LIMIT_BYTES:
        return np.zeros(shape, dtype=np.uint8)
    # The file has no name any more, so the space is given back when the array goes.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
