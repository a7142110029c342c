"""RMTL: a shared trunk with two branches (Rasaee and Rivaz 2021, arXiv 2108.04345).

The class comes from the pooled last features, the mask from a short decoder on them: three times convolution, ReLU6,
enlarging, batch normalisation, to 16, 112 and the full size, as in the released code of Fan et al.'s comparison.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from learner.config import TrainConfig
from learner.network.encoder import Encoder
from learner.network.interface import Network, Output
from learner.network.lanet import initialize

WIDTHS = (256, 64)
SIZES = (16, 112)
"""Sides after the first and second step; the third answers at the image's own size."""


class Step(nn.Module):
    """Convolution, ReLU6, enlarging to a size, batch normalisation."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(inside, outside, 3, padding=1)
        self.normalize = nn.BatchNorm2d(outside)

    def forward(self, feature_BCHW: Tensor, size: int) -> Tensor:
        """Return BCHW of this side."""
        grown_BCHW = F.relu6(self.convolve(feature_BCHW))
        grown_BCHW = F.interpolate(grown_BCHW, size=(size, size), mode="bilinear", align_corners=False)
        normalized_BCHW: Tensor = self.normalize(grown_BCHW)
        return normalized_BCHW


class RMTL(Network):
    """Class and mask from one trunk, with nothing passing between the branches."""

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        last = encoder.channels[-1]
        self.steps = nn.ModuleList([Step(last, WIDTHS[0]), Step(WIDTHS[0], WIDTHS[1])])
        # The last step's ReLU6 and normalisation would keep logits from being negative.
        self.logit = nn.Conv2d(WIDTHS[1], 1, 3, padding=1)
        self.score = nn.Linear(last, num_classes)
        initialize(self.steps)
        initialize(self.logit)

    def forward(self, image_B3HW: Tensor) -> Output:
        """Score a batch of normalised images, float B3HW."""
        last_BCHW = self.encoder(image_B3HW)[-1]
        mask_BCHW, side = last_BCHW, image_B3HW.shape[-1]
        for step, size in zip(self.steps, SIZES, strict=True):
            mask_BCHW = step(mask_BCHW, min(size, side))
        logits_B1HW = F.interpolate(self.logit(mask_BCHW), size=(side, side), mode="bilinear", align_corners=False)
        return Output(logits_B1HW, self.score(last_BCHW.mean(dim=(2, 3))))


def build_rmtl(config: TrainConfig, num_classes: int) -> RMTL:
    """Build RMTL on the configuration's encoder.

    Raises:
        ConfigInvalid: the encoder is unknown or cannot return features.
    """
    return RMTL(Encoder(config.encoder, size=config.size), num_classes)
