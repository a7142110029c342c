"""Segmentation alone: U-Net (Ronneberger et al. 2015) and DeepLabV3 (Chen et al. 2017), of segmentation-models-pytorch.

They answer with logits; the sigmoid is the loss's and the prediction's. (A second one inside the network handicaps the
comparison in the paper's released code.)
"""

from typing import Any

import torch
from torch import Tensor, nn

from learner.config import TrainConfig
from learner.errors import ConfigInvalid
from learner.input_range import IMAGENET, Statistics
from learner.network.hub import offline
from learner.network.interface import Network, Output


class SmpEncoder(nn.Module):
    """The encoder of a model of that library, as `weights.load_encoder_weights` knows encoders."""

    def __init__(self, name: str, body: Any) -> None:
        super().__init__()
        self.name = name
        self.body: Any = body

    def pretrained_body(self) -> nn.Module:
        """Return the same encoder with its ImageNet weights."""
        import segmentation_models_pytorch as smp

        # Of encoders of timm it is only asked whether.
        weights = True if self.name.startswith("tu-") else "imagenet"
        found: nn.Module = smp.encoders.get_encoder(self.name, weights=weights)
        return found

    def pretrained_statistics(self) -> Statistics:
        """Return mean and deviation that its ImageNet weights were made with; they lie beside those in the hub."""
        import segmentation_models_pytorch as smp

        try:
            with offline():
                known = smp.encoders.get_preprocessing_params(self.name, "imagenet")
        except Exception:
            # Nothing was fetched, or the library knows none: nearly all of its encoders have ImageNet's.
            return IMAGENET
        return tuple(known["mean"]), tuple(known["std"])


class Segmenter(Network):
    """Where something is, and nothing about what it is."""

    classifies = False

    def __init__(self, model: Any, name: str, num_classes: int) -> None:
        super().__init__()
        self.encoder = SmpEncoder(name, model.encoder)
        self.decoder, self.head = model.decoder, model.segmentation_head
        self.num_classes = num_classes

    def forward(self, image_B3HW: Tensor) -> Output:
        """Score a batch of normalised images, float B3HW."""
        logits_B1HW: Tensor = self.head(self.decoder(self.encoder.body(image_B3HW)))
        nothing_BK = torch.zeros(len(image_B3HW), self.num_classes, device=image_B3HW.device)
        return Output(logits_B1HW, nothing_BK)


def build_unet(config: TrainConfig, num_classes: int) -> Segmenter:
    """Build a U-Net on the configuration's encoder; see `Segmenter`."""
    return _build("Unet", config, num_classes)


def build_deeplabv3(config: TrainConfig, num_classes: int) -> Segmenter:
    """Build a DeepLabV3 on the configuration's encoder; see `Segmenter`."""
    return _build("DeepLabV3", config, num_classes)


def _build(kind: str, config: TrainConfig, num_classes: int) -> Segmenter:
    try:
        import segmentation_models_pytorch as smp
    except ImportError as exc:
        raise ConfigInvalid(
            f"method={config.method} needs segmentation-models-pytorch: pip install 'partly[baselines]'"
        ) from exc
    # Encoders that the library does not have itself it takes from timm, under a prefix.
    name = config.encoder if config.encoder in smp.encoders.get_encoder_names() else f"tu-{config.encoder}"
    try:
        model = getattr(smp, kind)(encoder_name=name, encoder_weights=None, in_channels=3, classes=1, activation=None)
    except Exception as exc:  # the library raises whatever its builders raise
        raise ConfigInvalid(f"method={config.method} cannot be built on encoder={config.encoder} ({exc})") from exc
    return Segmenter(model, name, num_classes)
