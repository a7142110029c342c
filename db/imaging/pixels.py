"""Grey values of any depth as the 8 bits that everything else works with; pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch values from their own lowest to their highest onto 0 to 255.

    Returns:
        uint8 of the same shape; NaN and infinity count as 0, a single value everywhere becomes 0.
    """
    finite = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.zeros(finite.shape, dtype=np.uint8)
    return np.rint((finite - low) * (255.0 / (high - low))).astype(np.uint8)
