"""LA-Net: feature maps -> one map of lesion logits, with CBAM on every level (paper, section 3.1.2).

Three heads share the interface. `PaperHead` squeezes each level to one channel and fuses them at the last level's size;
`FeaturePyramidHead` keeps `head_channels` and adds from coarse to fine; `UNetHead` sets each level beside what comes
from below it. Both answer at the first level's stride. They return logits; the sigmoid of f_mask is the caller's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learner.network.attention import CBAM

NARROWEST = 16
"""Channels that a block of U-Net's decoder has at least."""


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


class FeaturePyramidHead(nn.Module):
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


class UNetHead(nn.Module):
    """U-Net's decoder over the attended levels, answering at the finest level's stride.

    Source: Ronneberger et al. 2015, U-Net, with batch normalization.
    """

    def __init__(self, channels: Sequence[int], *, cam: bool, sam: bool, width: int) -> None:
        """Build the decoder.

        Args:
            channels: of the levels, finest first.
            cam: see `CBAM`.
            sam: see `CBAM`.
            width: channels of the coarsest block; half as many in each finer one, `NARROWEST` at least.
        """
        super().__init__()
        self.attention = nn.ModuleList(CBAM(count, cam=cam, sam=sam) for count in channels)
        self.blocks, below = nn.ModuleList(), channels[-1]
        for number, count in enumerate(reversed(channels[:-1])):
            narrowed = max(min(NARROWEST, width), width >> number)
            self.blocks.append(nn.Sequential(_conv_block(below + count, narrowed), _conv_block(narrowed)))
            below = narrowed
        self.logit = nn.Conv2d(below, 1, 3, padding=1)
        initialize(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits B1HW at the size of the first level."""
        *finer, found = [attend(feature) for feature, attend in zip(features, self.attention, strict=True)]
        for block, beside in zip(self.blocks, reversed(finer), strict=True):
            found = block(torch.cat([F.interpolate(found, size=beside.shape[-2:], mode="nearest"), beside], dim=1))
        logits_B1HW: Tensor = self.logit(found)
        return logits_B1HW


def _conv_block(channels: int, width: int | None = None) -> nn.Sequential:
    width = width or channels
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def initialize(module: nn.Module) -> None:
    """Xavier for convolutions, as the paper writes; BN keeps 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
