"""Images that a model has scored, and the order in which proposals are quickest to confirm. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from db.records import Box, ImageRecord


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model predicts for an image, with the score that the gate compares with tau."""

    image: ImageRecord
    boxes: tuple[Box, ...]
    class_name: str
    class_probability: float
    score: float
    box_scores: tuple[float, ...] = ()
    """One a box."""
    presence: float | None = None
    """Probability that there is something to find; None from a model without an output for it."""
    known_class_probability: float | None = None
    """Of the class that the image is known to have."""
    entropy: float = 0.0
    """Of the lesion's pixels and a band around it, bits, 0 to 1; see `learner.inference.uncertainty`."""
    disagreement: float = 0.0
    """1 - mean Dice over pairs of views, 0 to 1."""


def most_confident(scored: Sequence[Scored]) -> list[Scored]:
    """Boxes before images with nothing to find, each with the highest score first: what is quickest to confirm.

    The two kinds of score do not compare. Equal scores are in the order of registration.
    """
    return sorted(scored, key=lambda item: (not item.boxes, -item.score, item.image.id))
