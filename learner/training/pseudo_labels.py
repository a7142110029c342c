"""What an averaged network's answer teaches about images of which only the class is known: pure tensor functions.

The class often says that there is something to find, and how many. Such an image has a lesion even where no pixel's
probability is high, so its mask is taken relative to the most probable pixel, as a class activation map's is, and
teaches as much as that pixel is sure. Where images have one lesion, what is apart from that pixel is not taken for one.

Shape legend: P images, H W height and width.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_PEAK = 0.05
"""Below this a highest probability says nothing about places."""
REACH = 0.5
"""What belongs to a lesion is at least this share as probable as its most probable pixel."""


def relative_to_peak(probability_P1HW: Tensor, present_P: Tensor) -> tuple[Tensor, Tensor]:
    """Divide the probabilities of images that are known to have a lesion by the highest one.

    Args:
        probability_P1HW: of a lesion, 0 to 1.
        present_P: bool, there is known to be something to find.

    Returns:
        The probabilities, and float P: how much each image teaches, 1 or (where there is something) the highest
        probability.

    Source: Zhou et al. 2016, Learning deep features for discriminative localization, section 3.2.
    """
    peak_P = probability_P1HW.amax(dim=(1, 2, 3)).clamp_min(LEAST_PEAK)
    factor_P = torch.where(present_P, peak_P, torch.ones_like(peak_P))
    return (probability_P1HW / factor_P[:, None, None, None]).clamp_max(1.0), factor_P


def main_lesion(probability_P1HW: Tensor, chosen_P: Tensor) -> Tensor:
    """Take away what does not hang together with the most probable pixel.

    Args:
        probability_P1HW: of a lesion, 0 to 1.
        chosen_P: bool, for which images.

    Returns:
        The probabilities, 0 where a pixel is at least half as probable as the most probable one, but does not hang
        together (8-connected) with it.
    """
    peak_P111 = probability_P1HW.amax(dim=(2, 3), keepdim=True)
    inside_P1HW = (probability_P1HW >= REACH * peak_P111).to(probability_P1HW.dtype)
    reached_P1HW = (probability_P1HW >= peak_P111).to(probability_P1HW.dtype)
    # Each turn goes one pixel on; no number leaves the device, and lesions are no spirals.
    for _ in range(probability_P1HW.shape[-2] + probability_P1HW.shape[-1]):
        reached_P1HW = F.max_pool2d(reached_P1HW, 3, stride=1, padding=1) * inside_P1HW
    apart_P1HW = (inside_P1HW > reached_P1HW) & chosen_P[:, None, None, None]
    return probability_P1HW.masked_fill(apart_P1HW, 0.0)
