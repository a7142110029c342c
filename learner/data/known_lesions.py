"""How many known lesions images have, how large these are in a square, and which square shows the small ones. Pure."""

import math
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Protocol

from db.imaging.boxes import Box
from learner.config import MOST
from learner.data.letterbox import frame_of

LEARNABLE_PX = 8
"""Shorter sides can hardly be learned: one cell of the encoder's level at stride 8."""
CHOICES_PX = (128, 160, 192, 256, 384, 512)
"""Squares that are chosen from; larger ones cost too much to be chosen for anybody."""
LEAST_PX = MappingProxyType({"cpu": 128})
"""The smallest one that is chosen, by kind of device: one of 256 px would take a CPU four times as long."""
LEAST_ELSEWHERE_PX = 256
SEEN = 0.95
"""Share of the boxes that the chosen square has to show large enough."""

SEVERAL_FROM = 0.05
"""Share of the images with a known lesion that have more than one box, from which on several are expected."""


class Located(Protocol):
    """An image with its known boxes."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def height(self) -> int:
        """In pixels."""

    @property
    def boxes(self) -> tuple[Box, ...]:
        """None where nothing is known, or known to be there."""


def has_several_lesions(images: Iterable[Located]) -> bool:
    """Say whether one in twenty images with a known lesion, or more, has several boxes."""
    counts = [len(image.boxes) for image in images if image.boxes]
    return sum(count > 1 for count in counts) >= SEVERAL_FROM * len(counts) > 0


def shorter_sides(images: Iterable[Located], size: int, framing: str) -> list[float]:
    """Measure the shorter side of every known box in the square, in pixels.

    Args:
        images: of any kind; those without boxes have none.
        size: side of the square, pixels.
        framing: `letterbox` or `resize`.
    """
    found = []
    for image in images:
        frame = frame_of(image.width, image.height, size, framing)
        found += [min(box.width * frame.scale_x, box.height * frame.scale_y) for box in image.boxes]
    return found


def least_size(device: str) -> int:
    """Return the smallest square that is chosen on a kind of device (cpu, cuda, mps), its side in pixels."""
    return LEAST_PX.get(device, LEAST_ELSEWHERE_PX)


def choose_size(images: Sequence[Located], framing: str, least: int, *, tiles: int = 1) -> int:
    """Choose the smallest square in which 19 of 20 known boxes are at least `LEARNABLE_PX` wide and high.

    Args:
        images: of any kind; those without boxes have no say.
        framing: `letterbox` or `resize`.
        least: side of the smallest square that may be chosen, pixels.
        tiles: how often that fits into a side of the images.

    Returns:
        Side of the square that the network sees, pixels; the largest choice where none shows that many.
    """
    for size in (choice for choice in CHOICES_PX if choice >= least):
        if _share_large_enough(shorter_sides(images, tiles * size, framing)) >= SEEN:
            return size
    return CHOICES_PX[-1]


def describe_small(images: Sequence[Located], size: int, framing: str, *, tiles: int = 1) -> str | None:
    """Warn of boxes that are too small to be learned at a size; None where hardly any is."""
    sides = shorter_sides(images, tiles * size, framing)
    if _share_large_enough(sides) >= SEEN:
        return None
    small = sum(side < LEARNABLE_PX for side in sides)
    # Twice as many pixels across make every side twice as long.
    ordered = sorted(sides)
    deciding = ordered[int((1 - SEEN) * len(ordered))]
    wanted = min(-(-size * LEARNABLE_PX / deciding // 64) * 64, MOST["size"])
    enough = math.ceil(tiles * LEARNABLE_PX / deciding)
    at = f"size={size}" + f" and tiles={tiles}" * (tiles > 1)
    remedy = "cut the images into parts"
    if enough * size <= MOST["size"]:
        remedy = (
            f"--set size={wanted:.0f} would show nearly all of them, and so would --set tiles={enough}, in less time"
        )
    return (
        f"{small} of {len(sides)} boxes are narrower than {LEARNABLE_PX} px at {at} (the smallest "
        f"{ordered[0]:.1f} px) and can hardly be learned; {remedy}"
    )


def _share_large_enough(sides: Sequence[float]) -> float:
    return sum(side >= LEARNABLE_PX for side in sides) / len(sides) if sides else 1.0
