"""Examples -> squares and targets: from the cache where they are there, else decoded, framed and kept for next time.

Training asks for rows by index. What fits into memory is a tensor; of a large set only those rows are in memory that a
batch asks for, and the next ones that it is going to ask for.

Shape legend: N images, B those of a batch, S side of the square.
"""

import errno
import os
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.errors import ImageUnreadable
from db.imaging.decode import mask_from_png, read_image
from db.imaging.files import ImageFile
from db.progress import Progress, SilentProgress
from learner.config import TrainConfig
from learner.data.examples import Example, taken
from learner.data.framed_store import FramedStore, framed_key
from learner.data.letterbox import frame_of, framed_box, framed_boxes, framed_image, framed_mask

T = TypeVar("T")
Wanted = TypeVar("Wanted")
AHEAD = 2
"""Batches that are made while the one before is at work."""
KEPT_BYTES = 64 * 2**20
"""Targets that are kept in memory once they are made, compressed."""
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
WRITTEN_AT_ONCE = 64
"""Images that go into the cache in one step, each of which waits for the disk."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How images become squares."""

    size: int
    """Side of the square, pixels."""
    framing: str = "letterbox"
    """`letterbox` or `resize`."""
    box_target: str = "ellipse"
    """`ellipse` or `rectangle`, for boxes without a mask."""

    @classmethod
    def of_training(cls, config: TrainConfig) -> "Framing":
        """Say how a training's images become squares."""
        return cls(config.square_px, config.framing, config.box_target)


class Framer:
    """Makes squares on all cores. Safe to be used by several threads."""

    def __init__(self, framing: Framing, store: FramedStore | None = None, progress: Progress | None = None) -> None:
        """Say how, and where squares are kept.

        Args:
            framing: the square.
            store: the project's cache; None to keep nothing.
            progress: is told once why nothing more is kept.
        """
        self.framing, self.store = framing, store
        self._progress = progress or SilentProgress()
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._told = False

    def has(self, examples: Sequence[Example]) -> list[bool]:
        """Say which images the cache holds."""
        if self.store is None:
            return [False] * len(examples)
        keys = [self._key(example) for example in examples]
        found = dict(zip(filter(None, keys), self.store.has([key for key in keys if key]), strict=True))
        return [key is not None and found[key] for key in keys]

    def load(
        self, examples: Sequence[Example], into_N3SS: NDArray[np.uint8], done: Callable[[], None] = lambda: None
    ) -> list[str | None]:
        """Fill an array with squares.

        Args:
            examples: images.
            into_N3SS: uint8; a row whose image cannot be read is left alone.
            done: is called for every image.

        Returns:
            Why each cannot be read; None for those that can.
        """
        problems: list[str | None] = [None] * len(examples)
        keys = [self._key(example) for example in examples]
        known = [n for n, key in enumerate(keys) if key is not None]
        missing = list(range(len(examples)))
        if self.store is not None and known:
            # Rows beside each other are filled as they are; others go through a copy.
            part_N3SS = into_N3SS if len(known) == len(examples) else into_N3SS[known]
            there = self.store.read([key for key in keys if key], part_N3SS)
            if part_N3SS is not into_N3SS:
                into_N3SS[known] = part_N3SS
            found = {n for n, is_there in zip(known, there, strict=True) if is_there}
            missing = [n for n in missing if n not in found]
            for _ in found:
                done()

        def decode(n: int) -> str | None:
            try:
                into_N3SS[n] = self._square(examples[n])
            except ImageUnreadable as exc:
                return str(exc)
            return None

        fresh: list[int] = []
        for n, problem in zip(missing, self._pool.map(decode, missing), strict=True):
            problems[n] = problem
            done()
            if problem is None and keys[n] is not None:
                fresh.append(n)
            if len(fresh) == WRITTEN_AT_ONCE:
                self._keep(keys, fresh, into_N3SS)
                fresh = []
        self._keep(keys, fresh, into_N3SS)
        return problems

    def target(self, example: Example) -> NDArray[np.uint8] | None:
        """Make the target of an image, uint8 SS, 255 inside; None where nothing is known to be there."""
        location, size = example.location, self.framing.size
        if location is None or not location.boxes:
            return None
        frame = frame_of(example.width, example.height, size, self.framing.framing)
        if location.mask_png is not None:
            return framed_mask(mask_from_png(location.mask_png), frame, size)
        boxes = [framed_box(box, frame) for box in location.boxes]
        return framed_boxes(boxes, size, ellipse=self.framing.box_target == "ellipse")

    def _keep(self, keys: Sequence[bytes | None], rows: Sequence[int], squares_N3SS: NDArray[np.uint8]) -> None:
        if self.store is None or not rows:
            return
        kept = self.store.write({key: squares_N3SS[n] for n in rows if (key := keys[n]) is not None})
        if not kept and not self._told:
            self._told = True
            # Who may read a project and not write to it knows that.
            if not any(os.strerror(code) in str(self.store.trouble) for code in FORBIDDEN):
                self._progress.say(
                    f"decoded images are not cached for next time: {self.store.trouble}; see: partly cache status"
                )

    def _key(self, example: Example) -> bytes | None:
        if example.content_hash is None:
            return None
        file = ""
        if not example.path.is_remote:
            try:
                # Not a Path: the parts of every one would stay in memory, interned.
                found = os.stat(example.path.location)  # noqa: PTH116
            except (OSError, ValueError):
                # Reading it will say what is wrong.
                return None
            file = f"{found.st_size}/{found.st_mtime_ns}"
        return framed_key(example.content_hash, self.framing.size, self.framing.framing, file)

    def _square(self, example: Example) -> NDArray[np.uint8]:
        square_3SS, width, height = self.open(example.path)
        if (width, height) != (example.width, example.height):
            raise ImageUnreadable(
                example.path, f"it is {width}x{height} now, but was registered as {example.width}x{example.height}"
            )
        return square_3SS

    def open(self, file: ImageFile) -> tuple[NDArray[np.uint8], int, int]:
        """Decode and frame an image whose size is not known.

        Returns:
            The square, uint8 3SS, and the upright image's width and height.

        Raises:
            ImageUnreadable: it cannot be read.
        """
        image_HW3 = read_image(file)
        height, width = image_HW3.shape[:2]
        frame = frame_of(width, height, self.framing.size, self.framing.framing)
        return framed_image(image_HW3, frame, self.framing.size), width, height


def ahead(make: Callable[[Wanted], T], wanted: Iterable[Wanted]) -> Iterator[T]:
    """Make things in order, in another thread, a few ahead of who takes them."""
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for item in wanted:
            coming.append(thread.submit(make, item))
            if len(coming) > AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


class FramedRows:
    """The squares of a large set, uint8: a row is read from the cache, or decoded, when it is asked for."""

    def __init__(self, framer: Framer, examples: Sequence[Example]) -> None:
        self._framer, self._examples = framer, examples
        self.shape = (len(examples), 3, framer.framing.size, framer.framing.size)
        self._wanted: deque[list[int]] = deque()
        self._coming: Iterator[Tensor] = iter(())

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return some rows, B3SS.

        Raises:
            ImageUnreadable: one of them cannot be read any more.
        """
        wanted = rows.tolist()
        if not self._wanted or self._wanted[0] != wanted:
            return self._load(wanted)
        self._wanted.popleft()
        return next(self._coming)

    def expect(self, batches: Iterable[Tensor]) -> None:
        """Say what is going to be asked for, in order: it is made in advance, in another thread."""
        listed = [batch.tolist() for batch in batches]
        self._wanted, self._coming = deque(listed), ahead(self._load, listed)

    def _load(self, rows: list[int]) -> Tensor:
        squares_B3SS = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        examples = taken(self._examples, rows, masks=False)
        for example, problem in zip(examples, self._framer.load(examples, squares_B3SS), strict=True):
            if problem is not None:
                raise ImageUnreadable(example.path, f"it could be read before, but no longer can ({problem})")
        return torch.from_numpy(squares_B3SS)


class MadeTargets:
    """Targets, uint8, 255 inside, zeros where the location is not known: made when asked for, and remembered."""

    def __init__(self, framer: Framer, examples: Sequence[Example]) -> None:
        self._framer, self._examples = framer, examples
        side = framer.framing.size
        self.shape = (len(examples), 1, side, side)
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return some rows, B1SS."""
        wanted = rows.tolist()
        targets_B1SS = np.zeros((len(wanted), *self.shape[1:]), dtype=np.uint8)
        missing = [row for row in dict.fromkeys(wanted) if row not in self._kept]
        made = {row: self._framer.target(one) for row, one in zip(missing, taken(self._examples, missing), strict=True)}
        for n, row in enumerate(wanted):
            target = made[row] if row in made else self._unpacked(row)
            if target is not None:
                targets_B1SS[n, 0] = target
        for row, target in made.items():
            if target is not None:
                self._keep(row, target)
        return torch.from_numpy(targets_B1SS)

    def _keep(self, row: int, target_SS: NDArray[np.uint8]) -> None:
        # Nearly all of it is zeros: 1 kB of 64 at 256 px, unpacked in a tenth of the time that making it takes.
        self._kept[row] = zlib.compress(target_SS.tobytes(), 1)
        self._kept_bytes += len(self._kept[row])
        while self._kept_bytes > KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)

    def _unpacked(self, row: int) -> NDArray[np.uint8]:
        return np.frombuffer(zlib.decompress(self._kept[row]), dtype=np.uint8).reshape(self.shape[2:])
