"""AC: the attention-based classifier (paper, section 3.1.3): mask attention (MAM), average pooling, one layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attend_to_mask(feature_BCHW: Tensor, mask_B1HW: Tensor) -> Tensor:
    """MAM, without parameters: f_att = f_n + f_n * f_mask.

    Args:
        feature_BCHW: the last level f_n.
        mask_B1HW: probabilities 0 to 1 of any size; averaged to the feature's size where it is larger.

    Returns:
        f_att, BCHW.

    Source: Eq. 4.
    """
    if mask_B1HW.shape[-2:] != feature_BCHW.shape[-2:]:
        mask_B1HW = F.adaptive_avg_pool2d(mask_B1HW, (feature_BCHW.shape[-2], feature_BCHW.shape[-1]))
    return feature_BCHW + feature_BCHW * mask_B1HW


class AttentionClassifier(nn.Module):
    """Pools the last level, enriched by the mask, and scores the classes (Eq. 5)."""

    def __init__(self, channels: int, num_classes: int, *, mam: bool) -> None:
        super().__init__()
        self.mam = mam
        self.score = nn.Linear(channels, num_classes)

    def forward(self, feature_BCHW: Tensor, mask_logits_B1HW: Tensor) -> Tensor:
        """Return class logits BK."""
        if self.mam:
            feature_BCHW = attend_to_mask(feature_BCHW, torch.sigmoid(mask_logits_B1HW))
        logits_BK: Tensor = self.score(feature_BCHW.mean(dim=(2, 3)))
        return logits_BK
