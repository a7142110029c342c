"""LA-Net: feature maps -> one map of lesion logits, with CBAM on every level (paper, section 3.1.2).

Two heads share the interface. `PaperHead` squeezes each level to one channel and fuses them at the last level's size;
`TopDownHead` keeps `head_channels`, adds from coarse to fine and answers at the first level's stride.
Both return logits; the sigmoid that makes f_mask is the caller's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learner.network.attention import CBAM


def _resize(map_BCHW: Tensor, like_BCHW: Tensor) -> Tensor:
    if map_BCHW.shape[-2:] == like_BCHW.shape[-2:]:
        return map_BCHW
    return F.interpolate(map_BCHW, size=like_BCHW.shape[-2:], mode="bilinear", align_corners=False)


class PaperHead(nn.Module):
    """The paper's fusion: squeeze each level to 1 channel, resize to S_n, concatenate, conv + BN (Eq. 2)."""

    def __init__(self, channels: Sequence[int], *, cam: bool, sam: bool) -> None:
        super().__init__()
        self.attention = nn.ModuleList(CBAM(count, cam=cam, sam=sam) for count in channels)
        self.squeeze = nn.ModuleList(nn.Conv2d(count, 1, 3, padding=1) for count in channels)
        self.fuse = nn.Sequential(nn.Conv2d(len(channels), 1, 3, padding=1, bias=False), nn.BatchNorm2d(1))
        initialize(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits B1HW at the size of the last level."""
        squeezed = [
            _resize(squeeze(attend(feature)), features[-1])
            for feature, attend, squeeze in zip(features, self.attention, self.squeeze, strict=True)
        ]
        logits_B1HW: Tensor = self.fuse(torch.cat(squeezed, dim=1))
        return logits_B1HW


class TopDownHead(nn.Module):
    """A feature pyramid over the attended levels, answering at the finest level's stride."""

    def __init__(self, channels: Sequence[int], *, cam: bool, sam: bool, width: int) -> None:
        super().__init__()
        self.attention = nn.ModuleList(CBAM(count, cam=cam, sam=sam) for count in channels)
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.smooth = nn.ModuleList(_conv_block(width) for _ in channels)
        self.logit = nn.Conv2d(width, 1, 1)
        initialize(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits B1HW at the size of the first level."""
        top: Tensor | None = None
        for level in reversed(range(len(features))):
            lateral = self.lateral[level](self.attention[level](features[level]))
            top = self.smooth[level](lateral if top is None else lateral + _resize(top, lateral))
        logits_B1HW: Tensor = self.logit(top)
        return logits_B1HW


def _conv_block(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def initialize(module: nn.Module) -> None:
    """Xavier for convolutions, as the paper writes; BN keeps 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
