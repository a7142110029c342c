"""A run's network with all that surrounds it, as one module: an image of any size in, probabilities out.

Framing is done by matrices that depend on the image's height and width alone, so that every exporter can write it down:
one that resizes and pads on the way in, one that brings the mask back. On the way in they do Pillow's own arithmetic
(whole numbers of 22 bits, rounded after each direction), so that the network sees the pixels that it was trained on.

Shape legend: H W the image's own size, S side of the square, N pixels of a line, V views, K classes, P pixels.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from learner.config import TrainConfig
from learner.inference.gate import PRESENT_FROM
from learner.inference.predict import GAIN_GAMMAS
from learner.input_range import parse_statistics
from learner.network.forward import look, upsample
from learner.network.interface import Network

ONE = 2.0**22
"""What Pillow's weights are whole numbers of: 8 bits are the pixel's, 2 are spare, of 32."""
INPUT = "image"
EXAMPLE = (96, 128, 3)
"""Height, width and channels of the image that a network is followed with; height and width stay free."""
Answer = Callable[[NDArray[np.uint8]], dict[str, NDArray[np.float32]]]
"""From an image, uint8 HW3, to what an exported model says, by name."""
CLASSES, PRESENCE, SCORE, MASK = "class_probability", "presence", "score", "mask"


def output_names(network: Network) -> tuple[str, ...]:
    """Name what an exported model answers with, in order; what a method does not say is left out."""
    said = {CLASSES: network.classifies, PRESENCE: network.judges_presence}
    said |= {SCORE: network.localizes, MASK: network.localizes}
    return tuple(name for name, is_said in said.items() if is_said)


class Exportable(nn.Module):
    """What `partly predict` does with an image, from the decoded pixels to the mask in the image's own frame."""

    partly_mean: Tensor
    partly_std: Tensor
    partly_places: Tensor

    def __init__(self, network: Network, config: TrainConfig) -> None:
        super().__init__()
        self.network, self.views = network, 4 if config.tta else 1
        self.size, self.seen_size = config.square_px, config.size
        self.letterbox, self.gate = config.framing == "letterbox", config.gate
        self.names, self.tall_first = output_names(network), resizes_tall_images_down_first()
        mean, std = parse_statistics(config.normalize)
        # Named apart from all that exporters call their own.
        self.register_buffer("partly_mean", torch.tensor(mean)[None, :, None, None], persistent=False)
        self.register_buffer("partly_std", torch.tensor(std)[None, :, None, None], persistent=False)
        self.register_buffer("partly_places", torch.arange(config.square_px, dtype=torch.float64), persistent=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Answer for an image, uint8 HW3.

        Returns:
            float32 by name, as far as the method says it: class_probability K, presence 1, score 1, mask HW.
        """
        # Counted by the image itself, since exporters may take a size for a constant.
        row_H = torch.cumsum(torch.ones_like(image[:, 0, 0], dtype=torch.float64), 0) - 1
        column_W = torch.cumsum(torch.ones_like(image[0, :, 0], dtype=torch.float64), 0) - 1
        longest = torch.maximum(row_H[-1:], column_W[-1:]) + 1
        down, across = (self._place(line_N, longest) for line_N in (row_H, column_W))
        square_3SS = self._square(image, (row_H, down), (column_W, across))
        views_V3SS = self._views((square_3SS.float() / 255.0)[None])
        output = look(self.network, (views_V3SS - self.partly_mean) / self.partly_std, self.seen_size)
        class_K = output.class_logits_BK.softmax(dim=1).mean(dim=0)
        said = {CLASSES: class_K}
        presence_1 = None
        if output.presence_logits_B is not None:
            presence_1 = torch.sigmoid(output.presence_logits_B).mean(dim=0, keepdim=True)
            said[PRESENCE] = presence_1
        if self.network.localizes:
            mask_VSS = self._unmirrored(torch.sigmoid(upsample(output.mask_logits_B1HW, self.size)[:, 0]))
            mean_SS = mask_VSS.mean(dim=0)
            said[MASK] = self._back(row_H, down) @ mean_SS @ self._back(column_W, across).transpose(0, 1)
            said[SCORE] = self._score(class_K, presence_1, mask_VSS, said[MASK])
        return {name: said[name] for name in self.names}

    def _place(self, line_N: Tensor, longest: Tensor) -> tuple[Tensor, Tensor]:
        """Return where a line of the image begins in the square, and its length there; see `frame_of`."""
        count = line_N[-1:] + 1
        if not self.letterbox:
            return torch.zeros_like(count), torch.zeros_like(count) + self.size
        inner = torch.clamp(torch.round(count * (self.size / longest)), min=1)
        return torch.floor((self.size - inner) / 2), inner

    def _square(
        self, image: Tensor, down: tuple[Tensor, tuple[Tensor, Tensor]], across: tuple[Tensor, tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Resize and pad an image, float64 3SS of whole grey values; see `framed_image`."""
        image_3HW = image.permute(2, 0, 1).double()
        down_SH, across_WS = _into(self.partly_places, *down), _into(self.partly_places, *across).transpose(0, 1)
        square_3SS = _rounded(down_SH @ _rounded(image_3HW @ across_WS))
        if not self.tall_first:
            return square_3SS
        (row_H, (_, inner_height)), (column_W, (_, inner_width)) = down, across
        lost_down, lost_across = row_H[-1:] + 1 - inner_height, column_W[-1:] + 1 - inner_width
        is_tall = (lost_down > 0) & (lost_down > 2 * lost_across)
        return torch.where(is_tall, _rounded(_rounded(down_SH @ image_3HW) @ across_WS), square_3SS)

    def _back(self, line_N: Tensor, place: tuple[Tensor, Tensor]) -> Tensor:
        """Weights NS that bring a line of the square back to a line of the image; see `unframed`."""
        start, inner = place[0].float(), place[1].float()
        scale = inner / (line_N[-1:] + 1).float()
        source_N = torch.clamp((line_N.float() + 0.5) * scale - 0.5, min=0)
        source_N = torch.minimum(source_N, inner - 1) + start
        return torch.clamp(1 - torch.abs(source_N[:, None] - self.partly_places.float()[None, :]), min=0)

    def _views(self, image_13SS: Tensor) -> Tensor:
        """Return the views that `partly predict` averages; see `score_views`."""
        if self.views == 1:
            return image_13SS
        gains = [image_13SS.clamp_min(1e-4).pow(gamma) for gamma in GAIN_GAMMAS]
        return torch.cat([image_13SS, image_13SS.flip(-1), *gains])

    def _unmirrored(self, mask_VSS: Tensor) -> Tensor:
        if self.views == 1:
            return mask_VSS
        return torch.cat([mask_VSS[:1], mask_VSS[1:2].flip(-1), mask_VSS[2:]])

    def _score(self, class_K: Tensor, presence_1: Tensor | None, mask_VSS: Tensor, mask_HW: Tensor) -> Tensor:
        """Work out what a threshold is compared with, float32 1; see `gate_score`."""
        found_1 = (mask_HW.flatten().amax(dim=0, keepdim=True) > 0.5).float()
        if presence_1 is not None:
            found_1 = found_1 * (presence_1 >= PRESENT_FROM).float()
        best_1 = class_K.amax(dim=0, keepdim=True)
        if self.gate == "class":
            return found_1 * best_1
        agreement_1 = _agreement(mask_VSS)
        if presence_1 is None:
            return found_1 * agreement_1 * best_1
        nothing_1 = (presence_1 < PRESENT_FROM).float() * (1 - presence_1)
        return found_1 * agreement_1 * presence_1 + nothing_1


def _into(places_S: Tensor, line_N: Tensor, place: tuple[Tensor, Tensor]) -> Tensor:
    """Weights SN, whole numbers, that make a line of the square of a line of the image: Pillow's for BILINEAR."""
    start, inner = place
    scale = (line_N[-1:] + 1) / inner
    at_S = places_S - start
    centre_S = (at_S + 0.5) * scale
    distance_SN = (line_N[None, :] - centre_S[:, None] + 0.5) * (1 / torch.clamp(scale, min=1))
    # Rows of the padding are zero, and so is what they make.
    inside_S = ((at_S >= 0) & (at_S < inner)).double()
    weight_SN = torch.clamp(1 - torch.abs(distance_SN), min=0) * inside_S[:, None]
    weight_SN = weight_SN / torch.clamp(weight_SN.sum(dim=1, keepdim=True), min=1e-9)
    return torch.floor(weight_SN * ONE + 0.5)


@functools.cache
def resizes_tall_images_down_first() -> bool:
    """Ask Pillow for its order: newer versions resize an image that loses much more height than width down first."""
    image_HW = np.random.default_rng(0).integers(0, 256, (48, 8), dtype=np.uint8)
    resized_hw = np.asarray(Image.fromarray(image_HW).resize((5, 6), Image.Resampling.BILINEAR))
    lines = [torch.arange(count, dtype=torch.float64) for count in (48, 8, 6, 5)]
    start = torch.zeros(1, dtype=torch.float64)
    down_hH, across_wW = _into(lines[2], lines[0], (start, start + 6)), _into(lines[3], lines[1], (start, start + 5))
    down_first_hw = _rounded(_rounded(down_hH @ torch.from_numpy(image_HW).double()) @ across_wW.transpose(0, 1))
    return bool((down_first_hw.numpy() == resized_hw).all())


def _rounded(sums: Tensor) -> Tensor:
    """Bring weighted sums of pixels back to whole grey values, as Pillow does after each direction."""
    return torch.clamp(torch.floor((sums + ONE / 2) / ONE), 0, 255)


def _agreement(mask_VSS: Tensor) -> Tensor:
    """Mean Dice over pairs of views, float32 1; of one view the mean probability inside its mask."""
    inside_VP = (mask_VSS > 0.5).float().flatten(1)
    if len(mask_VSS) == 1:
        return ((mask_VSS.flatten(1) * inside_VP).sum() / torch.clamp(inside_VP.sum(), min=1))[None]
    size_V = inside_VP.sum(dim=1)
    dices = []
    for one, other in _pairs(len(mask_VSS)):
        total = size_V[one] + size_V[other]
        dice = 2 * (inside_VP[one] * inside_VP[other]).sum() / torch.clamp(total, min=1)
        # Two masks with nothing in them are the same.
        dices.append(dice + (total == 0).float())
    return (torch.stack(dices).mean() * (size_V[0] > 0).float())[None]


def _pairs(views: int) -> Sequence[tuple[int, int]]:
    return [(one, other) for one in range(views) for other in range(one + 1, views)]
