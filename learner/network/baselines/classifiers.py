"""Classifiers alone: ResNet18, ResNet50, EfficientNet-B0, ViT, or any other model of timm, with one layer on top."""

from typing import Any

from torch import Tensor, nn

from learner.config import TrainConfig
from learner.input_range import Statistics
from learner.network.encoder import create_timm, timm_statistics
from learner.network.interface import Network, Output, no_mask


class PooledEncoder(nn.Module):
    """A timm model up to its pooled features, as `weights.load_encoder_weights` knows encoders."""

    def __init__(self, name: str, *, size: int) -> None:
        super().__init__()
        self.name, self.size = name, size
        self.body: Any = create_timm(name, size=size, num_classes=0)

    def pretrained_body(self) -> nn.Module:
        """Return the same model with its ImageNet weights."""
        body: nn.Module = create_timm(self.name, size=self.size, num_classes=0, pretrained=True)
        return body

    def pretrained_statistics(self) -> Statistics:
        """Return mean and deviation that its ImageNet weights were made with."""
        return timm_statistics(self.body)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Return pooled features BC."""
        features_BC: Tensor = self.body(image_B3HW)
        return features_BC


class Classifier(Network):
    """What a picture shows, and nothing about where."""

    localizes = False

    def __init__(self, encoder: PooledEncoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        # Some models of timm widen their features once more before they are scored.
        width = getattr(encoder.body, "head_hidden_size", None) or encoder.body.num_features
        self.score = nn.Linear(int(width), num_classes)

    def forward(self, image_B3HW: Tensor) -> Output:
        """Score a batch of normalised images, float B3HW."""
        return Output(no_mask(image_B3HW), self.score(self.encoder(image_B3HW)))


def build_classifier(config: TrainConfig, num_classes: int) -> Classifier:
    """Build a classifier on the configuration's encoder.

    Raises:
        ConfigInvalid: timm has no such encoder.
    """
    return Classifier(PooledEncoder(config.encoder, size=config.size), num_classes)
