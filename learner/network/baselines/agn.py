"""AGN: grid attention on a decoder's skip connections, and a class from what it lets through (Schlemper et al. 2019).

The gate is additive attention: alpha = sigmoid(psi(relu(W_x x + W_g g))), x the finer level, g the gating signal from
the coarser one (their Eq. 1 and 2). The paper's own networks are a U-Net for masks and a Sononet for classes; this is
both on one encoder, since the comparison needs both answers from one network. The class is scored on the gated features
of every level, pooled and concatenated, as their Sononet does.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learner.config import TrainConfig
from learner.network.encoder import Encoder
from learner.network.interface import Network, Output
from learner.network.lanet import initialize


class GridAttention(nn.Module):
    """Weighs every place of a finer level by how well it fits the coarser one."""

    def __init__(self, channels: int, gating: int) -> None:
        super().__init__()
        inner = max(channels // 2, 8)
        self.of_feature = nn.Conv2d(channels, inner, 1, bias=False)
        self.of_gate = nn.Conv2d(gating, inner, 1)
        self.psi = nn.Conv2d(inner, 1, 1)

    def forward(self, feature_BCHW: Tensor, gate_BGhw: Tensor) -> Tensor:
        """Return the feature, weighed, BCHW."""
        gate_BCHW = F.interpolate(
            self.of_gate(gate_BGhw), size=feature_BCHW.shape[-2:], mode="bilinear", align_corners=False
        )
        weight_B1HW = torch.sigmoid(self.psi(F.relu(self.of_feature(feature_BCHW) + gate_BCHW)))
        return feature_BCHW * weight_B1HW


class AGN(Network):
    """Mask and class from one encoder, through attention gates."""

    def __init__(self, encoder: Encoder, num_classes: int, *, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        finer, last = encoder.channels[:-1], encoder.channels[-1]
        self.top = nn.Conv2d(last, width, 1)
        self.gates = nn.ModuleList(GridAttention(count, width) for count in finer)
        self.merge = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(count + width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
            )
            for count in finer
        )
        self.logit = nn.Conv2d(width, 1, 1)
        self.score = nn.Linear(sum(encoder.channels), num_classes)
        for part in (self.top, self.gates, self.merge, self.logit):
            initialize(part)

    def forward(self, image_B3HW: Tensor) -> Output:
        """Score a batch of normalised images, float B3HW."""
        features = self.encoder(image_B3HW)
        signal_BCHW = self.top(features[-1])
        pooled = [features[-1].mean(dim=(2, 3))]
        for level in reversed(range(len(features) - 1)):
            gated_BCHW = self.gates[level](features[level], signal_BCHW)
            pooled.append(gated_BCHW.mean(dim=(2, 3)))
            above_BCHW = F.interpolate(signal_BCHW, size=gated_BCHW.shape[-2:], mode="bilinear", align_corners=False)
            signal_BCHW = self.merge[level](torch.cat([gated_BCHW, above_BCHW], dim=1))
        return Output(self.logit(signal_BCHW), self.score(torch.cat(pooled, dim=1)))


def build_agn(config: TrainConfig, num_classes: int) -> AGN:
    """Build AGN on the configuration's encoder.

    Raises:
        ConfigInvalid: the encoder is unknown or cannot return features.
    """
    return AGN(Encoder(config.encoder, size=config.size), num_classes, width=config.head_channels)
