"""What measures on few images are worth: their intervals, and a warning."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from db.plain_text import counted
from learner.evaluation.aggregate import Summary
from learner.evaluation.comparison import METRICS, MethodRuns, interval
from learner.evaluation.per_image import ImageResult

FEW = 30
"""Images below which measures are shown with their interval and a warning."""
OF_CLASSES = ("accuracy", "f1", "auc")


def warn_of_few(summary: Summary) -> str | None:
    """Say that a measure rests on few images; None where there are enough."""
    parts = [(summary.n, "image"), (summary.localization.n, "located lesion")]
    few = [counted(n, noun) for n, noun in parts if 0 < n < FEW]
    if not few:
        return None
    return f"only {' and '.join(few)}: these numbers may be far from what more images would show"


def metric_intervals(
    rows: Sequence[ImageResult], classes: Sequence[str], groups: Mapping[int, str] | None = None
) -> dict[str, tuple[float, float]]:
    """Return the 95% intervals of the measures of a run, drawing groups of images with replacement.

    Args:
        rows: one an image.
        classes: in the order of the rows' probabilities.
        groups: by number of the image; None: each image is a group of its own, such as those that are not registered.

    Returns:
        By the part and the name of the measure, `localization iou`; without those that cannot be measured.
    """
    if groups is None:
        rows = [replace(row, image=n) for n, row in enumerate(rows)]
        groups = {n: str(n) for n in range(len(rows))}
    tested = MethodRuns((rows,), classes)
    found = {}
    for metric in METRICS:
        ends = interval(tested, metric, groups)
        if ends is not None:
            found[f"{'classification' if metric in OF_CLASSES else 'localization'} {metric}"] = ends
    return found
