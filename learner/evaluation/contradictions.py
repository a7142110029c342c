"""Labels that predictions contradict, made by models that have not learned from them: classes, and boxes. Pure.

The one place that knows cleanlab. Shape legend: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from learner.errors import CheckUnavailable
from learner.evaluation.per_image import ImageResult

ELSEWHERE_IOU = 0.1
"""A predicted box that overlaps the known ones less than this is in another place."""
SURELY_NOTHING = 0.1
"""Probability of a finding below which a model says that there is nothing."""


class Contradicted(StrEnum):
    """What is contradicted."""

    CLASS = "class_contradicted"
    BOX = "box_contradicted"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One label that a model contradicts which has not learned from it."""

    image: int
    what: Contradicted
    score: float
    """How sure the model is, 0 to 1."""
    detail: str
    """What is known and what the model says, in words."""


def class_contradictions(rows: Sequence[ImageResult], classes: Sequence[str]) -> list[Contradiction]:
    """Find classes that are probably wrong, the surest first.

    Args:
        rows: of images, each scored by a model that has not learned from it.
        classes: names in the order of the rows' probabilities.

    Raises:
        CheckUnavailable: cleanlab is not installed.

    Source: Northcutt et al. 2021, Confident learning: estimating uncertainty in dataset labels, arXiv:1911.00068, as
    in cleanlab.
    """
    known = [row for row in rows if row.truth in classes and row.probability is not None and row.image is not None]
    label_N = np.array([classes.index(str(row.truth)) for row in known], dtype=np.int64)
    # A class that nobody has cannot be mistaken for another.
    present_K = np.unique(label_N)
    if len(present_K) < 2:
        return []
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as exc:
        raise CheckUnavailable(
            "classes are checked with cleanlab, which is not installed: pip install 'partly[labels]'"
        ) from exc
    probability_NK = np.array([row.probability for row in known], dtype=float)[:, present_K]
    probability_NK /= np.maximum(probability_NK.sum(axis=1, keepdims=True), 1e-12)
    index_N = np.searchsorted(present_K, label_N)
    order = find_label_issues(index_N, probability_NK, return_indices_ranked_by="self_confidence", n_jobs=1)
    found = []
    for n in np.asarray(order).tolist():
        row, said = known[n], int(probability_NK[n].argmax())
        predicted = classes[int(present_K[said])]
        detail = (
            f"class {row.truth!r}: a model that has not seen it says {predicted!r} ({probability_NK[n, said]:.2f}; "
            f"{row.truth!r} {probability_NK[n, index_N[n]]:.2f})"
        )
        found.append(
            Contradiction(row.image or 0, Contradicted.CLASS, 1 - float(probability_NK[n, index_N[n]]), detail)
        )
    return found


def box_contradictions(rows: Sequence[ImageResult], sure: float) -> list[Contradiction]:
    """Find locations that are probably wrong, the surest first.

    That is a known box where the model finds something elsewhere, or nothing at all, and an image known to be empty
    where it finds something.

    Args:
        rows: of images, each scored by a model that has not learned from it.
        sure: score from which a found location counts, 0 to 1.
    """
    found = [item for row in rows if (item := _of_box(row, sure)) is not None]
    return sorted(found, key=lambda item: -item.score)


def _of_box(row: ImageResult, sure: float) -> Contradiction | None:
    if row.image is None or row.lesion is None or row.boxes is None:
        return None
    if row.boxes and row.score >= sure:
        if not row.lesion:
            detail = f"known to be empty: a model that has not seen it finds something ({row.score:.2f})"
            return Contradiction(row.image, Contradicted.BOX, row.score, detail)
        if row.iou is not None and row.iou < ELSEWHERE_IOU:
            detail = f"box: a model that has not seen it finds something elsewhere ({row.score:.2f}, IoU {row.iou:.2f})"
            return Contradiction(row.image, Contradicted.BOX, row.score, detail)
    if row.lesion and not row.boxes and row.presence is not None and row.presence <= SURELY_NOTHING:
        nothing = 1 - row.presence
        detail = f"box: a model that has not seen it finds nothing ({nothing:.2f})"
        return Contradiction(row.image, Contradicted.BOX, nothing, detail)
    return None
