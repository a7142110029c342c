"""What surrounds a forward pass: normalised input, evaluation mode, logits at the input's size.

Shape legend: B batch, S side of the square, H W a map's height and width.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from learner.config import TrainConfig
from learner.input_range import parse_statistics


class Normalizer:
    """Brings images in 0 to 1 to the range that the network was trained with."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        mean, std = parse_statistics(config.normalize)
        self.device = device
        self._mean = torch.tensor(mean, device=device)[None, :, None, None]
        self._std = torch.tensor(std, device=device)[None, :, None, None]

    def __call__(self, image_B3SS: Tensor) -> Tensor:
        """Normalise, float B3SS."""
        return ((image_B3SS - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


def upsample(logits_B1HW: Tensor, size: int) -> Tensor:
    """Enlarge logits to the square's size, before the sigmoid."""
    return F.interpolate(logits_B1HW, size=(size, size), mode="bilinear", align_corners=False)


class Evaluating:
    """Puts a model into evaluation mode and back into the mode it was in."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self._was_training = model, model.training

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *exc: object) -> None:
        self._model.train(self._was_training)
