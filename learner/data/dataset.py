"""Records -> tensors: every image is decoded once, framed, and kept as bytes; augmentation happens later, on tensors.

Shape legend: N images, S side of the square.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import overload

import numpy as np
import torch
from torch import Tensor

from db.progress import Progress, SilentProgress
from db.records import LocationStatus
from learner.data.examples import Example, Examples, taken
from learner.data.framing import FramedRows, Framer, Framing, MadeTargets, ahead
from learner.data.letterbox import Frame, frame_of
from learner.data.presence import EMPTY, PRESENT, UNKNOWN
from learner.distributed import Processes
from learner.errors import DataInvalid

IN_MEMORY_BYTES = 128 * 2**20
"""Squares of a set up to this size are held in memory; those of a larger one are read when a batch needs them."""
FOR_A_GPU_BYTES = 512 * 2**20
"""The same where a GPU takes them, which would wait for what is read."""
CHUNK = 256
"""Images that are framed together when a set is loaded."""
CHUNK_BATCHES = 2
"""Batches that are framed together when a stream is scored."""

PRESENCE = MappingProxyType(
    {LocationStatus.PRESENT: PRESENT, LocationStatus.EMPTY: EMPTY, LocationStatus.UNKNOWN: UNKNOWN}
)
NO_CLASS = -100
"""Class index of an image whose class is not known; cross-entropy ignores it."""


@dataclass(slots=True)
class FramedData:
    """Images as squares, with their targets: in memory, or made when they are asked for."""

    examples: Sequence[Example]
    frames: Sequence[Frame]
    images_N3SS: Tensor | FramedRows
    """uint8."""
    targets_N1SS: Tensor | MadeTargets
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
    framer: Framer | None = None
    """What made them."""

    def __len__(self) -> int:
        return len(self.examples)

    def expect(self, batches: Iterable[Tensor]) -> None:
        """Say which rows are going to be asked for, in order, so that they can be made in advance."""
        if isinstance(self.images_N3SS, FramedRows):
            self.images_N3SS.expect(batches)

    def select(self, indices: Sequence[int]) -> "FramedData":
        """Return some of the images; they share memory with these where all are wanted."""
        if len(indices) == len(self):
            return replace(self, positions=list(range(len(self))))
        chosen = torch.tensor(indices, dtype=torch.int64)
        examples = _chosen(self.examples, indices)
        lazily = self.framer if isinstance(self.images_N3SS, FramedRows) else None
        return FramedData(
            examples,
            _frames(examples, self.framer.framing) if self.framer else [self.frames[n] for n in indices],
            FramedRows(lazily, examples) if lazily else self.images_N3SS[chosen],
            MadeTargets(lazily, examples) if lazily else self.targets_N1SS[chosen],
            self.known_N[chosen],
            self.class_N[chosen],
            self.presence_N[chosen],
            positions=list(indices),
            framer=self.framer,
        )

    def move_to(self, device: torch.device) -> None:
        """Keep the squares on a GPU if they fill less than a quarter of what is free there."""
        if device.type != "cuda" or not isinstance(self.images_N3SS, Tensor):
            return
        free, _ = torch.cuda.mem_get_info(device)
        if self.images_N3SS.nbytes < free / 4:
            self.images_N3SS = self.images_N3SS.to(device)


def fit_memory(count: int, size: int, *, for_a_gpu: bool = False) -> bool:
    """Say whether so many squares of a side, in pixels, are few enough to be held in memory.

    Args:
        count: number of images.
        size: side of the square, pixels.
        for_a_gpu: they are going to lie in a GPU's memory, if there is room.
    """
    return count * 3 * size * size <= (FOR_A_GPU_BYTES if for_a_gpu else IN_MEMORY_BYTES)


def load_framed(
    examples: Sequence[Example],
    classes: Sequence[str],
    framer: Framer,
    *,
    processes: Processes | None = None,
    progress: Progress | None = None,
    name: str = "decoding",
    in_memory: bool | None = None,
) -> FramedData:
    """Frame images to learn from, on all cores. Of several processes each decodes its share, where there is a cache.

    Args:
        examples: what to load.
        classes: class names in the order of the network's outputs.
        framer: how, and where squares are kept.
        processes: those that load the same images.
        progress: where to show how far it is.
        name: of the bar.
        in_memory: hold them in memory; None: where they fit.

    Raises:
        DataInvalid: none of the images can be read.
    """
    processes, size = processes or Processes(), framer.framing.size
    in_memory = fit_memory(len(examples), size) if in_memory is None else in_memory
    squares_N3SS = np.zeros((len(examples) if in_memory else 0, 3, size, size), dtype=np.uint8)
    problems: list[str | None] = [None] * len(examples)
    mine = range(len(examples)) if framer.store is None else processes.share(range(len(examples)))
    with (progress or SilentProgress()).task(name, len(mine)) as task:
        for start in range(0, len(mine), CHUNK):
            rows = list(mine[start : start + CHUNK])
            if not in_memory:
                there = framer.has(taken(examples, rows, masks=False))
                task.advance(sum(there))
                rows = [n for n, is_there in zip(rows, there, strict=True) if not is_there]
            part_N3SS = np.empty((len(rows), 3, size, size), dtype=np.uint8)
            found = framer.load(taken(examples, rows, masks=False), part_N3SS, task.advance)
            for row, problem in zip(rows, found, strict=True):
                problems[row] = problem
            if in_memory:
                squares_N3SS[rows] = part_N3SS
    if len(mine) < len(examples):
        problems = processes.gather((n, problems[n]) for n in mine)
        others = sorted({n for n, problem in enumerate(problems) if problem is None} - set(mine)) if in_memory else []
        part_N3SS = np.empty((len(others), 3, size, size), dtype=np.uint8)
        for row, problem in zip(others, framer.load(taken(examples, others, masks=False), part_N3SS), strict=True):
            problems[row] = problem
        squares_N3SS[others] = part_N3SS
    unreadable = [problem for problem in problems if problem is not None]
    if examples and len(unreadable) == len(examples):
        raise DataInvalid(f"none of the {len(examples)} images can be read; the first: {unreadable[0]}")
    good = [n for n, problem in enumerate(problems) if problem is None]
    squares = (
        torch.from_numpy(squares_N3SS if len(good) == len(examples) else squares_N3SS[good]) if in_memory else None
    )
    return framed_data(examples, classes, framer, good, unreadable, squares)


def framed_data(
    examples: Sequence[Example],
    classes: Sequence[str],
    framer: Framer,
    good: list[int],
    unreadable: list[str],
    squares_N3SS: Tensor | None,
) -> FramedData:
    """Put the images that can be read together; without squares in memory they are made when they are asked for."""
    kept, index = _chosen(examples, good), {class_name: n for n, class_name in enumerate(classes)}
    if isinstance(kept, Examples):
        class_names, statuses = list(kept.class_names), list(kept.statuses)
    else:
        class_names = [example.class_name for example in kept]
        statuses = [LocationStatus.UNKNOWN if one.location is None else one.location.status for one in kept]
    return FramedData(
        examples=kept,
        frames=_frames(kept, framer.framing),
        images_N3SS=FramedRows(framer, kept) if squares_N3SS is None else squares_N3SS,
        targets_N1SS=MadeTargets(framer, kept),
        known_N=torch.tensor([status is not LocationStatus.UNKNOWN for status in statuses], dtype=torch.bool),
        class_N=torch.tensor([index.get(name or "", NO_CLASS) for name in class_names], dtype=torch.int64),
        presence_N=torch.tensor([PRESENCE[status] for status in statuses], dtype=torch.int8),
        unreadable=unreadable,
        positions=good,
        framer=framer,
    )


def _chosen(examples: Sequence[Example], indices: Sequence[int]) -> Sequence[Example]:
    """Return some examples, packed where they are."""
    return examples.select(indices) if isinstance(examples, Examples) else [examples[n] for n in indices]


def _frames(examples: Sequence[Example], framing: Framing) -> Sequence[Frame]:
    if isinstance(examples, Examples):
        return Frames(examples, framing)
    return [frame_of(one.width, one.height, framing.size, framing.framing) for one in examples]


class Frames(Sequence[Frame]):
    """Where packed images lie in their squares, worked out when it is asked for."""

    def __init__(self, examples: Examples, framing: Framing) -> None:
        self._examples, self._framing = examples, framing

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        (one,) = self._examples.take([index], masks=False)
        return frame_of(one.width, one.height, self._framing.size, self._framing.framing)


class FramedStream:
    """Images to be scored, framed piece by piece while the pieces before are at work; once through."""

    def __init__(
        self,
        examples: Sequence[Example],
        classes: Sequence[str],
        framer: Framer,
        *,
        batch_size: int,
        positions: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Say what is to be scored.

        Args:
            examples: images, in the order in which they come.
            classes: class names in the order of the network's outputs.
            framer: how, and where squares are kept.
            batch_size: images that are scored at once.
            positions: of each of them among all that were asked for; None where these are all.
            progress: is told which images cannot be read.
        """
        self._examples, self._classes, self._framer = examples, classes, framer
        self._chunk, self._progress = CHUNK_BATCHES * batch_size, progress or SilentProgress()
        self._positions = range(len(examples)) if positions is None else positions

    def __len__(self) -> int:
        return len(self._examples)

    def __iter__(self) -> Iterator[FramedData]:
        """Yield pieces; images that cannot be read are named and left out.

        Raises:
            DataInvalid: none of the images can be read.
        """
        first: str | None = None
        readable = 0
        for data in ahead(self._piece, range(0, len(self._examples), self._chunk)):
            for problem in data.unreadable:
                self._progress.say(f"left out: {problem}")
                first = first or problem
            readable += len(data)
            if len(data):
                yield data
        if first is not None and not readable:
            raise DataInvalid(f"none of the {len(self._examples)} images can be read; the first: {first}")

    def _piece(self, start: int) -> FramedData:
        examples, size = self._examples[start : start + self._chunk], self._framer.framing.size
        squares_N3SS = np.empty((len(examples), 3, size, size), dtype=np.uint8)
        problems = self._framer.load(examples, squares_N3SS)
        good = [n for n, problem in enumerate(problems) if problem is None]
        unreadable = [problem for problem in problems if problem is not None]
        squares = torch.from_numpy(squares_N3SS if len(good) == len(examples) else squares_N3SS[good])
        data = framed_data(examples, self._classes, self._framer, good, unreadable, squares)
        data.positions = [self._positions[start + n] for n in good]
        return data
