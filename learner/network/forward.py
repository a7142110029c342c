"""What surrounds a forward pass: normalised input, evaluation mode, tiles, logits at the input's size.

Shape legend: B batch, K classes, S side of the square that a network sees, H W a map's height and width,
L side of a square that is looked at in tiles, T tiles.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from types import EllipsisType

import torch
from torch import Tensor
from torch.nn import functional as F

from learner.config import TrainConfig
from learner.input_range import parse_statistics
from learner.network.interface import Network, Output

Place = tuple[EllipsisType, slice, slice]
TILES_AT_ONCE = 16
"""Tiles that one forward pass looks at."""
STRIDE_SHARE = 0.75
"""Tiles begin at most this share of their side apart, so that what is narrower than the rest lies in one as a whole."""


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


def scored_at_once(config: TrainConfig) -> int:
    """Return how many images are scored together: fewer where their squares are in tiles, of which there are many."""
    return max(1, config.batch_size // config.tiles**2)


def tile_starts(side: int, tile: int) -> list[int]:
    """Return where the tiles begin along a side, evenly spread, the first at 0 and the last at the end.

    Args:
        side: of the square, pixels.
        tile: its side, pixels, no larger.
    """
    gaps = math.ceil((side - tile) / (STRIDE_SHARE * tile))
    return [round(number * (side - tile) / gaps) for number in range(gaps + 1)] if gaps else [0]


def look(network: Network, image_B3LL: Tensor, size: int) -> Output:
    """Score squares that may be larger than what a network was trained on: the whole, reduced, and tiles in full.

    A pixel is of a lesion where the whole or the tiles say so, and there is something to find where one of them finds
    it. The class is the whole's, or that of the whole and of the tile that is surest to hold a lesion, averaged.

    Args:
        network: any.
        image_B3LL: normalised.
        size: side of what it was trained on, pixels; of a square no larger nothing but the network's own answer is
            returned.
    """
    side = image_B3LL.shape[-1]
    if side <= size:
        return network(image_B3LL)  # type: ignore[no-any-return]
    whole = network(F.adaptive_avg_pool2d(image_B3LL, size))
    starts = tile_starts(side, size)
    weight_1SS = _hat(size, image_B3LL.device)
    # Not smaller than float32, whatever the network computes in: many are added.
    total_B1LL = torch.zeros_like(image_B3LL[:, :1], dtype=torch.float32)
    count_1LL = torch.zeros_like(total_B1LL[0])
    surest_B = torch.full_like(total_B1LL[:, 0, 0, 0], -math.inf)
    class_BK, presence_B = whole.class_logits_BK.float(), whole.presence_logits_B
    of_surest_BK = class_BK
    for place, tile in _looked_at(network, image_B3LL, list(itertools.product(starts, starts)), size):
        total_B1LL[place] += upsample(tile.mask_logits_B1HW.float(), size) * weight_1SS
        count_1LL[place] += weight_1SS
        held_B = tile.mask_logits_B1HW.float().amax(dim=(1, 2, 3))
        if presence_B is not None and tile.presence_logits_B is not None:
            held_B = tile.presence_logits_B.float()
            presence_B = torch.maximum(presence_B.float(), held_B)
        of_surest_BK = torch.where((held_B > surest_B)[:, None], tile.class_logits_BK.float(), of_surest_BK)
        surest_B = torch.maximum(surest_B, held_B)
    mask_B1LL = torch.maximum(upsample(whole.mask_logits_B1HW.float(), side), total_B1LL / count_1LL)
    return Output(mask_B1LL, torch.where((surest_B > 0)[:, None], (class_BK + of_surest_BK) / 2, class_BK), presence_B)


def _looked_at(
    network: Network, image_B3LL: Tensor, corners: Sequence[tuple[int, int]], size: int
) -> Iterator[tuple[Place, Output]]:
    """Yield each tile's place in the squares, and what the network says of it, of all images."""
    count, at_once = len(image_B3LL), max(1, TILES_AT_ONCE // len(image_B3LL))
    places = [(..., slice(top, top + size), slice(left, left + size)) for top, left in corners]
    for start in range(0, len(places), at_once):
        some = places[start : start + at_once]
        tiles_T3SS = torch.cat([image_B3LL[place] for place in some])
        said = network(tiles_T3SS.contiguous(memory_format=torch.channels_last))
        presence_T = said.presence_logits_B
        presences = [None] * len(some) if presence_T is None else presence_T.split(count)
        outputs = map(Output, said.mask_logits_B1HW.split(count), said.class_logits_BK.split(count), presences)
        yield from zip(some, outputs, strict=True)


def _hat(size: int, device: torch.device) -> Tensor:
    """Weights 1SS of a tile's pixels, highest in the middle: at its edge a network does not see what comes next."""
    place_S = torch.arange(size, device=device, dtype=torch.float32) + 0.5
    weight_S = torch.minimum(place_S, size - place_S) / size
    return (weight_S[:, None] * weight_S[None, :])[None]
