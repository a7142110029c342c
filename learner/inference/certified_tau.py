"""Chooses tau from data: the loosest threshold whose precision is certified on held-out boxes. Pure.

"Correct" means a box IoU of at least .5. A threshold picked as "the smallest whose precision on validation is high
enough" misses its target often; this one tests thresholds from strict to loose, each with an exact binomial test, and
stops at the first that fails, so that the chance of any wrong promise stays below delta.

Source: fixed-sequence testing, Angelopoulos et al. 2021 (Learn then Test), with exact binomial p-values.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.stats import binom

Item = TypeVar("Item")

MAX_THRESHOLDS = 40


@dataclass(frozen=True, slots=True)
class CertifiedTau:
    """The outcome: `tau` is infinite where no threshold can be certified."""

    tau: float
    precision: float
    """The precision that was asked for."""
    delta: float
    """Chance that the promise is wrong."""
    accepted: int
    """Calibration images above tau."""
    errors: int
    """Those of them that were not correct."""

    @property
    def is_certified(self) -> bool:
        """Say whether any threshold passed."""
        return math.isfinite(self.tau)


def one_of_each(items: Sequence[Item], group_of: Callable[[Item], str], seed: int) -> list[Item]:
    """Draw one item of every group, so that the items are independent of each other.

    Args:
        items: of all groups.
        group_of: the group that an item belongs to.
        seed: the same seed and groups give the same items.
    """
    members: dict[str, list[Item]] = {}
    for item in items:
        members.setdefault(group_of(item), []).append(item)
    return [random.Random(f"{seed}/{name}").choice(of_group) for name, of_group in members.items()]


def boxes_needed(precision: float, delta: float) -> int:
    """Correct boxes without an error that certify a precision: ceil(ln delta / ln precision)."""
    return math.ceil(math.log(delta) / math.log(precision))


def error_p_value(accepted: int, errors: int, precision: float) -> float:
    """P(Binomial(accepted, 1 - precision) <= errors): small if the true precision is likely above `precision`."""
    return float(binom.cdf(errors, accepted, 1 - precision))


def certify_tau(
    scores: Sequence[float], correct: Sequence[bool], *, precision: float = 0.85, delta: float = 0.2
) -> CertifiedTau:
    """Find the loosest tau whose precision is certified.

    Args:
        scores: of calibration images, 0 to 1; an image is accepted if its score is above tau.
        correct: whether its boxes are right.
        precision: share of accepted images that must be right, 0 to 1.
        delta: accepted chance that the promise is wrong, 0 to 1.

    Raises:
        ValueError: the lengths differ, or precision or delta are not between 0 and 1.
    """
    if len(scores) != len(correct):
        raise ValueError(f"{len(scores)} scores for {len(correct)} outcomes")
    if not (0 < precision < 1 and 0 < delta < 1):
        raise ValueError(f"precision and delta lie between 0 and 1, got {precision} and {delta}")
    nothing = CertifiedTau(math.inf, precision, delta, 0, 0)
    score_N, correct_N = np.asarray(scores, dtype=float), np.asarray(correct, dtype=bool)
    # Too strict a start accepts too few to pass and would stop the sequence at once.
    start = 2 * boxes_needed(precision, delta)
    thresholds = (
        np.unique(np.quantile(score_N, np.linspace(0, 1, MAX_THRESHOLDS), method="lower"))[::-1]
        if len(score_N)
        else np.array([])
    )
    found = nothing
    for tau in thresholds:
        accepted_N = score_N > tau
        accepted = int(accepted_N.sum())
        if accepted < min(start, len(score_N) - 1):
            continue
        errors = int((accepted_N & ~correct_N).sum())
        if error_p_value(accepted, errors, precision) > delta:
            break
        found = CertifiedTau(float(tau), precision, delta, accepted, errors)
    return found
