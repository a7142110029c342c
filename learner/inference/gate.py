"""What a proposal is gated by: the score that is compared with tau. Pure.

Shape legend: V views, H W height and width.
"""

import numpy as np
from numpy.typing import NDArray

from db.imaging.geometry import mask_dice


def pairwise_dice(masks_VHW: NDArray[np.bool_]) -> float:
    """Mean Dice over all pairs of V masks: how much several views of one image agree; 0 if the first is empty."""
    views = len(masks_VHW)
    if not masks_VHW[0].any():
        return 0.0
    pairs = [(a, b) for a in range(views) for b in range(a + 1, views)]
    return float(np.mean([mask_dice(masks_VHW[a], masks_VHW[b]) for a, b in pairs])) if pairs else 1.0
