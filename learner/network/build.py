"""Which network a configuration means: the joint one, or one of the paper's comparison methods."""

from collections.abc import Callable
from types import MappingProxyType

from learner.config import TrainConfig
from learner.network.baselines.agn import build_agn
from learner.network.baselines.classifiers import build_classifier
from learner.network.baselines.rmtl import build_rmtl
from learner.network.baselines.segmenters import build_deeplabv3, build_unet
from learner.network.interface import Network
from learner.network.model import build_joint_network

METHODS: MappingProxyType[str, Callable[[TrainConfig, int], Network]] = MappingProxyType(
    {
        "lanet": build_joint_network,
        "classifier": build_classifier,
        "unet": build_unet,
        "deeplabv3": build_deeplabv3,
        "rmtl": build_rmtl,
        "agn": build_agn,
    }
)


def build_model(config: TrainConfig, num_classes: int) -> Network:
    """Build the network that a configuration describes, with random weights.

    Raises:
        ConfigInvalid: the encoder is unknown, or cannot do what the method needs.
    """
    return METHODS[config.method](config, num_classes)
