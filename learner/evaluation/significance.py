"""Intervals and tests for results on the same images: pure functions.

Images of one patient, video or picture are not independent, so whole groups are drawn, not images.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95


def group_means(values_N: Sequence[float], groups_N: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum of the values and their number in every group, in order of the groups' names."""
    names, index_N = np.unique(np.asarray(groups_N, dtype=object).astype(str), return_inverse=True)
    sums_G = np.bincount(index_N, weights=np.asarray(values_N, dtype=float), minlength=len(names))
    return sums_G.astype(np.float64), np.bincount(index_N, minlength=len(names)).astype(np.float64)


def group_bootstrap(
    values_N: Sequence[float], groups_N: Sequence[str], *, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float] | None:
    """Percentile interval (95%) of a mean over images, drawing groups with replacement.

    Args:
        values_N: one value an image, such as whether it was right or its IoU.
        groups_N: the group that each image belongs to.
        seed: of the draws.
        draws: how many.

    Returns:
        Lower and upper end; None where there are fewer than two groups.

    Source: Field and Welsh 2007, Bootstrapping clustered data (the cluster bootstrap); Efron and Tibshirani 1993.
    """
    sums_G, counts_G = group_means(values_N, groups_N)
    if len(sums_G) < 2:
        return None
    means_D = _drawn_means(sums_G, counts_G, seed, draws)
    low, high = np.quantile(means_D, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired_bootstrap(
    first_N: Sequence[float], second_N: Sequence[float], groups_N: Sequence[str], *, seed: int = 0, draws: int = DRAWS
) -> float | None:
    """Two-sided p-value of the difference of two means over the same images, drawing groups with replacement.

    The differences are moved so that their mean is 0, and it is counted how often a draw is as far from 0 as what was
    seen; one is added to both counts, so that p is never 0.

    Returns:
        p, None where there are fewer than two groups.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 4.4.
    """
    difference_N = np.asarray(first_N, dtype=float) - np.asarray(second_N, dtype=float)
    sums_G, counts_G = group_means(difference_N.tolist(), groups_N)
    if len(sums_G) < 2:
        return None
    seen = difference_N.mean()
    centred_G = sums_G - seen * counts_G
    means_D = _drawn_means(centred_G, counts_G, seed, draws)
    return float((1 + np.sum(np.abs(means_D) >= abs(seen) - 1e-12)) / (1 + draws))


def _drawn_means(
    sums_G: NDArray[np.float64], counts_G: NDArray[np.float64], seed: int, draws: int
) -> NDArray[np.float64]:
    chosen_DG = np.random.default_rng(seed).integers(0, len(sums_G), (draws, len(sums_G)))
    means_D: NDArray[np.float64] = sums_G[chosen_DG].sum(axis=1) / counts_G[chosen_DG].sum(axis=1)
    return means_D


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
    names, index_N = np.unique(np.asarray(groups_N, dtype=object).astype(str), return_inverse=True)
    one_N = np.ones(len(index_N))
    ours, theirs = first(one_N), second(one_N)
    if len(names) < 2 or ours is None or theirs is None:
        return None
    seen = ours - theirs
    far = measured = 0
    for chosen_G in np.random.default_rng(seed).integers(0, len(names), (draws, len(names))):
        weights_N = np.bincount(chosen_G, minlength=len(names))[index_N].astype(float)
        a, b = first(weights_N), second(weights_N)
        if a is not None and b is not None:
            measured += 1
            far += abs(a - b - seen) >= abs(seen) - 1e-12
    return (1 + far) / (1 + measured) if measured else None


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
