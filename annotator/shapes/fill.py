"""Fills polygons that a server or a file describes, once their numbers are known to be sound; too much is refused."""

import numpy as np
from numpy.typing import NDArray

from annotator.shapes.limits import CROSSING_STEPS, MAX_FILL_STEPS, check_canvas, check_corners, number_in_range
from db.imaging.outlines import fill_outline

Points = list[tuple[float, float]]
"""Corners as x, y in pixels of the upright image, top-left origin."""


def mask_from_polygon(points: Points, height: int, width: int) -> NDArray[np.bool_]:
    """Fill a polygon; a pixel is inside if its centre is, or lies on an edge.

    Raises:
        ValueError: a number is out of range, or it would take too long.
    """
    check_canvas(height, width)
    mask_HW = np.zeros((height, width), dtype=bool)
    fill_polygon(mask_HW, points, MAX_FILL_STEPS)
    return mask_HW


def fill_polygon(mask_HW: NDArray[np.bool_], points: Points, most: int) -> int:
    """Fill a polygon into a mask, and return how many steps that took.

    Args:
        mask_HW: bool, changed in place.
        points: corners.
        most: steps that may be taken.

    Raises:
        ValueError: it has too many corners, a number that is out of range, or would take more steps; nothing was
            filled.
    """
    check_corners(len(points))
    corners = [[number_in_range(number, "a corner of a polygon") for number in point] for point in points]
    if not corners:
        return 0
    corners_N2 = np.array(corners, dtype=np.float64).reshape(-1, 2)
    steps = _steps(corners_N2, mask_HW.shape[0], mask_HW.shape[1])
    if steps > most:
        raise ValueError("its polygons have too many corners for their size to be filled; draw them with fewer")
    fill_outline(corners_N2, mask_HW)
    return steps


def _steps(corners_N2: NDArray[np.float64], height: int, width: int) -> int:
    """Count the pixels of the polygon's box on the image, and the rows that its edges cross."""
    x_N, y_N = np.clip(corners_N2[:, 0], 0, width), np.clip(corners_N2[:, 1], 0, height)
    crossings = np.abs(y_N - np.roll(y_N, 1)).sum() + len(y_N)
    return int((np.ptp(x_N) + 1) * (np.ptp(y_N) + 1) + CROSSING_STEPS * crossings)
