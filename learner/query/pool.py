"""What a query strategy is given, and what it answers. Pure.

Shape legend: N candidates, M images whose location is known, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image whose location is not known and could be asked for."""

    image: int
    """Its number."""
    group: str
    """Images of one patient, video or picture have the same one."""
    class_name: str | None
    entropy: float | None = None
    """Mean entropy of the lesion's pixels and of a band around it, bits, 0 to 1; None without a model."""
    disagreement: float | None = None
    """1 - mean Dice over pairs of views, 0 to 1; None without a model."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates, with what is known of all of them."""

    candidates: Sequence[Candidate]
    feature_NF: NDArray[np.float32] | None = None
    """Of unit length; None where the strategy asks for none."""
    known_MF: NDArray[np.float32] | None = None
    """Of the images whose location is known."""
    known_classes: Sequence[str | None] = ()
    """Their classes."""
    round: int = 0
    """Queries that were made before this one."""

    def __len__(self) -> int:
        return len(self.candidates)


@dataclass(frozen=True, slots=True)
class Choice:
    """One candidate, in a strategy's order."""

    position: int
    """Among the candidates."""
    score: float
    """What it was chosen by; only choices of one query compare."""
    reason: str
    """Why, in words."""
