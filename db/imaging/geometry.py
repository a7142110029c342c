"""Boxes and masks in pixels of the upright image: pure geometry, used by both siblings above.

A mask is a bool array HW, True inside. Everything here is exact for axis-parallel boxes; nothing does I/O.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.imaging.boxes import Box

ROWS_TOGETHER = 2**24
"""Pixels that are counted at once."""
MIN_AREA_SHARE = 0.02
"""A component below this share of the mask's area is noise, not a lesion."""
FEW_BOXES = 512
"""Up to so many boxes (or pairs of them) are laid on one grid, whose size is the square of their number."""


@dataclass(frozen=True, slots=True)
class Component:
    """An 8-connected part of a mask."""

    left: int
    top: int
    inside_HW: NDArray[np.bool_]
    """bool, cut to its extent, True inside."""

    @property
    def box(self) -> Box:
        """Its extent in pixels of the mask."""
        height, width = self.inside_HW.shape
        return Box(float(self.left), float(self.top), float(width), float(height))


def boxes_from_mask(mask_HW: NDArray[np.bool_], min_area_share: float = MIN_AREA_SHARE) -> tuple[Box, ...]:
    """Find the boxes of a mask: one for each 8-connected component that is large enough.

    Args:
        mask_HW: bool, True inside.
        min_area_share: components below this share of the mask's whole area are dropped.

    Returns:
        Boxes in pixels, the largest component first; none for an empty mask.
    """
    return tuple(component.box for component in mask_components(mask_HW, min_area_share))


def mask_components(mask_HW: NDArray[np.bool_], min_area_share: float = MIN_AREA_SHARE) -> tuple[Component, ...]:
    """Find the 8-connected components of a mask that are large enough.

    Args:
        mask_HW: bool, True inside.
        min_area_share: components below this share of the mask's whole area are dropped.

    Returns:
        The largest component first; none for an empty mask.
    """
    from scipy.ndimage import find_objects, label

    inside_HW = np.asarray(mask_HW, dtype=bool)
    rows_N, columns_N = np.flatnonzero(inside_HW.any(axis=1)), np.flatnonzero(inside_HW.any(axis=0))
    if not rows_N.size:
        return ()
    top, left = int(rows_N[0]), int(columns_N[0])
    extent_HW = inside_HW[top : rows_N[-1] + 1, left : columns_N[-1] + 1]
    labels_HW, number = label(extent_HW, structure=np.ones((3, 3)))
    if number == 1:
        # Nearly always.
        return (Component(left, top, extent_HW.copy()),)
    areas_N = np.zeros(number + 1, dtype=np.int64)
    for row_W in np.array_split(labels_HW, max(1, labels_HW.size // ROWS_TOGETHER)):
        areas_N += np.bincount(row_W.ravel(), minlength=number + 1)
    areas_N[0] = 0
    kept_N = np.flatnonzero((areas_N > 0) & (areas_N >= min_area_share * areas_N.sum()))
    # Specks may be as many as pixels, so that only what is kept becomes a record.
    renumbered_N = np.zeros(number + 1, dtype=np.min_scalar_type(len(kept_N)))
    renumbered_N[kept_N] = np.arange(1, len(kept_N) + 1)
    renumbered_HW = renumbered_N[labels_HW]
    places = find_objects(renumbered_HW)
    found = sorted(zip(areas_N[kept_N].tolist(), enumerate(places, start=1), strict=True), key=lambda pair: -pair[0])
    return tuple(
        Component(left + x.start, top + y.start, renumbered_HW[y, x] == number) for _, (number, (y, x)) in found
    )


def mask_from_boxes(boxes: Sequence[Box], hw: tuple[int, int], *, ellipse: bool = False) -> NDArray[np.bool_]:
    """Fill boxes, or their inscribed ellipses, into a mask. A pixel is inside if its centre is.

    Args:
        boxes: pixels of an image of size `hw`.
        hw: height and width.
        ellipse: fill the inscribed ellipse instead of the rectangle.

    Returns:
        bool HW.
    """
    height, width = hw
    mask_HW = np.zeros(hw, dtype=bool)
    x_W, y_H = np.arange(width) + 0.5, np.arange(height) + 0.5
    for box in boxes:
        dx_W = (x_W - box.x - box.width / 2) / (box.width / 2)
        dy_H = (y_H - box.y - box.height / 2) / (box.height / 2)
        if ellipse:
            mask_HW |= dx_W[None, :] ** 2 + dy_H[:, None] ** 2 <= 1
        else:
            mask_HW |= (np.abs(dx_W) <= 1)[None, :] & (np.abs(dy_H) <= 1)[:, None]
    return mask_HW


def union_area(boxes: Sequence[Box]) -> float:
    """Area that the boxes cover together, overlaps counted once, in square pixels."""
    if not boxes:
        return 0.0
    if len(boxes) == 1:
        (box,) = boxes
        return ((box.y + box.height) - box.y) * ((box.x + box.width) - box.x)
    if len(boxes) > FEW_BOXES:
        return _swept_areas(boxes, ())[1]
    xs = np.unique([edge for box in boxes for edge in (box.x, box.x + box.width)])
    ys = np.unique([edge for box in boxes for edge in (box.y, box.y + box.height)])
    covered = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
    for box in boxes:
        x0, x1 = np.searchsorted(xs, [box.x, box.x + box.width])
        y0, y1 = np.searchsorted(ys, [box.y, box.y + box.height])
        covered[y0:y1, x0:x1] = True
    return float(np.sum(covered * np.diff(ys)[:, None] * np.diff(xs)[None, :]))


def _swept_areas(first: Sequence[Box], second: Sequence[Box]) -> tuple[float, float, float]:
    """Return what both sets cover, the first, and the second, in memory that grows with the number of boxes alone.

    A line is swept down the image. Between two edges it crosses the same boxes, which are counted along it.
    """
    edges_N4 = np.array([(b.x, b.x + b.width, b.y, b.y + b.height) for b in (*first, *second)], dtype=np.float64)
    xs, x_N2 = np.unique(edges_N4[:, :2], return_inverse=True)
    ys, y_N2 = np.unique(edges_N4[:, 2:], return_inverse=True)
    x_N2, y_N2 = x_N2.reshape(-1, 2), y_N2.reshape(-1, 2)
    of_second_N = (np.arange(len(edges_N4)) >= len(first)).astype(np.intp)
    # Where boxes begin (1) and end (-1) along the line, for each set.
    steps_2X = np.zeros((2, len(xs)), dtype=np.int32)
    begin_N, end_N = np.argsort(y_N2[:, 0], kind="stable"), np.argsort(y_N2[:, 1], kind="stable")
    begins_Y = np.searchsorted(y_N2[begin_N, 0], np.arange(len(ys) + 1))
    ends_Y = np.searchsorted(y_N2[end_N, 1], np.arange(len(ys) + 1))
    widths_X = np.diff(xs)
    areas = np.zeros(3)
    for row, height in enumerate(np.diff(ys)):
        for order_N, bounds_Y, sign in ((begin_N, begins_Y, 1), (end_N, ends_Y, -1)):
            met = order_N[bounds_Y[row] : bounds_Y[row + 1]]
            np.add.at(steps_2X, (of_second_N[met], x_N2[met, 0]), sign)
            np.add.at(steps_2X, (of_second_N[met], x_N2[met, 1]), -sign)
        covered_2X = np.cumsum(steps_2X, axis=1)[:, :-1] > 0
        lengths = (covered_2X.all(axis=0) @ widths_X, covered_2X[0] @ widths_X, covered_2X[1] @ widths_X)
        areas += height * np.array(lengths)
    return float(areas[0]), float(areas[1]), float(areas[2])


def intersection(first: Box, second: Box) -> Box | None:
    """Return what two boxes share, None where that has no area."""
    x0, y0 = max(first.x, second.x), max(first.y, second.y)
    x1 = min(first.x + first.width, second.x + second.width)
    y1 = min(first.y + first.height, second.y + second.height)
    return Box(x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def _overlap(first: Sequence[Box], second: Sequence[Box]) -> tuple[float, float, float]:
    if len(first) * len(second) > FEW_BOXES:
        return _swept_areas(first, second)
    pieces = [piece for a in first for b in second if (piece := intersection(a, b)) is not None]
    return union_area(pieces), union_area(first), union_area(second)


def boxes_iou(first: Sequence[Box], second: Sequence[Box]) -> float:
    """Intersection over union of what two sets of boxes cover (paper's Eq. 8); 1 if both are empty."""
    both, a, b = _overlap(first, second)
    return both / (a + b - both) if a + b > 0 else 1.0


def boxes_dice(first: Sequence[Box], second: Sequence[Box]) -> float:
    """Dice score of what two sets of boxes cover (paper's Eq. 8); 1 if both are empty."""
    both, a, b = _overlap(first, second)
    return 2 * both / (a + b) if a + b > 0 else 1.0


def mask_iou(first_HW: NDArray[np.bool_], second_HW: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks (Eq. 8); 1 if both are empty."""
    union = np.logical_or(first_HW, second_HW).sum()
    return float(np.logical_and(first_HW, second_HW).sum() / union) if union else 1.0


def mask_dice(first_HW: NDArray[np.bool_], second_HW: NDArray[np.bool_]) -> float:
    """Dice score of two masks (Eq. 8); 1 if both are empty."""
    total = first_HW.sum() + second_HW.sum()
    return float(2 * np.logical_and(first_HW, second_HW).sum() / total) if total else 1.0


def is_within(box: Box, width: int, height: int, tolerance_px: float = 0.5) -> bool:
    """Say whether a box of positive size lies on an image of this size."""
    return (
        box.width > 0
        and box.height > 0
        and box.x >= -tolerance_px
        and box.y >= -tolerance_px
        and box.x + box.width <= width + tolerance_px
        and box.y + box.height <= height + tolerance_px
    )


def upright_around(box: Box, degrees: float) -> Box:
    """Return the upright box around one that is rotated about its centre."""
    if not degrees % 360:
        return box
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = box.width * cosine + box.height * sine, box.width * sine + box.height * cosine
    return Box(box.x + (box.width - width) / 2, box.y + (box.height - height) / 2, width, height)


def clip_box(box: Box, width: int, height: int) -> Box | None:
    """Cut a box at the image's edge; None where nothing is left."""
    return intersection(box, Box(0.0, 0.0, float(width), float(height)))
