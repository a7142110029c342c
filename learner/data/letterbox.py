"""How an image becomes a square of `size` pixels, and how a square of probabilities becomes a mask again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from db.imaging.geometry import mask_from_boxes
from db.records import Box

INSIDE = 255
FINER = 4
"""Steps across a pixel in which its covered share is measured."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The place of an image inside its square: x_framed = x * scale_x + left, y_framed = y * scale_y + top."""

    width: int
    height: int
    left: int
    top: int
    inner_width: int
    inner_height: int

    @property
    def scale_x(self) -> float:
        """Framed pixels for one pixel of the image, across."""
        return self.inner_width / self.width

    @property
    def scale_y(self) -> float:
        """Framed pixels for one pixel of the image, down."""
        return self.inner_height / self.height


def frame_of(width: int, height: int, size: int, framing: str) -> Frame:
    """Place an image of `width` x `height` in a square: `letterbox` keeps the aspect ratio, `resize` does not."""
    if framing == "resize":
        return Frame(width, height, 0, 0, size, size)
    scale = size / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - inner_width) // 2, (size - inner_height) // 2
    return Frame(width, height, left, top, inner_width, inner_height)


def framed_image(image_HW3: NDArray[np.uint8], frame: Frame, size: int) -> NDArray[np.uint8]:
    """Resize an image into its square with antialiasing; the padding is black.

    Returns:
        uint8 3SS.
    """
    resized = Image.fromarray(image_HW3).resize((frame.inner_width, frame.inner_height), Image.Resampling.BILINEAR)
    square_SS3 = np.zeros((size, size, 3), dtype=np.uint8)
    square_SS3[frame.top : frame.top + frame.inner_height, frame.left : frame.left + frame.inner_width] = np.asarray(
        resized
    )
    return np.ascontiguousarray(square_SS3.transpose(2, 0, 1))


def framed_mask(mask_HW: NDArray[np.bool_], frame: Frame, size: int) -> NDArray[np.uint8]:
    """Average a mask into its square.

    Returns:
        uint8 SS, 255 inside.
    """
    grey = Image.fromarray(mask_HW.astype(np.uint8) * 255)
    square_SS = np.zeros((size, size), dtype=np.uint8)
    resized = grey.resize((frame.inner_width, frame.inner_height), Image.Resampling.BOX)
    square_SS[frame.top : frame.top + frame.inner_height, frame.left : frame.left + frame.inner_width] = np.asarray(
        resized
    )
    if mask_HW.any() and square_SS.max() < INSIDE:
        # However small it is, there is something to find.
        square_SS[np.unravel_index(square_SS.argmax(), square_SS.shape)] = INSIDE
    return square_SS


def framed_boxes(boxes: Sequence[Box], size: int, *, ellipse: bool) -> NDArray[np.uint8]:
    """Draw boxes, or their inscribed ellipses, with the share of every pixel that they cover.

    A box never teaches that there is nothing: one that covers half of no pixel fills the pixel at its centre.

    Args:
        boxes: in pixels of the square.
        size: side of the square, pixels.
        ellipse: draw the inscribed ellipse instead of the rectangle.

    Returns:
        uint8 SS, 255 inside.
    """
    square_SS = np.zeros((size, size), dtype=np.uint8)
    for box in boxes:
        highest = 0.0
        left, top = max(0, math.floor(box.x)), max(0, math.floor(box.y))
        right, bottom = min(size, math.ceil(box.x + box.width)), min(size, math.ceil(box.y + box.height))
        if right > left and bottom > top:
            moved = Box((box.x - left) * FINER, (box.y - top) * FINER, box.width * FINER, box.height * FINER)
            fine = mask_from_boxes([moved], ((bottom - top) * FINER, (right - left) * FINER), ellipse=ellipse)
            covered = fine.reshape(bottom - top, FINER, right - left, FINER).mean(axis=(1, 3)) * INSIDE
            part = square_SS[top:bottom, left:right]
            np.maximum(part, np.rint(covered).astype(np.uint8), out=part)
            highest = covered.max()
        if highest <= INSIDE / 2:
            x, y = box.x + box.width / 2, box.y + box.height / 2
            square_SS[min(size - 1, max(0, math.floor(y))), min(size - 1, max(0, math.floor(x)))] = INSIDE
    return square_SS


def framed_box(box: Box, frame: Frame) -> Box:
    """Move a box from pixels of the image to pixels of its square."""
    return Box(
        box.x * frame.scale_x + frame.left,
        box.y * frame.scale_y + frame.top,
        box.width * frame.scale_x,
        box.height * frame.scale_y,
    )


def unframed(values_SS: Tensor, frame: Frame) -> Tensor:
    """Bring values of a square back to the image's own size, float HW."""
    inner = values_SS[frame.top : frame.top + frame.inner_height, frame.left : frame.left + frame.inner_width].float()
    full = F.interpolate(inner[None, None], size=(frame.height, frame.width), mode="bilinear", align_corners=False)
    return full[0, 0].cpu()


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image, with values that outside of it are all low."""

    values_HW: NDArray[np.float32]
    left: int
    """Of the part in the image, pixels."""
    top: int


def unframed_above(values_SS: NDArray[np.float32], frame: Frame, threshold: float) -> Window:
    """Bring back only the part of a square that may be above a threshold: of a lesion, a tenth of the image.

    Args:
        values_SS: float32.
        frame: where the image is in the square.
        threshold: every pixel of the image outside of the part is at most this.

    Returns:
        The part, with the values that `unframed` gives there; an empty one where nothing is above.
    """
    inner_HW = values_SS[frame.top : frame.top + frame.inner_height, frame.left : frame.left + frame.inner_width]
    high_HW: NDArray[np.bool_] = np.greater(inner_HW, threshold)
    rows = _Taps.around(np.flatnonzero(high_HW.any(axis=1)), frame.inner_height, frame.height)
    columns = _Taps.around(np.flatnonzero(high_HW.any(axis=0)), frame.inner_width, frame.width)
    low_HW = inner_HW[rows.first] * (1 - rows.share[:, None]) + inner_HW[rows.second] * rows.share[:, None]
    values_HW = low_HW[:, columns.first] * (1 - columns.share) + low_HW[:, columns.second] * columns.share
    return Window(np.asarray(values_HW, dtype=np.float32), columns.start, rows.start)


@dataclass(frozen=True, slots=True)
class _Taps:
    """The two pixels that each new pixel of a line is mixed from, as `F.interpolate` does without aligned corners."""

    start: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    share: NDArray[np.float32]
    """Of the second one."""

    @classmethod
    def around(cls, where: NDArray[np.int64], count: int, full: int) -> "_Taps":
        """Choose the new pixels in which some pixels of a line have a part.

        Args:
            where: these pixels, ascending.
            count: number of pixels of the line.
            full: number of new pixels.
        """
        if not len(where):
            return cls(0, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        scale = np.float32(count / full)
        start = max(0, math.floor((where[0] - 0.5) / scale - 0.5))
        end = min(full, math.ceil((where[-1] + 1.5) / scale - 0.5) + 1)
        place = np.maximum((np.arange(start, end, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5), 0)
        first = np.minimum(place.astype(np.int64), count - 1)
        return cls(start, first, np.minimum(first + 1, count - 1), (place - first).astype(np.float32))


def unit_images(images_B3SS: Tensor, device: torch.device) -> Tensor:
    """Move uint8 squares to the device as floats in 0 to 1."""
    moved = images_B3SS.to(device, non_blocking=True).float().div_(255.0)
    return moved.contiguous(memory_format=torch.channels_last)
