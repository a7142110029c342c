"""What every method is to the training loop: images in, lesion logits and class logits out.

Shape legend: B batch, K classes, H W of the mask the method answers with.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

NOTHING = -20.0
"""Lesion logit of a method that does not localize: a probability of nothing."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a network says about a batch."""

    mask_logits_B1HW: Tensor
    """Lesion logits at the head's own resolution; `NOTHING` everywhere from a method that does not localize."""
    class_logits_BK: Tensor
    """Zeros from a method that does not classify."""
    presence_logits_B: Tensor | None = None
    """Of "there is something to find"; None from a method that does not say."""


class Network(nn.Module):
    """One method. Its encoder may start from pretrained weights, everything else never does."""

    localizes: bool = True
    """It answers where; otherwise its mask says nothing, and is neither trained nor measured."""
    classifies: bool = True
    """It answers what; otherwise its class scores say nothing, and are neither trained nor measured."""
    judges_presence: bool = False
    """It says by an output of its own whether there is anything to find."""
    encoder: Any
    """See `learner.network.weights.Loadable`."""

    def forward(self, image_B3HW: Tensor) -> Output:
        """Score a batch of normalised images, float B3HW."""
        raise NotImplementedError

    def locate(self, image_B3HW: Tensor) -> Tensor:
        """Only the lesion logits B1HW: all that stage 1 trains."""
        return self.forward(image_B3HW).mask_logits_B1HW


def no_mask(image_B3HW: Tensor) -> Tensor:
    """Lesion logits B1HW of a method that does not localize."""
    return torch.full((image_B3HW.shape[0], 1, 1, 1), NOTHING, device=image_B3HW.device)
