"""Masks as polygons and back, in Label Studio's percent; pure.

A polygon has no holes, so a mask that has one is better sent as paint (`brush`), which loses nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.shapes.fill import Points, mask_from_polygon
from annotator.shapes.limits import MAX_SHAPES, check_canvas, read_points
from db.imaging.geometry import clip_box
from db.records import Box

TOLERANCE_PX = 0.4
"""Corners that move the outline by less than this are left out."""
MIN_CORNERS = 3

__all__ = [
    "Points",
    "box_of_polygon",
    "has_holes",
    "mask_from_polygon",
    "percent_from_polygon",
    "polygon_from_percent",
    "polygons_from_mask",
]


def has_holes(mask_HW: NDArray[np.bool_]) -> bool:
    """Say whether a mask surrounds a place that is not in it."""
    from scipy.ndimage import binary_fill_holes

    return bool(np.any(binary_fill_holes(mask_HW) != mask_HW))


def polygons_from_mask(mask_HW: NDArray[np.bool_]) -> list[Points]:
    """Trace the outer edge of every 8-connected part of a mask, to within a pixel; holes are filled.

    Raises:
        ValueError: it has more parts than an annotation may have shapes.
    """
    from scipy.ndimage import find_objects
    from skimage.measure import approximate_polygon, find_contours, label

    labels_HW = label(np.asarray(mask_HW, dtype=bool), connectivity=2)
    parts = int(labels_HW.max(initial=0))
    if parts > MAX_SHAPES:
        raise ValueError(f"a mask has {parts:,} parts; at most {MAX_SHAPES:,} can be sent as polygons")
    outlines = []
    for number, place in enumerate(find_objects(labels_HW), start=1):
        # A frame of nothing around it closes outlines that touch the image's edge.
        part_HW = np.pad((labels_HW[place] == number).astype(float), 1)
        contours = find_contours(part_HW, 0.5, fully_connected="high")
        outer = max(contours, key=_area)
        corners = approximate_polygon(outer, TOLERANCE_PX)[:-1]
        if len(corners) < MIN_CORNERS:
            corners = outer[:-1]
        # From centres of padded pixels of the part, row first, to x and y of the image.
        top, left = place[0].start - 0.5, place[1].start - 0.5
        outlines.append([(float(column) + left, float(row) + top) for row, column in corners])
    return outlines


def _area(contour: NDArray[np.float64]) -> float:
    y, x = contour[:, 0], contour[:, 1]
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def box_of_polygon(points: Points, width: int, height: int) -> Box | None:
    """Return the box around a polygon, cut at the image's edge; None where nothing is on the image."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return clip_box(Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)), width, height)


def percent_from_polygon(points: Points, width: int, height: int) -> list[list[float]]:
    """Express corners in percent of an image of `width` x `height` pixels."""
    return [[100 * x / width, 100 * y / height] for x, y in points]


def polygon_from_percent(value: Mapping[str, Any], width: int, height: int) -> Points:
    """Read a polygon as Label Studio stores it.

    Raises:
        ValueError: it has less than three corners or too many, or a number that is missing, not finite or far away.
    """
    check_canvas(height, width)
    try:
        percents = read_points(value.get("points") or [])
    except ValueError as exc:
        raise ValueError(f"a polygon needs corners of two numbers each ({exc})") from None
    points = [(x * width / 100, y * height / 100) for x, y in percents]
    if len(points) < MIN_CORNERS:
        raise ValueError(f"a polygon needs at least {MIN_CORNERS} corners, it has {len(points)}")
    return points
