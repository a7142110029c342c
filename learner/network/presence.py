"""Is there anything to find at all? One logit an image, from the lesion logits and the deepest features."""

import math

import torch
from torch import Tensor, nn

WIDTH = 64


class PresenceHead(nn.Module):
    """Pools lesion logits (highest, mean, and a soft maximum) and the last level's features into one logit.

    The lesion logits are not changed through it: what it learns of whole images says nothing about places.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(2 * channels, WIDTH), nn.ReLU(inplace=True))
        self.score = nn.Linear(WIDTH + 3, 1)

    def forward(self, feature_BCHW: Tensor, mask_logits_B1HW: Tensor) -> Tensor:
        """Return logits of "there is something", float B."""
        pooled_BC = torch.cat([feature_BCHW.mean(dim=(2, 3)), feature_BCHW.amax(dim=(2, 3))], dim=1)
        logits_BP = mask_logits_B1HW.detach().flatten(1).float()
        soft_maximum_B = torch.logsumexp(logits_BP, dim=1) - math.log(logits_BP.shape[1])
        of_mask_B3 = torch.stack([logits_BP.amax(dim=1), logits_BP.mean(dim=1), soft_maximum_B], dim=1)
        features_BW = self.features(pooled_BC)
        logits_B1: Tensor = self.score(torch.cat([features_BW, of_mask_B3.to(features_BW.dtype)], dim=1))
        return logits_B1[:, 0]
