"""The losses of the paper and of the default preset: pure tensor functions.

Shape legend: B batch, K classes, H W height and width. Masks are targets in 0 to 1; predictions are logits.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

DICE_SMOOTHING = 1.0


def mask_cross_entropy(logits_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor | None = None) -> Tensor:
    """Two-sided pixel cross-entropy, one value an image.

    The paper prints the one-sided form of Eq. 6, whose optimum is a mask of ones; it says in words that cross-entropy
    was used, and so do we.

    Args:
        logits_B1HW: lesion logits.
        target_B1HW: 0 to 1; soft values are allowed.
        valid_B1HW: 0 where a pixel teaches nothing; the mean is over the rest.

    Returns:
        float B.
    """
    pixels_B1HW = F.binary_cross_entropy_with_logits(logits_B1HW, target_B1HW, reduction="none")
    if valid_B1HW is None:
        return pixels_B1HW.mean(dim=(1, 2, 3))
    total_B = valid_B1HW.sum(dim=(1, 2, 3)).clamp_min(1.0)
    return (pixels_B1HW * valid_B1HW).sum(dim=(1, 2, 3)) / total_B


def dice_loss(logits_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor | None = None) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), one value an image; 0 for an image without anything to find.

    Returns:
        float B.
    """
    probability_B1HW = torch.sigmoid(logits_B1HW)
    if valid_B1HW is not None:
        probability_B1HW, target_B1HW = probability_B1HW * valid_B1HW, target_B1HW * valid_B1HW
    both_B = (probability_B1HW * target_B1HW).sum(dim=(1, 2, 3))
    total_B = probability_B1HW.sum(dim=(1, 2, 3)) + target_B1HW.sum(dim=(1, 2, 3))
    loss_B = 1 - (2 * both_B + DICE_SMOOTHING) / (total_B + DICE_SMOOTHING)
    return torch.where(target_B1HW.sum(dim=(1, 2, 3)) > 0, loss_B, torch.zeros_like(loss_B))


def localization_loss(
    logits_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor | None = None, *, dice: bool
) -> Tensor:
    """Localization loss of each image (L_floc of Eq. 6): cross-entropy, with Dice where asked for.

    The target is averaged down to the size of the logits where it is larger.

    Returns:
        float B.
    """
    if target_B1HW.shape[-2:] != logits_B1HW.shape[-2:]:
        target_B1HW = F.adaptive_avg_pool2d(target_B1HW, (logits_B1HW.shape[-2], logits_B1HW.shape[-1]))
    loss_B = mask_cross_entropy(logits_B1HW, target_B1HW, valid_B1HW)
    return loss_B + dice_loss(logits_B1HW, target_B1HW, valid_B1HW) if dice else loss_B


def pseudo_mask(probability_B1HW: Tensor, *, low: float = 0.5, high: float = 0.5) -> tuple[Tensor, Tensor]:
    """Binarize a predicted mask: 1 above `high`, 0 up to `low`, and nothing in between.

    With both at .5 this is the binarize of Eq. 3 and 7.

    Returns:
        The pseudo mask and where it is valid, both float B1HW of zeros and ones.
    """
    mask_B1HW = (probability_B1HW > high).to(probability_B1HW.dtype)
    valid_B1HW = ((probability_B1HW > high) | (probability_B1HW <= low)).to(probability_B1HW.dtype)
    return mask_B1HW, valid_B1HW


def balanced_weights(class_N: Tensor, num_classes: int) -> Tensor:
    """Weights that make every class count alike: N / (K n_k), 0 for a class without an image.

    Args:
        class_N: class indices; negative where the class is not known.
        num_classes: K.

    Returns:
        float K.

    Source: King and Zeng 2001, Logistic regression in rare events data; scikit-learn's "balanced".
    """
    counts_K = torch.bincount(class_N[class_N >= 0], minlength=num_classes).float()
    present_K = counts_K > 0
    return torch.where(present_K, counts_K.sum() / (present_K.sum() * counts_K.clamp_min(1.0)), 0.0)


def passes_gate(class_probability_BK: Tensor, tau: float) -> Tensor:
    """The condition P_cls > tau of Eq. 7, on the most probable class; exactly tau does not pass.

    Returns:
        bool B.
    """
    return class_probability_BK.amax(dim=1) > tau


def chosen_mean(values_B: Tensor, chosen_B: Tensor, count: float) -> Tensor:
    """Sum of the chosen images' values over how many there are in the whole batch; 0 where there is none.

    Args:
        values_B: of the images at hand.
        chosen_B: bool, which of them count.
        count: images of the whole batch that count, however it is split.
    """
    return (values_B * chosen_B.to(values_B.dtype)).sum() / max(count, 1.0)


def presence_loss(logits_B: Tensor, presence_B: Tensor, weight_B: Tensor, total: float) -> Tensor:
    """Weighted cross-entropy of whether there is anything to find, over the images of which it is known.

    Args:
        logits_B: of "there is something".
        presence_B: 1 something, 0 nothing, negative where it is not known.
        weight_B: of each image.
        total: sum of the weights of the whole batch's images of which it is known, however it is split.
    """
    known_B = presence_B >= 0
    target_B = presence_B.clamp_min(0).to(logits_B.dtype)
    loss_B = F.binary_cross_entropy_with_logits(logits_B, target_B, reduction="none")
    return (loss_B * weight_B * known_B.to(logits_B.dtype)).sum() / (total or 1.0)


def hybrid_loss(
    class_loss: Tensor, located_loss: Tensor, pseudo_loss: Tensor, *, lambda_: float, alpha: float
) -> Tensor:
    """L_hyb = lambda L_cls + (1 - lambda) (L_sloc_w + alpha L_sloc_wo).

    Source: Eq. 7.
    """
    return lambda_ * class_loss + (1 - lambda_) * (located_loss + alpha * pseudo_loss)
