"""The joint network: encoder -> LA-Net -> classifier, and presence, put together from a configuration."""

from collections.abc import Sequence

from torch import Tensor, nn

from learner.config import TrainConfig
from learner.network.classifier import AttentionClassifier
from learner.network.encoder import FINER_STRIDES, WANTED_STRIDES, Encoder
from learner.network.interface import Network, Output
from learner.network.lanet import FeaturePyramidHead, PaperHead, UNetHead
from learner.network.presence import PresenceHead


class JointNetwork(Network):
    """Classification and localization in one network (paper, Fig. 1)."""

    def __init__(
        self, encoder: Encoder, lanet: nn.Module, classifier: AttentionClassifier, presence: PresenceHead | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.lanet = lanet
        self.classifier = classifier
        self.presence = presence
        self.judges_presence = presence is not None

    def forward(self, image_B3HW: Tensor) -> Output:
        """Score a batch of normalised images, float B3HW."""
        features = self.encoder(image_B3HW)
        mask_logits_B1HW = self.lanet(features)
        presence_B = self.presence(features[-1], mask_logits_B1HW) if self.presence is not None else None
        return Output(mask_logits_B1HW, self.classifier(features[-1], mask_logits_B1HW), presence_B)

    def locate(self, image_B3HW: Tensor) -> Tensor:
        """Only the lesion logits B1HW: all that stage 1 trains."""
        logits_B1HW: Tensor = self.lanet(self.encoder(image_B3HW))
        return logits_B1HW


def build_joint_network(config: TrainConfig, num_classes: int) -> JointNetwork:
    """Build the joint network that a configuration describes, with random weights.

    Raises:
        ConfigInvalid: the encoder is unknown or cannot return features.
    """
    finer = config.head == "unet"
    encoder = Encoder(config.encoder, size=config.size, wanted=FINER_STRIDES if finer else WANTED_STRIDES)
    lanet = _build_head(config, encoder.channels)
    last = encoder.channels[-1]
    presence = PresenceHead(last) if config.presence else None
    return JointNetwork(encoder, lanet, AttentionClassifier(last, num_classes, mam=config.mam), presence)


def _build_head(config: TrainConfig, channels: Sequence[int]) -> nn.Module:
    if config.head == "paper":
        return PaperHead(channels, cam=config.cam, sam=config.sam)
    if config.head == "fpn":
        return FeaturePyramidHead(channels, cam=config.cam, sam=config.sam, width=config.head_channels)
    return UNetHead(channels, cam=config.cam, sam=config.sam, width=2 * config.head_channels)
