"""How many lesions the known locations have. Pure."""

from collections.abc import Iterable

from db.records import ImageRecord

SEVERAL_FROM = 0.05
"""Share of the images with a known lesion that have more than one box, from which on several are expected."""


def has_several_lesions(images: Iterable[ImageRecord]) -> bool:
    """Say whether one in twenty images with a known lesion, or more, has several boxes."""
    counts = [len(image.boxes) for image in images if image.boxes]
    return sum(count > 1 for count in counts) >= SEVERAL_FROM * len(counts) > 0
