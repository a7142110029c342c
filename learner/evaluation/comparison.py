"""Puts methods that answered for the same images side by side: intervals over groups, and tests against one of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from learner.evaluation.per_image import PER_IMAGE, ImageResult
from learner.evaluation.significance import group_bootstrap, holm, paired_bootstrap, paired_test
from learner.evaluation.weighted import statistic

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


def values_by_image(runs: Sequence[Results], metric: str) -> dict[int, float]:
    """Return the mean over runs (seeds) of a metric's value, for every image that has one in all of them."""
    found: dict[int, list[float]] = defaultdict(list)
    for rows in runs:
        for row in rows:
            value = getattr(row, PER_IMAGE[metric])
            if value is not None and row.image is not None:
                found[row.image].append(float(value))
    return {image_id: fmean(values) for image_id, values in found.items() if len(values) == len(runs)}


def interval(values: Mapping[int, float], groups: Mapping[int, str]) -> tuple[float, float] | None:
    """Return the 95% interval of the mean over images, drawing groups of images."""
    ids = sorted(values)
    return group_bootstrap([values[key] for key in ids], [groups[key] for key in ids])


def against(
    methods: Mapping[str, Mapping[int, float]], reference: str, groups: Mapping[int, str]
) -> dict[str, float | None]:
    """Test every method against one of them, on the images that both answered for.

    Args:
        methods: values by image, by method.
        reference: the method that the others are compared with.
        groups: the group that every image belongs to.

    Returns:
        Two-sided p-values by method, as they are (see `adjust_table`); None where nothing can be compared.
    """
    found: dict[str, float | None] = {}
    for name, values in methods.items():
        ids = sorted(set(values) & set(methods[reference]))
        found[name] = (
            paired_bootstrap(
                [values[key] for key in ids], [methods[reference][key] for key in ids], [groups[key] for key in ids]
            )
            if name != reference and ids
            else None
        )
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
