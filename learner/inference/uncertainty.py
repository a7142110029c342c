"""How unsure a model is of a location: the entropy of its lesion probabilities where that matters. Pure.

Over a whole image the mean says little: nearly all of it is background that no model doubts. So it is taken over the
lesion and a band around it, where a mistake would be (selective uncertainty: Ma et al. 2024,
arXiv:2401.16298).

Shape legend: S side of the square.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BAND = 5 / 256
"""Width of the band as a share of the square's side: 5 px of 256."""
PRESENT = 0.5
"""Probability from which a pixel belongs to the lesion."""


def lesion_entropy(probability_SS: Tensor) -> float:
    """Work out the mean binary entropy over the lesion and its band.

    Where no pixel is probable enough, the lesion is what has at least half of the highest probability: where it
    would be.

    Args:
        probability_SS: float 0 to 1, views averaged.

    Returns:
        Bits, 0 (sure of every pixel) to 1.
    """
    highest = float(probability_SS.max())
    inside_SS = (probability_SS >= min(PRESENT, highest / 2)).float()
    reach = max(1, round(BAND * probability_SS.shape[-1]))
    # A square's maximum is that of its rows' maxima, which takes far fewer comparisons.
    rows_11SS = F.max_pool2d(inside_SS[None, None], (1, 2 * reach + 1), stride=1, padding=(0, reach))
    band_SS = F.max_pool2d(rows_11SS, (2 * reach + 1, 1), stride=1, padding=(reach, 0))[0, 0] > 0
    chosen_P = probability_SS[band_SS].double().clamp(0, 1)
    entropy_P = -(torch.special.xlogy(chosen_P, chosen_P) + torch.special.xlogy(1 - chosen_P, 1 - chosen_P))
    return float(entropy_P.mean() / torch.log(torch.tensor(2.0, dtype=torch.float64)))
