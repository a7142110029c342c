"""Hides known locations from a training, to see what they are worth; pure."""

import math
from collections.abc import Sequence
from dataclasses import replace

from db.curation.location_share import choose_located
from db.records import ImageRecord


def hide_locations(images: Sequence[ImageRecord], share: float, seed: int) -> list[ImageRecord]:
    """Keep the location labels of a share of the located images, by class, and hide the others'.

    Args:
        images: to learn from.
        share: of every class, 0 to 1; at least one of a class is kept unless the share is 0.
        seed: another seed hides others; the same seed and images hide the same.

    Returns:
        The same images in the same order; those that are hidden have no label.
    """
    if share >= 1:
        return list(images)
    located = [(str(image.id), image.class_name or "") for image in images if image.is_located]
    kept = choose_located(located, share, seed, rounded=math.ceil)
    hidden = {int(name) for name, _ in located} - {int(name) for name in kept}
    return [replace(image, label=None) if image.id in hidden else image for image in images]
