"""An image of known size that a data set's shapes are painted on: the one place that checks their numbers.

Nothing reaches a library of C before it is known to be finite, near the image, and not too much in all: such libraries
take memory by the length of an outline or by what a file claims, and crash on what is no number.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.datasets.listing.entries import BadEntry
from db.imaging.limits import BOXES, CORNERS, OUTLINE_PX, OUTLINES_PX, PAINTED_PX
from db.imaging.outlines import fill_outline
from db.imaging.pixels import strips_of
from db.records import Box

MIN_CORNERS = 3


def check_count(boxes: Sequence[object]) -> None:
    """Refuse more boxes or outlines than an image can sensibly have.

    Raises:
        BadEntry: there are more.
    """
    if len(boxes) > BOXES:
        raise BadEntry(f"it has {len(boxes):,} boxes or outlines, the limit for an image is {BOXES:,}")


def check_pixels(box: Box, *, by: str) -> None:
    """Refuse a box whose numbers look like shares of the image's sides, where pixels are wanted.

    Args:
        box: as it was read.
        by: what wants pixels, for the message.

    Raises:
        BadEntry: all four numbers are from 0 to 1, and it is less than a pixel wide or high.
    """
    values = (box.x, box.y, box.width, box.height)
    if min(values) >= 0 and max(values) <= 1 and 0 < min(box.width, box.height) < 1:
        raise BadEntry(
            f"the box {', '.join(f'{value:g}' for value in values)} looks like fractions of the image's width and "
            f"height; {by} uses pixels: multiply x and width by the image's width, y and height by its height"
        )


class Canvas:
    """The mask of an image, and how much of what an image may have is used up."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.mask_HW: NDArray[np.bool_] | None = None
        """What is painted; None as long as nothing is."""
        self._corners = self._painted = 0
        self._length = 0.0

    def check_extent(self, box: Box) -> None:
        """Refuse what lies further from the image than the image is large.

        Raises:
            BadEntry: it does, or has a number that is not finite.
        """
        for side, values in ((self.width, (box.x, box.x + box.width)), (self.height, (box.y, box.y + box.height))):
            if not all(map(math.isfinite, values)):
                raise BadEntry("a shape has a number that is not finite")
            if min(values) < -side or max(values) > 2 * side:
                raise BadEntry(f"a shape lies far outside the {self.width}x{self.height} image")

    def outline(self, corners: Iterable[Any]) -> NDArray[np.float64]:
        """Check an outline.

        Args:
            corners: x, y in pixels of the image.

        Returns:
            float64 N2.

        Raises:
            BadEntry: it is none, lies far from the image, or is too much with the others of the image.
        """
        try:
            corners_N2 = np.array(list(corners), dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise BadEntry("an outline has a corner that is not two numbers") from None
        if corners_N2.ndim != 2 or corners_N2.shape[1] != 2 or len(corners_N2) < MIN_CORNERS:
            raise BadEntry(f"an outline needs at least {MIN_CORNERS} corners of two numbers each")
        if not np.isfinite(corners_N2).all():
            raise BadEntry("an outline has a number that is not finite")
        (left, top), (right, bottom) = corners_N2.min(axis=0).tolist(), corners_N2.max(axis=0).tolist()
        self.check_extent(Box(left, top, right - left, bottom - top))
        length = float(np.abs(corners_N2 - np.roll(corners_N2, 1, axis=0)).max(axis=1).sum())
        self._corners += len(corners_N2)
        self._length += length
        if self._corners > CORNERS:
            raise BadEntry(f"its outlines have more than {CORNERS:,} corners, the limit for an image")
        if length > OUTLINE_PX:
            raise BadEntry(f"an outline is {length:,.0f} pixels long, the limit is {OUTLINE_PX:,}")
        if self._length > OUTLINES_PX:
            raise BadEntry(f"its outlines are more than {OUTLINES_PX:,} pixels long in total, the limit for an image")
        return corners_N2

    def take(self, pixels: int) -> None:
        """Count pixels that are about to be painted or decoded.

        Raises:
            BadEntry: they are too many with those before.
        """
        self._painted += pixels
        if self._painted > PAINTED_PX:
            raise BadEntry(f"its shapes cover more than {PAINTED_PX:,} pixels in total, the limit for an image")

    def paint_outline(self, corners: Iterable[Any]) -> None:
        """Fill an outline; a pixel is inside if its centre is.

        Raises:
            BadEntry: see `outline`.
        """
        corners_N2 = self.outline(corners)
        wide, high = (np.ptp(corners_N2, axis=0) + 1).tolist()
        self.take(int(min(wide, self.width) * min(high, self.height)))
        fill_outline(corners_N2, self._mask())

    def paint_ellipse(self, centre: tuple[float, float], radii: tuple[float, float], degrees: float, box: Box) -> None:
        """Fill an ellipse that is turned clockwise and lies in a box.

        Raises:
            BadEntry: it lies far from the image, or too much is painted.
        """
        self.check_extent(box)
        rows, columns = self._cut(box)
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        right_W = np.arange(columns.start, columns.stop) + 0.5 - centre[0]
        mask_HW = self._mask()
        for strip in strips_of(rows.stop - rows.start, len(right_W)):
            top, bottom = rows.start + strip.start, rows.start + strip.stop
            down_H = np.arange(top, bottom) + 0.5 - centre[1]
            along_HW = (right_W[None, :] * cosine + down_H[:, None] * sine) / radii[0]
            across_HW = (down_H[:, None] * cosine - right_W[None, :] * sine) / radii[1]
            mask_HW[top:bottom, columns] |= along_HW**2 + across_HW**2 <= 1

    def paint_mask(self, inside_HW: NDArray[np.bool_], left: int, top: int) -> None:
        """Paint a mask of a part of the image.

        Raises:
            BadEntry: it lies far from the image, or too much is painted.
        """
        box = Box(left, top, inside_HW.shape[1], inside_HW.shape[0])
        self.check_extent(box)
        rows, columns = self._cut(box)
        part_HW = inside_HW[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        self._mask()[rows, columns] |= part_HW

    def _cut(self, box: Box) -> tuple[slice, slice]:
        """Return the rows and columns of the image that a box touches, once they are counted."""
        left, top = max(0, math.floor(box.x)), max(0, math.floor(box.y))
        right = max(left, min(self.width, math.ceil(box.x + box.width)))
        bottom = max(top, min(self.height, math.ceil(box.y + box.height)))
        self.take((right - left) * (bottom - top))
        return slice(top, bottom), slice(left, right)

    def _mask(self) -> NDArray[np.bool_]:
        if self.mask_HW is None:
            self.mask_HW = np.zeros((self.height, self.width), dtype=bool)
        return self.mask_HW
