"""Query strategies: in which order people should see what a model has scored. Pure; one function a strategy.

A strategy takes scored images and returns them in order, the first to be shown first. It decides nothing else: what
passes the gate is decided before, and how many are taken after.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

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


def most_confident(scored: Sequence[Scored]) -> list[Scored]:
    """Boxes before images with nothing to find, each with the highest score first: what is quickest to confirm.

    The two kinds of score do not compare. Equal scores are in the order of registration.
    """
    return sorted(scored, key=lambda item: (not item.boxes, -item.score, item.image.id))


STRATEGIES: MappingProxyType[str, Callable[[Sequence[Scored]], list[Scored]]] = MappingProxyType(
    {"most_confident": most_confident}
)
"""Strategies by name; the first is the default."""
