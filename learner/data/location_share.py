"""Hides known locations from a training, to see what they are worth; pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from db.curation.location_share import choose_located
from db.records import ImageRecord, LocationStatus
from learner.data.examples import Examples


def hide_locations(images: Sequence[ImageRecord], share: float, seed: int) -> list[ImageRecord]:
    """Keep the location labels of a share of the located images, by class, and hide the others'.

    Args:
        images: to learn from.
        share: of every class, 0 to 1; at least one of a class is kept unless the share is 0.
        seed: another seed hides others; the same seed and images hide the same.

    Returns:
        The same images in the same order; those that are hidden have no label.
    """
    hidden = hidden_images(((image.id, image.class_name) for image in images if image.is_located), share, seed)
    return [replace(image, label=None) if image.id in hidden else image for image in images]


def hidden_images(located: Iterable[tuple[int, str | None]], share: float, seed: int) -> frozenset[int]:
    """Choose the images whose known location is hidden; see `hide_locations`.

    Args:
        located: number and class of every image whose location is known.
        share: of every class, 0 to 1, that is kept.
        seed: source of chance.
    """
    if share >= 1:
        return frozenset()
    named = [(str(image_id), class_name or "") for image_id, class_name in located]
    kept = choose_located(named, share, seed, rounded=math.ceil)
    return frozenset({int(name) for name, _ in named} - {int(name) for name in kept})


def examples_with_share(examples: Examples, share: float, seed: int) -> Examples:
    """Hide locations of packed examples; see `hide_locations`."""
    known = zip(examples.ids, examples.class_names, examples.statuses, strict=True)
    located = ((image_id, name) for image_id, name, status in known if status is not LocationStatus.UNKNOWN)
    return examples.hiding(hidden_images(located, share, seed))
