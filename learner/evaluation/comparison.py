"""Puts methods that answered for the same images side by side: intervals over groups, and tests against one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from learner.evaluation.per_image import PER_IMAGE, ImageResult
from learner.evaluation.significance import holm, paired_test, share_interval
from learner.evaluation.weighted import Statistic, statistic

METRICS = (*PER_IMAGE, "f1", "auc", "ap50_all", "ap50")

Results = Sequence[ImageResult]
"""The rows of one run."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs in one metric, over the images that both have it for."""

    metric: str
    n: int
    first: float
    second: float
    p: float
    """Two-sided, by drawing groups of images, after Holm."""


@dataclass(frozen=True, slots=True)
class MethodRuns:
    """The runs of one method on the same test images: seeds, and folds of them."""

    runs: Sequence[Results]
    classes: Sequence[str]
    """In the order of the rows' probabilities."""


def images_of(tested: MethodRuns, metric: str) -> set[int]:
    """Return the images that count for a metric in all runs of a method."""
    of_runs = [{row.image for row in rows if row.image is not None and _answers(row, metric)} for rows in tested.runs]
    return set.intersection(*of_runs) if of_runs else set()


def mean_statistic(tested: MethodRuns, metric: str, ids: Sequence[int]) -> Statistic | None:
    """Return the mean over a method's runs of a metric, as a function of the images' weights.

    Runs are scored on the same images, so one draw of images is a draw for all of them: seeds and folds are no
    further images.

    Returns:
        None where the rows do not say.
    """
    by_run = [{row.image: row for row in rows} for rows in tested.runs]
    found = [statistic(metric, [rows[key] for key in ids], tested.classes) for rows in by_run]
    known = [of_run for of_run in found if of_run is not None]
    if not known or len(known) < len(found):
        return None

    def mean_over_runs(weights_N: NDArray[np.float64]) -> float | None:
        values = [value for of_run in known if (value := of_run(weights_N)) is not None]
        return fmean(values) if len(values) == len(known) else None

    return mean_over_runs


def interval(tested: MethodRuns, metric: str, groups: Mapping[int, str]) -> tuple[float, float] | None:
    """Return the 95% interval of a method's metric, drawing groups of images; None where it cannot be measured."""
    ids = sorted(images_of(tested, metric))
    measure = mean_statistic(tested, metric, ids) if ids else None
    return share_interval(measure, [groups[key] for key in ids]) if measure is not None else None


def against(
    methods: Mapping[str, MethodRuns], reference: str, metric: str, groups: Mapping[int, str]
) -> dict[str, float | None]:
    """Test every method against one of them, on the images that both answered for.

    Args:
        methods: by name.
        reference: the method that the others are compared with.
        metric: what they are compared in.
        groups: the group that every image belongs to.

    Returns:
        Two-sided p-values by method, as they are (see `adjust_table`); None where nothing can be compared.
    """
    found: dict[str, float | None] = dict.fromkeys(methods)
    for name, tested in methods.items():
        ids = sorted(images_of(tested, metric) & images_of(methods[reference], metric))
        if name == reference or not ids:
            continue
        first, second = (mean_statistic(one, metric, ids) for one in (tested, methods[reference]))
        if first is not None and second is not None:
            found[name] = paired_test(first, second, [groups[key] for key in ids])
    return found


def adjust_table(p_values: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Adjust the p-values of a whole table for being several (Holm), by metric and method."""
    tested = [
        (metric, name) for metric, of_metric in p_values.items() for name, p in of_metric.items() if p is not None
    ]
    adjusted = holm([p for metric, name in tested if (p := p_values[metric][name]) is not None])
    found = {metric: dict(of_metric) for metric, of_metric in p_values.items()}
    for (metric, name), p in zip(tested, adjusted, strict=True):
        found[metric][name] = p
    return found


def compare_runs(
    first: Results, second: Results, groups: Mapping[int, str], classes: tuple[Sequence[str], Sequence[str]]
) -> list[Comparison]:
    """Compare two runs on the images that both answered for.

    Args:
        first: rows of one run.
        second: rows of the other.
        groups: the group that every image belongs to.
        classes: of both runs, in the order of their probabilities.

    Returns:
        A comparison for every metric that both have, tested by drawing groups of images; p-values after Holm.
    """
    found: list[Comparison] = []
    for metric in METRICS:
        ours, theirs = ({row.image: row for row in rows if _answers(row, metric)} for rows in (first, second))
        ids = sorted(key for key in ours.keys() & theirs.keys() if key is not None)
        if not ids:
            continue
        a, b = (
            statistic(metric, [rows[key] for key in ids], names)
            for rows, names in zip((ours, theirs), classes, strict=True)
        )
        if a is None or b is None:
            continue
        everything = np.ones(len(ids))
        of_first, of_second = a(everything), b(everything)
        p = paired_test(a, b, [groups[key] for key in ids])
        if p is not None and of_first is not None and of_second is not None:
            found.append(Comparison(metric, len(ids), of_first, of_second, p))
    adjusted = holm([line.p for line in found])
    return [replace(line, p=p_value) for line, p_value in zip(found, adjusted, strict=True)]


def _answers(row: ImageResult, metric: str) -> bool:
    """Say whether a row counts for a metric."""
    if metric in PER_IMAGE:
        return getattr(row, PER_IMAGE[metric]) is not None
    if metric in ("f1", "auc"):
        return row.probability is not None and row.truth is not None
    return row.boxes is not None and row.lesion is not None and (bool(row.lesion) or metric == "ap50_all")
