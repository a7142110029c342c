"""Masks as polygons and back, in Label Studio's percent; pure.

A polygon has no holes, so a mask that has one is better sent as paint (`brush`), which loses nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.imaging.geometry import clip_box
from db.records import Box

TOLERANCE_PX = 0.4
"""Corners that move the outline by less than this are left out."""
MIN_CORNERS = 3

Points = list[tuple[float, float]]
"""Corners as x, y in pixels of the upright image, top-left origin."""


def has_holes(mask_HW: NDArray[np.bool_]) -> bool:
    """Say whether a mask surrounds a place that is not in it."""
    from scipy.ndimage import binary_fill_holes

    return bool(np.any(binary_fill_holes(mask_HW) != mask_HW))


def polygons_from_mask(mask_HW: NDArray[np.bool_]) -> list[Points]:
    """Trace the outer edge of every 8-connected part of a mask, to within a pixel; holes are filled."""
    from skimage.measure import approximate_polygon, find_contours, label

    labels_HW = label(np.asarray(mask_HW, dtype=bool), connectivity=2)
    outlines = []
    for number in range(1, int(labels_HW.max()) + 1):
        # A frame of nothing around it closes outlines that touch the image's edge.
        part_HW = np.pad((labels_HW == number).astype(float), 1)
        contours = find_contours(part_HW, 0.5, fully_connected="high")
        outer = max(contours, key=_area)
        corners = approximate_polygon(outer, TOLERANCE_PX)[:-1]
        if len(corners) < MIN_CORNERS:
            corners = outer[:-1]
        # From centres of padded pixels, row first, to x and y of the image.
        outlines.append([(float(column) - 0.5, float(row) - 0.5) for row, column in corners])
    return outlines


def _area(contour: NDArray[np.float64]) -> float:
    y, x = contour[:, 0], contour[:, 1]
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def mask_from_polygon(points: Points, height: int, width: int) -> NDArray[np.bool_]:
    """Fill a polygon; a pixel is inside if its centre is."""
    from skimage.draw import polygon2mask

    shifted = np.array([(y - 0.5, x - 0.5) for x, y in points])
    return np.asarray(polygon2mask((height, width), shifted), dtype=bool)


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
        ValueError: it has less than three corners, or a number that is missing or not finite.
    """
    corners: Sequence[Any] = value.get("points") or []
    try:
        points = [(float(x) * width / 100, float(y) * height / 100) for x, y in corners]
    except (TypeError, ValueError) as exc:
        raise ValueError(f"a polygon needs corners of two numbers each ({exc})") from exc
    if len(points) < MIN_CORNERS:
        raise ValueError(f"a polygon needs at least {MIN_CORNERS} corners, it has {len(points)}")
    if not all(math.isfinite(number) for point in points for number in point):
        raise ValueError("a polygon has a number that is not finite")
    return points
