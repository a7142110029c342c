"""Puts methods that answered for the same images side by side: intervals over groups, and tests against one of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from learner.image_results import PER_IMAGE
from learner.statistics import group_bootstrap, holm, paired_bootstrap

Results = Sequence[Mapping[str, Any]]
"""Of one run: rows as `image_results` writes them."""


def values_by_image(runs: Sequence[Results], metric: str) -> dict[int, float]:
    """Return the mean over runs (seeds) of a metric's value, for every image that has one in all of them."""
    found: dict[int, list[float]] = defaultdict(list)
    for rows in runs:
        for row in rows:
            value = row[PER_IMAGE[metric]]
            if value is not None:
                found[int(row["image"])].append(float(value))
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
