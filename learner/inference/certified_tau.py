"""Chooses tau from data: the loosest threshold whose precision is certified on held-out boxes. Pure.

"Correct" means a box IoU of at least .5. A threshold picked as "the smallest whose precision on validation is high
enough" misses its target often; this one tests thresholds from strict to loose, each with an exact binomial test, and
stops at the first that fails, so that the chance of any wrong promise stays below delta.

The promise is about images like the calibration images: drawn as they were, independent of each other, and with no
part in training or in choosing the epoch (`learner.inference.certify` sees to that).

Source: fixed-sequence testing, Angelopoulos et al. 2021 (Learn then Test), with exact binomial p-values; the lower
bound is Clopper and Pearson's (1934).
"""

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import betainc, betaincinv

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
    """Calibration images above tau; where nothing was certified, all that there were."""
    errors: int
    """Those of them that were not correct."""
    needed: int = 0
    """Further calibration images that it takes at least, see `images_needed`; 0 where a threshold is certified."""

    @property
    def is_certified(self) -> bool:
        """Say whether any threshold passed."""
        return math.isfinite(self.tau)

    @property
    def lower_bound(self) -> float | None:
        """Lower bound of the precision above tau, at a confidence of 1 - delta; None where nothing was certified."""
        return precision_lower_bound(self.accepted, self.errors, self.delta) if self.is_certified else None


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


def delta_of_attempt(delta: float, attempt: int) -> float:
    """Share the chance of a wrong promise over attempts on more and more images: 6 delta / (pi attempt)^2.

    Whoever asks again after every few reviews until the answer is yes is wrong far more often than one who asks once.
    The shares add up to delta, however often it is asked.

    Args:
        delta: accepted chance that any of the attempts promises wrongly, 0 to 1.
        attempt: counted from 1.

    Source: Bonferroni over a sequence of tests whose number is not known before, with the sum of 1 / k^2.
    """
    return 6 * delta / (math.pi * attempt) ** 2


def boxes_needed(precision: float, delta: float) -> int:
    """Correct boxes without an error that certify a precision: ceil(ln delta / ln precision)."""
    return math.ceil(math.log(delta) / math.log(precision))


def error_p_value(accepted: int, errors: int, precision: float) -> float:
    """P(Binomial(accepted, 1 - precision) <= errors): small if the true precision is likely above `precision`."""
    return float(betainc(accepted - errors, errors + 1, precision)) if errors < accepted else 1.0


def precision_lower_bound(accepted: int, errors: int, delta: float) -> float:
    """Return the one-sided lower bound of Clopper and Pearson, 0 to 1, which fails with a chance of at most delta."""
    correct = accepted - errors
    return float(betaincinv(correct, errors + 1, delta)) if correct else 0.0


def images_needed(images: int, best: int, errors: int, *, precision: float, delta: float) -> int:
    """Work out how many more calibration images a certificate takes at least, where the strictest test has failed.

    The test failed on the `best` images with the highest scores. Further ones are taken to be like them, as favourably
    as these allow: right as often as the upper bound (Clopper and Pearson, at the same confidence) of what was seen.
    With a rate below the precision no number of images would do, so the rate counts as at least halfway between
    the precision and 1. With r the rate, e the errors seen and b the best images, the smallest N is sought for which

        P(Binomial(N, 1 - precision) <= e + floor((1 - r) * (N - b))) <= delta.

    Without an error that is `boxes_needed`. One image always stays below the threshold, and of the others as many
    come above it as did so far: (N - b) * (images - 1) / b further images, or N + 1 - images where none was above.

    Args:
        images: calibration images so far.
        best: those of them above the strictest threshold that was tested.
        errors: of these, not correct.
        precision: that is asked for, between 0 and 1.
        delta: accepted chance that the promise is wrong, between 0 and 1.

    Returns:
        At least 1.
    """
    upper = float(betaincinv(best - errors + 1, errors, 1 - delta)) if errors else 1.0
    rate = max(upper, (1 + precision) / 2)

    def passes(accepted: int) -> bool:
        wrong = errors + math.floor((1 - rate) * (accepted - best))
        return error_p_value(accepted, wrong, precision) <= delta

    low = high = max(best, boxes_needed(precision, delta))
    while not passes(high):
        low, high = high, 2 * high
    accepted = low + bisect_left(range(low, high), True, key=passes)
    further = math.ceil((accepted - best) * (images - 1) / best) if best else accepted + 1 - images
    return max(1, further)


def certify_tau(
    scores: Sequence[float],
    correct: Sequence[bool],
    *,
    precision: float = 0.85,
    delta: float = 0.2,
    next_delta: float | None = None,
) -> CertifiedTau:
    """Find the loosest tau whose precision is certified.

    Args:
        scores: of calibration images, 0 to 1; an image is accepted if its score is above tau.
        correct: whether its boxes are right.
        precision: share of accepted images that must be right, 0 to 1.
        delta: accepted chance that the promise is wrong, 0 to 1.
        next_delta: that of a later attempt, for what that needs; None: the same.

    Raises:
        ValueError: the lengths differ, or precision or delta are not between 0 and 1.
    """
    if len(scores) != len(correct):
        raise ValueError(f"{len(scores)} scores for {len(correct)} outcomes")
    if not (0 < precision < 1 and 0 < delta < 1):
        raise ValueError(f"precision and delta must be between 0 and 1, got {precision} and {delta}")
    score_N, correct_N = np.asarray(scores, dtype=float), np.asarray(correct, dtype=bool)
    # Too strict a start accepts too few to pass and would stop the sequence at once.
    start = 2 * boxes_needed(precision, delta)
    thresholds = (
        np.unique(np.quantile(score_N, np.linspace(0, 1, MAX_THRESHOLDS), method="lower"))[::-1]
        if len(score_N)
        else np.array([])
    )
    found: CertifiedTau | None = None
    best = wrong = 0
    for tau in thresholds:
        accepted_N = score_N > tau
        accepted = int(accepted_N.sum())
        if accepted < min(start, len(score_N) - 1):
            continue
        errors = int((accepted_N & ~correct_N).sum())
        if error_p_value(accepted, errors, precision) > delta:
            best, wrong = accepted, errors
            break
        found = CertifiedTau(float(tau), precision, delta, accepted, errors)
    if found is not None:
        return found
    needed = images_needed(len(score_N), best, wrong, precision=precision, delta=next_delta or delta)
    return CertifiedTau(math.inf, precision, delta, len(score_N), int((~correct_N).sum()), needed)
