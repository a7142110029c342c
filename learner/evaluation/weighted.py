"""Metrics of weighted images, quick enough to be worked out for thousands of draws: what tests of metrics are made of.

A weight is how often an image was drawn. With weights of 1 each function equals its namesake in `metrics`.

Shape legend: N images, K classes, D detections.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from db.imaging.geometry import boxes_iou
from learner.evaluation.per_image import PER_IMAGE, ImageResult

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], float | None]
"""A metric of images as a function of their weights; None where a draw leaves nothing to measure."""

RECALLS = np.linspace(0, 1, 101)
AP_IOU = 0.5


def statistic(metric: str, rows: Sequence[ImageResult], classes: Sequence[str]) -> Statistic | None:
    """Return a metric over these images as a function of their weights.

    Args:
        metric: accuracy, iou, dice, mask_iou, mask_dice, f1, auc, ap50 or ap50_all.
        rows: one an image, in the order of the weights.
        classes: names in the order of the probabilities.

    Returns:
        None where the rows do not say.
    """
    if metric in PER_IMAGE:
        values = [getattr(row, PER_IMAGE[metric]) for row in rows]
        return None if None in values else weighted_mean(np.array(values, dtype=float))
    if metric in ("f1", "auc"):
        if any(row.probability is None or row.truth is None for row in rows):
            return None
        names = [*classes, *sorted({str(row.truth) for row in rows} - set(classes))]
        truth_N = np.array([names.index(str(row.truth)) for row in rows], dtype=np.int64)
        probability_NK = np.array([row.probability for row in rows], dtype=float)
        return (weighted_f1 if metric == "f1" else weighted_auc)(truth_N, probability_NK)
    if any(row.boxes is None or row.lesion is None for row in rows):
        return None
    return weighted_ap(rows)


def weighted_mean(values_N: NDArray[np.float64]) -> Statistic:
    """Mean of one value an image."""
    return lambda weights_N: float(values_N @ weights_N / total) if (total := weights_N.sum()) else None


def weighted_f1(truth_N: NDArray[np.int64], probability_NK: NDArray[np.float64]) -> Statistic:
    """Macro F1 over the classes that occur; classes beyond the K that are known are never predicted."""
    predicted_N = probability_NK.argmax(axis=1)
    size = max(int(truth_N.max(initial=0)) + 1, probability_NK.shape[1])

    def f1(weights_N: Weights) -> float | None:
        truths_K = np.bincount(truth_N, weights_N, size)
        hits_K = np.bincount(truth_N, weights_N * (truth_N == predicted_N), size)
        both_K = truths_K + np.bincount(predicted_N, weights_N, size)
        occurs_K = truths_K > 0
        return float(np.mean(2 * hits_K[occurs_K] / both_K[occurs_K])) if occurs_K.any() else None

    return f1


def weighted_auc(truth_N: NDArray[np.int64], probability_NK: NDArray[np.float64]) -> Statistic:
    """ROC AUC, of the second class for two, macro one-vs-rest over the classes that occur for more.

    Images of classes that the model does not know are left out, as there is no probability to rank them by.
    """
    classes = probability_NK.shape[1]
    known_N = truth_N < classes
    ranks = [np.unique(probability_NK[:, k], return_inverse=True)[1] for k in range(classes)]

    def auc(weights_N: Weights) -> float | None:
        weights_N = weights_N * known_N
        present = [k for k in range(classes) if weights_N[truth_N == k].any()]
        if len(present) < 2:
            return None
        return float(np.mean([one(k, weights_N) for k in ([1] if classes == 2 else present)]))

    def one(k: int, weights_N: Weights) -> float:
        of_class_N = truth_N == k
        negative_R = np.bincount(ranks[k], weights_N * ~of_class_N)
        below_R = np.cumsum(negative_R) - negative_R / 2
        positive_N = weights_N * of_class_N
        return float(positive_N @ below_R[ranks[k]] / (positive_N.sum() * negative_R.sum()))

    return auc


def weighted_ap(rows: Sequence[ImageResult]) -> Statistic:
    """AP at an IoU of .5, interpolated at 101 recalls; boxes on images that are known to be empty are wrong."""
    truths_N = np.array([len(row.truth_boxes) for row in rows], dtype=float)
    found = [
        (n, right, score)
        for n, row in enumerate(rows)
        for right, (_, score) in zip(_right_boxes(row), row.detections, strict=True)
    ]
    found.sort(key=lambda detection: -detection[2])
    image_D = np.array([n for n, *_ in found], dtype=np.int64)
    right_D = np.array([right for _, right, _ in found], dtype=float)

    def ap(weights_N: Weights) -> float | None:
        wanted = truths_N @ weights_N
        if not wanted:
            return None
        weights_D = weights_N[image_D]
        hits_D = np.cumsum(weights_D * right_D)
        recall_D = hits_D / wanted
        precision_D = hits_D / np.maximum(np.cumsum(weights_D), 1e-12)
        envelope_D = np.maximum.accumulate(precision_D[::-1])[::-1]
        place_R = np.searchsorted(recall_D, RECALLS - 1e-12)
        padded_D = np.append(envelope_D, 0.0)
        return float(padded_D[place_R].mean())

    return ap


def _right_boxes(row: ImageResult) -> list[bool]:
    """Say of each box whether it overlaps a known one that no box with a higher score has taken."""
    boxes, ranks = [box for box, _ in row.detections], [rank for _, rank in row.detections]
    left = list(row.truth_boxes)
    right = [False] * len(boxes)
    for n in sorted(range(len(boxes)), key=lambda n: -ranks[n]):
        best = max(left, key=lambda known: boxes_iou([boxes[n]], [known]), default=None)
        if best is not None and boxes_iou([boxes[n]], [best]) >= AP_IOU:
            right[n] = True
            left.remove(best)
    return right
