"""Fills outlines in a time that grows with their length, however many corners they have; pure."""

import itertools

import numpy as np
from numpy.typing import NDArray

ON_THE_EDGE = 1e-9
"""Centres of pixels nearer to an edge than this lie on it, and count as inside."""
TOGETHER = 2**20
"""Crossings that are worked out at once."""


def fill_outline(corners_N2: NDArray[np.float64], mask_HW: NDArray[np.bool_]) -> None:
    """Fill a closed outline into a mask: a pixel is inside if its centre is (even-odd), or lies on an edge.

    Args:
        corners_N2: x, y in pixels, where the whole of an image of width 10 reaches from 0 to 10.
        mask_HW: bool, True inside; changed.
    """
    height, width = mask_HW.shape
    # From here on centres of pixels are whole numbers.
    starts_N2 = np.asarray(corners_N2, dtype=np.float64) - 0.5
    ends_N2 = np.roll(starts_N2, -1, axis=0)
    low_2, high_2 = starts_N2.min(axis=0), starts_N2.max(axis=0)
    left, top = (max(0, int(np.floor(value))) for value in low_2)
    right, bottom = min(width, int(np.floor(high_2[0])) + 2), min(height, int(np.floor(high_2[1])) + 2)
    if left >= right or top >= bottom:
        return
    toggles_HW = np.zeros((bottom - top, right - left + 1), dtype=bool)
    on_edge_HW = np.zeros_like(toggles_HW)
    rows_N = _rows_of(starts_N2, ends_N2, top, bottom)
    for part in _parts(rows_N):
        _cross(starts_N2[part], ends_N2[part], (left, top), toggles_HW, on_edge_HW)
    inside_HW = np.logical_xor.accumulate(toggles_HW, axis=1)
    inside_HW |= on_edge_HW
    mask_HW[top:bottom, left:right] |= inside_HW[:, :-1]


def _rows_of(starts_N2: NDArray[np.float64], ends_N2: NDArray[np.float64], top: int, bottom: int) -> NDArray[np.int64]:
    """Count the rows that each edge may cross."""
    low_N = np.maximum(np.ceil(np.minimum(starts_N2[:, 1], ends_N2[:, 1])), top)
    high_N = np.minimum(np.floor(np.maximum(starts_N2[:, 1], ends_N2[:, 1])), bottom - 1)
    return np.asarray(np.maximum(high_N - low_N + 1, 0), dtype=np.int64)


def _parts(rows_N: NDArray[np.int64]) -> list[slice]:
    """Cut the edges into parts that cross about as many rows as are worked out at once."""
    share_N = np.cumsum(rows_N + 1) // TOGETHER
    cuts = [0, *(np.flatnonzero(np.diff(share_N)) + 1).tolist(), len(rows_N)]
    return [slice(start, end) for start, end in itertools.pairwise(cuts)]


def _cross(
    starts_N2: NDArray[np.float64],
    ends_N2: NDArray[np.float64],
    origin: tuple[int, int],
    toggles_HW: NDArray[np.bool_],
    on_edge_HW: NDArray[np.bool_],
) -> None:
    """Note where edges cross rows: from there on the row is inside if it was outside, and the other way round."""
    (left, top), (rows, columns) = origin, toggles_HW.shape
    count_N = _rows_of(starts_N2, ends_N2, top, top + rows)
    edge_M = np.repeat(np.arange(len(count_N)), count_N)
    first_N = np.maximum(np.ceil(np.minimum(starts_N2[:, 1], ends_N2[:, 1])), top).astype(np.int64)
    row_M = np.arange(len(edge_M)) - np.repeat(np.cumsum(count_N) - count_N, count_N) + first_N[edge_M]
    (x0_M, y0_M), (x1_M, y1_M) = starts_N2[edge_M].T, ends_N2[edge_M].T
    is_level_M = y0_M == y1_M
    x_M = np.where(is_level_M, x0_M, x0_M + (row_M - y0_M) * ((x1_M - x0_M) / np.where(is_level_M, 1.0, y1_M - y0_M)))
    # Of two edges that meet in a row, the one that goes down from there counts.
    counts_M = ~is_level_M & (row_M < np.maximum(y0_M, y1_M))
    column_M = np.clip(np.ceil(x_M) - left, 0, columns - 1).astype(np.int64)
    flat_M = (row_M - top) * columns + column_M
    place_K, times_K = np.unique(flat_M[counts_M], return_counts=True)
    toggles_HW.ravel()[place_K[times_K % 2 == 1]] ^= True
    near_M = np.rint(x_M)
    is_on_M = (np.abs(x_M - near_M) < ON_THE_EDGE) & (near_M >= left) & (near_M < left + columns - 1)
    on_edge_HW[row_M[is_on_M] - top, (near_M[is_on_M] - left).astype(np.int64)] = True
    for edge in np.unique(edge_M[is_level_M]).tolist():
        y, ends = int(starts_N2[edge, 1]), sorted((float(starts_N2[edge, 0]), float(ends_N2[edge, 0])))
        first, last = np.clip([np.ceil(ends[0]) - left, np.floor(ends[1]) + 1 - left], 0, columns - 1).astype(int)
        on_edge_HW[y - top, first:last] = True
