"""Puts methods that answered for the same images side by side: intervals over groups, and tests against one of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from learner.evaluation.per_image import PER_IMAGE, ImageResult
from learner.evaluation.significance import group_bootstrap, holm, mcnemar, paired_bootstrap

Results = Sequence[ImageResult]
"""The rows of one run."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs in one metric, over the images that both have it for."""

    metric: str
    n: int
    first: float
    second: float
    test: str
    """Which test: McNemar's for right and wrong, the paired bootstrap over groups for the others."""
    p: float
    """Two-sided, after Holm."""


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
        Two-sided p-values by method, after Holm for as many tests as there are; None where nothing can be compared.
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
    tested = [name for name, p in found.items() if p is not None]
    adjusted = holm([p for name in tested if (p := found[name]) is not None])
    return found | dict(zip(tested, adjusted, strict=True))


def compare_runs(first: Results, second: Results, groups: Mapping[int, str]) -> list[Comparison]:
    """Compare two runs on the images that both answered for.

    Args:
        first: rows of one run.
        second: rows of the other.
        groups: the group that every image belongs to.

    Returns:
        A comparison for every metric that is a mean over images.
    """
    found: list[Comparison] = []
    for metric in PER_IMAGE:
        ours, theirs = values_by_image([first], metric), values_by_image([second], metric)
        ids = sorted(set(ours) & set(theirs))
        if not ids:
            continue
        a, b = [ours[key] for key in ids], [theirs[key] for key in ids]
        p: float | None
        if metric == "accuracy":
            test, p = "McNemar", mcnemar([value > 0 for value in a], [value > 0 for value in b])
        else:
            test, p = "paired bootstrap", paired_bootstrap(a, b, [groups[key] for key in ids])
        if p is not None:
            found.append(Comparison(metric, len(ids), fmean(a), fmean(b), test, p))
    adjusted = holm([line.p for line in found])
    return [replace(line, p=p_value) for line, p_value in zip(found, adjusted, strict=True)]
