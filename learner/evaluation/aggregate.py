"""Rows of images -> the numbers of an evaluation: pure. Also by class, and by the size of the lesion."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from learner.evaluation.metrics import (
    average_precision,
    classification_metrics,
    false_positives_at,
    presence_auroc,
)
from learner.evaluation.per_image import ImageResult

SIZES = (("small", 0.0, 0.05), ("medium", 0.05, 0.2), ("large", 0.2, np.inf))
"""Lesions by the share of the image that their boxes cover: name, from, to below."""

FOUND_IOU = 0.5
"""A lesion is found where boxes overlap it by this much."""


@dataclass(frozen=True, slots=True)
class Classification:
    """How well classes are predicted, 0 to 1; None where it cannot be measured."""

    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None


@dataclass(frozen=True, slots=True)
class Localization:
    """How well lesions are found, over the images with a known one; a miss counts as 0."""

    n: int
    iou: float | None
    dice: float | None
    ap50_all: float | None
    """Over every image with a known location: a box on an image known to be empty is wrong."""
    ap50: float | None
    """Over only the images with a lesion."""
    mask_iou: float | None
    mask_dice: float | None


@dataclass(frozen=True, slots=True)
class Empty:
    """Images known to be empty, and the share of them on which a box is drawn."""

    n: int
    false_positive_rate: float | None
    presence_auroc: float | None
    """ROC AUC of telling images with a lesion from these."""
    false_positive_rate_at_95: float | None
    """Share of them with a box above the threshold that keeps 95% of the found lesions (IoU of at least .5)."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The images of one class, or with lesions of one size."""

    n: int
    accuracy: float | None
    iou: float | None
    dice: float | None
    ap50_all: float | None
    ap50: float | None
    mask_iou: float | None
    mask_dice: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The results of an evaluation, under the names that the command line uses."""

    n: int
    classification: Classification
    localization: Localization
    empty: Empty
    strata: Mapping[str, Mapping[str, Stratum]]
    """By `class` and by `size`, then by name."""
    unknown_class: int = 0
    """Images of a class that the model does not know; they count as wrong, except in AUC."""

    def to_document(self) -> dict[str, Any]:
        """Return the numbers as they are stored with a run."""
        return asdict(self)


def summarize_results(rows: Sequence[ImageResult], classes: Sequence[str]) -> Summary:
    """Turn rows into the numbers that `partly evaluate` prints.

    Localization counts the images with a known lesion, a miss as 0; images known to be empty are counted apart. What
    a method does not predict is not measured, rather than counted as wrong.

    Args:
        rows: one an image.
        classes: names in the order of the probabilities.
    """
    return Summary(
        n=len(rows),
        classification=_classification(rows, classes),
        localization=_localization(rows),
        empty=_empty(rows),
        strata=_strata(rows),
        unknown_class=sum(row.truth is not None and row.truth not in set(classes) for row in rows),
    )


def _classification(rows: Sequence[ImageResult], classes: Sequence[str]) -> Classification:
    predicted = [row for row in rows if row.probability is not None and row.truth is not None]
    names = [*classes, *sorted({row.truth for row in predicted if row.truth is not None} - set(classes))]
    index = {name: n for n, name in enumerate(names)}
    truth_N = np.array([index[row.truth or ""] for row in predicted], dtype=np.int64)
    return Classification(**classification_metrics(truth_N, np.array([row.probability for row in predicted])))


def _localization(rows: Sequence[ImageResult]) -> Localization:
    located = [row for row in rows if row.lesion]
    answered = [row for row in located if row.boxes is not None]
    return Localization(
        n=len(located),
        iou=mean(row.iou for row in answered),
        dice=mean(row.dice for row in answered),
        ap50_all=_ap50([row for row in rows if row.lesion is not None and row.boxes is not None]),
        ap50=_ap50(answered),
        mask_iou=mean(row.mask_iou for row in answered),
        mask_dice=mean(row.mask_dice for row in answered),
    )


def _empty(rows: Sequence[ImageResult]) -> Empty:
    empty = [row for row in rows if row.lesion is False]
    answered = [row for row in empty if row.boxes is not None]
    judged = [row for row in rows if row.lesion is not None and row.presence is not None]
    found = [max(row.ranks) for row in rows if row.ranks and row.iou is not None and row.iou >= FOUND_IOU]
    return Empty(
        n=len(empty),
        false_positive_rate=mean(float(bool(row.boxes)) for row in answered),
        presence_auroc=presence_auroc(
            np.array([bool(row.lesion) for row in judged]), np.array([row.presence for row in judged], dtype=float)
        )
        if judged
        else None,
        false_positive_rate_at_95=false_positives_at(found, [max(row.ranks, default=0.0) for row in answered]),
    )


def _ap50(rows: Sequence[ImageResult]) -> float | None:
    return average_precision(
        [row.truth_boxes for row in rows],
        [[box for box, _ in row.detections] for row in rows],
        [[rank for _, rank in row.detections] for row in rows],
    )


def _strata(rows: Sequence[ImageResult]) -> dict[str, dict[str, Stratum]]:
    names = sorted({row.truth for row in rows if row.truth is not None})
    by_class = {name: [row for row in rows if row.truth == name] for name in names}
    by_size = {
        name: [row for row in rows if row.lesion_share is not None and low <= row.lesion_share < high]
        for name, low, high in SIZES
    }
    return {
        kind: {name: _stratum(members) for name, members in strata.items() if members}
        for kind, strata in (("class", by_class), ("size", by_size))
    }


def _stratum(rows: Sequence[ImageResult]) -> Stratum:
    found = asdict(_localization(rows)) | {"n": len(rows)}
    return Stratum(accuracy=mean(row.right for row in rows), **found)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
