"""Grey values of any depth as the 8 bits that everything else works with, in strips, so that none needs much memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRIP = 2**20
"""Values that are worked on at once."""


def stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch values from their own lowest to their highest onto 0 to 255.

    Returns:
        uint8 of the same shape; NaN and infinity count as 0, a single value everywhere becomes 0.
    """
    values = np.asarray(values)
    out = np.zeros(values.shape, dtype=np.uint8)
    strips = list(strips_of(len(values), values[0].size)) if values.size else []
    ends = [(float(part.min()), float(part.max())) for rows in strips for part in (_finite(values[rows]),)]
    low, high = min((pair[0] for pair in ends), default=0.0), max((pair[1] for pair in ends), default=0.0)
    if high > low:
        for rows in strips:
            out[rows] = np.rint((_finite(values[rows]) - low) * (255.0 / (high - low)))
    return out


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0.0, neginf=0.0)


def strips_of(height: int, row: int) -> Iterator[slice]:
    """Cut an image into strips of rows.

    Args:
        height: rows.
        row: values of a row.
    """
    rows = max(1, STRIP // max(row, 1))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def array_of(image: Image.Image, mode: str | None = None) -> NDArray[Any]:
    """Return an image's values, of another mode if one is named; Pillow itself would make several copies of the whole.

    Returns:
        HW, or HWC with C the bands of the mode.
    """
    if image.width * image.height <= STRIP:
        return np.array(image if mode in (None, image.mode) else image.convert(mode))
    out: NDArray[Any] | None = None
    for rows in strips_of(image.height, image.width):
        strip = image.crop((0, rows.start, image.width, rows.stop))
        part = np.asarray(strip if mode in (None, image.mode) else strip.convert(mode))
        if out is None:
            out = np.empty((image.height, *part.shape[1:]), dtype=part.dtype)
        out[rows] = part
    assert out is not None
    return out
