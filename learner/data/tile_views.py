"""What a training sees of squares that are larger than its network's: the whole, reduced, or a part in full.

Shape legend: B batch, L side of the squares, S side of what is seen.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from learner.data.dataset import NO_CLASS
from learner.data.presence import EMPTY, PRESENT, UNKNOWN
from learner.data.random_draws import Chance

PART_SHARE = 0.5
"""Share of the views that are parts."""
INSIDE_FROM = 127
"""Value of a target above which a pixel is inside."""
ON_LESION_SHARE = 0.75
"""Share of the parts, of images with a known lesion, that hold some of it; the others lie anywhere."""


@dataclass(frozen=True, slots=True)
class TileViews:
    """Views of a batch, and what is known of each."""

    images_B3SS: Tensor
    """uint8."""
    targets_B1SS: Tensor
    """uint8, 255 inside."""
    class_B: Tensor
    """int64; `NO_CLASS` also of a part that does not show what the class is about, or may not."""
    presence_B: Tensor
    """int8, of the view."""


def tile_views(
    images_B3LL: Tensor,
    targets_B1LL: Tensor,
    *,
    known_B: Tensor,
    class_B: Tensor,
    presence_B: Tensor,
    size: int,
    chance: Chance,
) -> TileViews:
    """Show half of a batch as a whole and of the others a part, of images with a known lesion mostly one that holds it.

    Args:
        images_B3LL: uint8, on any device.
        targets_B1LL: uint8, 255 inside, on any device.
        known_B: bool on the CPU, the location is known.
        class_B: int64 on the CPU, of the images.
        presence_B: int8 on the CPU, of the images.
        size: side of what is seen, pixels.
        chance: source of everything random.
    """
    device = torch.device("cpu")
    is_part_B = chance.uniform(0, 1, device) < PART_SHARE
    place_B4 = chance.uniform(0, 1, device, columns=4).tolist()
    images, targets = [], []
    for image_3LL, target_1LL, is_part, place in zip(
        images_B3LL, targets_B1LL, is_part_B.tolist(), place_B4, strict=True
    ):
        if is_part:
            top, left = _part_at(target_1LL[0], size, place)
            where = (..., slice(top, top + size), slice(left, left + size))
            images.append(image_3LL[where])
            targets.append(target_1LL[where])
        else:
            images.append(_reduced(image_3LL, size))
            targets.append(_reduced(target_1LL, size))
    targets_B1SS = torch.stack(targets)
    holds_B = (targets_B1SS.flatten(1).amax(dim=1) > INSIDE_FROM).cpu()
    # A class whose images are always empty says so of their parts, too; any other nothing of a part.
    of_known_B = torch.where(holds_B, PRESENT, EMPTY)
    of_part_B = torch.where(known_B, of_known_B, torch.where(presence_B == EMPTY, EMPTY, UNKNOWN))
    presence_B = torch.where(is_part_B, of_part_B.to(presence_B.dtype), presence_B)
    shows_class_B = ~is_part_B | holds_B
    class_B = torch.where(shows_class_B, class_B, torch.full_like(class_B, NO_CLASS))
    return TileViews(torch.stack(images), targets_B1SS, class_B, presence_B)


def _reduced(square_CLL: Tensor, size: int) -> Tensor:
    return F.adaptive_avg_pool2d(square_CLL.float(), size).round().to(torch.uint8)


def _part_at(target_LL: Tensor, size: int, place: list[float]) -> tuple[int, int]:
    """Return the top and left of a part: anywhere, or so that a pixel of the lesion is inside, as chance says."""
    furthest = target_LL.shape[-1] - size
    on_lesion, which, down, across = place
    top, left = down * (furthest + 1), across * (furthest + 1)
    inside_P2 = torch.nonzero(target_LL > INSIDE_FROM) if on_lesion < ON_LESION_SHARE else target_LL.new_zeros((0, 2))
    if len(inside_P2):
        y, x = inside_P2[min(int(which * len(inside_P2)), len(inside_P2) - 1)].tolist()
        top, left = y - down * size + 1, x - across * size + 1
    return min(max(int(top), 0), furthest), min(max(int(left), 0), furthest)
