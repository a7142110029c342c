"""How unsure a model is of a location: the entropy of its lesion probabilities where that matters. Pure.

Over a whole image the mean says little: nearly all of it is background that no model doubts. So it is taken over the
lesion and a band around it, where a mistake would be (selective uncertainty: Ma et al. 2024,
arXiv:2401.16298).

Shape legend: S side of the square.
"""

import numpy as np
from numpy.typing import NDArray

BAND = 5 / 256
"""Width of the band as a share of the square's side: 5 px of 256."""
PRESENT = 0.5
"""Probability from which a pixel belongs to the lesion."""


def lesion_entropy(probability_SS: NDArray[np.float32]) -> float:
    """Work out the mean binary entropy over the lesion and its band.

    Where no pixel is probable enough, the lesion is what has at least half of the highest probability: where it
    would be.

    Args:
        probability_SS: float 0 to 1, views averaged.

    Returns:
        Bits, 0 (sure of every pixel) to 1.
    """
    # Loads slowly.
    from scipy.ndimage import maximum_filter1d

    inside_SS = probability_SS >= min(PRESENT, float(probability_SS.max()) / 2)
    reach = max(1, round(BAND * probability_SS.shape[-1]))
    rows, columns = (np.flatnonzero(inside_SS.any(axis=axis)) for axis in (1, 0))
    part = tuple(slice(max(0, int(found[0]) - reach), int(found[-1]) + reach + 1) for found in (rows, columns))
    # A square's maximum is that of its rows' maxima, which takes far fewer comparisons.
    rows_HW = maximum_filter1d(inside_SS[part].view(np.uint8), 2 * reach + 1, axis=1, mode="constant")
    band_HW = maximum_filter1d(rows_HW, 2 * reach + 1, axis=0, mode="constant").view(bool)
    chosen_P = probability_SS[part][band_HW].astype(np.float64).clip(0, 1)
    both = (chosen_P, 1 - chosen_P)
    bits = [-np.log2(part_P, out=np.zeros_like(part_P), where=part_P > 0) * part_P for part_P in both]
    return float(np.mean(bits[0] + bits[1]))
