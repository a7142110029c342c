"""Fills polygons: a pixel is inside if its centre is. Too much work is refused before it is done.

scikit-image looks at every edge for every pixel of the polygon's box. A few rows cross few edges, so it is asked for a
few rows at a time, without what lies above or below them: the same answer for a fraction of the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.shapes.limits import MAX_FILL_STEPS, check_canvas, check_corners, number_in_range

Points = list[tuple[float, float]]
"""Corners as x, y in pixels of the upright image, top-left origin."""

BAND_ROWS = 8
SMALL_STEPS = 200_000
"""So little work is done at once."""


@dataclass(frozen=True, slots=True)
class _Band:
    """Rows of an image, and what of a polygon decides about them."""

    rows: slice
    columns: slice
    corners_N2: NDArray[np.float64]
    """x and y, where 0 is the centre of the first pixel."""

    @property
    def steps(self) -> int:
        """Pairs of a pixel and an edge."""
        pixels = int(self.rows.stop - self.rows.start) * int(self.columns.stop - self.columns.start)
        return pixels * len(self.corners_N2)


def mask_from_polygon(points: Points, height: int, width: int) -> NDArray[np.bool_]:
    """Fill a polygon; a pixel is inside if its centre is.

    Raises:
        ValueError: a number is out of range, or it would take too long.
    """
    check_canvas(height, width)
    bands = bands_of(points, height, width)
    mask_HW = np.zeros((height, width), dtype=bool)
    fill_bands(mask_HW, bands, MAX_FILL_STEPS)
    return mask_HW


def bands_of(points: Points, height: int, width: int) -> list[_Band]:
    """Cut a polygon into bands of rows that can be filled one after the other.

    Raises:
        ValueError: it has too many corners, or a number that is out of range.
    """
    check_corners(len(points))
    corners = [[number_in_range(number, "a corner of a polygon") for number in point] for point in points]
    corners_N2 = np.array(corners, dtype=np.float64).reshape(-1, 2) - 0.5
    return list(_bands(corners_N2, height, width)) if len(corners_N2) else []


def fill_bands(mask_HW: NDArray[np.bool_], bands: list[_Band], most: int) -> int:
    """Fill the bands of a polygon into a mask, and return how many steps that took.

    Args:
        mask_HW: bool, changed in place.
        bands: of a polygon on an image of this size.
        most: steps that may be taken.

    Raises:
        ValueError: it would take more; nothing was filled.
    """
    from skimage.measure import points_in_poly

    steps = sum(band.steps for band in bands)
    if steps > most:
        raise ValueError("its polygons have too many corners for their size to be filled; draw them with fewer")
    for band in bands:
        shape = (band.rows.stop - band.rows.start, band.columns.stop - band.columns.start)
        y_P, x_P = np.mgrid[band.rows, band.columns].reshape(2, -1).astype(np.float64)
        inside_P = points_in_poly(np.stack([x_P, y_P], axis=1), band.corners_N2)
        mask_HW[band.rows, band.columns] |= np.asarray(inside_P, dtype=bool).reshape(shape)
    return steps


def _bands(corners_N2: NDArray[np.float64], height: int, width: int) -> Iterator[_Band]:
    first, last = _pixels(corners_N2[:, 1], height)
    columns = _pixels(corners_N2[:, 0], width)
    whole = _Band(slice(first, last), slice(*columns), corners_N2)
    if first >= last or columns[0] >= columns[1]:
        return
    if whole.steps <= SMALL_STEPS:
        yield whole
        return
    y_N = corners_N2[:, 1]
    for top in range(first, last, BAND_ROWS):
        bottom = min(top + BAND_ROWS, last)
        # An edge whose two ends are above all rows, or below them, is met by none.
        side_N = (y_N > bottom - 1).astype(np.int8) - (y_N < top)
        next_N = np.roll(side_N, -1)
        met_N = (side_N != next_N) | (side_N == 0)
        kept_N2 = corners_N2[met_N | np.roll(met_N, 1)]
        left, right = _pixels(kept_N2[:, 0], width) if len(kept_N2) else (0, 0)
        if left < right:
            yield _Band(slice(top, bottom), slice(left, right), kept_N2)


def _pixels(numbers_N: NDArray[np.float64], size: int) -> tuple[int, int]:
    """Return the first pixel whose centre may be within the numbers, and the one after the last."""
    return max(0, int(np.floor(numbers_N.min()))), min(size, int(np.ceil(numbers_N.max())) + 1)
