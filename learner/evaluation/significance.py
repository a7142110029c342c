"""Intervals and tests for results on the same images: pure functions.

Images of one patient, video or picture are not independent, so whole groups are drawn, not images.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95


def paired_test(
    first: Callable[[NDArray[np.float64]], float | None],
    second: Callable[[NDArray[np.float64]], float | None],
    groups_N: Sequence[str],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> float | None:
    """Two-sided p-value of the difference of any two metrics over the same images, drawing groups with replacement.

    The differences of draws are moved by what was seen, and it is counted how often one is as far from 0 as that.

    Args:
        first: a metric as a function of the images' weights, None where it cannot be measured.
        second: the other method's.
        groups_N: the group that each image belongs to.
        seed: of the draws.
        draws: how many.

    Returns:
        p; None where there are fewer than two groups, or nothing can be measured.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 4.4.
    """
    one_N = np.ones(len(groups_N))
    ours, theirs = first(one_N), second(one_N)
    if len(set(groups_N)) < 2 or ours is None or theirs is None:
        return None
    seen = ours - theirs
    far = measured = 0
    for weights_N in drawn_weights(groups_N, seed, draws):
        a, b = first(weights_N), second(weights_N)
        if a is not None and b is not None:
            measured += 1
            far += abs(a - b - seen) >= abs(seen) - 1e-12
    return (1 + far) / (1 + measured) if measured else None


def statistic_interval(
    statistic: Callable[[NDArray[np.float64]], float | None],
    groups_N: Sequence[str],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> tuple[float, float] | None:
    """Percentile interval (95%) of any metric over images, drawing groups with replacement.

    Args:
        statistic: the metric as a function of the images' weights, None where it cannot be measured.
        groups_N: the group that each image belongs to.
        seed: of the draws.
        draws: how many.

    Returns:
        Lower and upper end; None where there are fewer than two groups, or nothing can be measured.

    Source: Field and Welsh 2007, Bootstrapping clustered data.
    """
    found = [value for weights_N in drawn_weights(groups_N, seed, draws) if (value := statistic(weights_N)) is not None]
    if len(set(groups_N)) < 2 or not found:
        return None
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def share_interval(
    statistic: Callable[[NDArray[np.float64]], float | None], groups_N: Sequence[str], *, seed: int = 0
) -> tuple[float, float] | None:
    """Interval (95%) of a metric from 0 to 1, by drawing groups; never a point where every image was right, or none.

    Whichever images are drawn then, the metric is the same, and a percentile interval would claim to know it exactly.

    Args:
        statistic: the metric as a function of the images' weights, from 0 to 1, None where it cannot be measured.
        groups_N: the group that each image belongs to.
        seed: of the draws.

    Returns:
        Lower and upper end; None where there are fewer than two groups, or nothing can be measured.

    Source: `statistic_interval`; at 0 and 1 Clopper and Pearson 1934, with groups for trials, which holds for the mean
    of any value from 0 to 1: a mean of m has all n groups at 1 with a chance of at most m^n.
    """
    ends = statistic_interval(statistic, groups_N, seed=seed)
    if ends is None:
        return None
    sure = ((1 - LEVEL) / 2) ** (1 / len(set(groups_N)))
    if np.allclose(ends, 1, rtol=0, atol=1e-9):
        return sure, 1.0
    return (0.0, 1 - sure) if np.allclose(ends, 0, rtol=0, atol=1e-9) else ends


def drawn_weights(groups_N: Sequence[str], seed: int, draws: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each image is drawn when whole groups are."""
    names, index_N = np.unique(np.asarray(groups_N, dtype=object).astype(str), return_inverse=True)
    if not len(names):
        return
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        # One after the other: all at once would take draws x groups numbers.
        chosen_G = rng.integers(0, len(names), len(names))
        yield np.bincount(chosen_G, minlength=len(names))[index_N].astype(float)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being several, in their order.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, n in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[n]))
        adjusted[n] = highest
    return adjusted
