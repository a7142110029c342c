"""The metrics of the paper's Eq. 8, with AUC and AP50: pure functions over arrays and boxes.

Precision, recall and F1 are macro averages. Localization counts every image with a known lesion; a miss counts as 0.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from db.records import Box

Floats = NDArray[np.floating]
MOST_DETECTIONS = 100
"""Boxes of an image that count in AP."""
MOST_IOU = 1 - 1e-10
"""Two boxes that are the same overlap this much at least."""
RECALLS = np.linspace(0, 1, 101)
"""At which AP asks for the precision."""


def classification_metrics(truth_N: NDArray[np.integer], probability_NK: Floats) -> dict[str, float | None]:
    """Accuracy, macro precision, recall and F1 over the classes that occur, and AUC.

    Args:
        truth_N: class indices; from K on they are classes that the model does not know, and which it gets wrong.
        probability_NK: rows sum to 1.

    Returns:
        accuracy, precision, recall, f1, auc; all None for no image, auc None where only one class occurs.

    Source: Eq. 8; recall equals accuracy on a balanced set only if it is a macro average, as the paper's tables show.
    """
    # Loads slowly, and who only proposes measures nothing.
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    if not len(truth_N):
        return dict.fromkeys(("accuracy", "precision", "recall", "f1", "auc"))
    predicted_N = probability_NK.argmax(axis=1)
    # There is no probability to rank images of other classes by.
    known_N = truth_N < probability_NK.shape[1]
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth_N, predicted_N, labels=np.unique(truth_N), average="macro", zero_division=0
    )
    return {
        "accuracy": float(accuracy_score(truth_N, predicted_N)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auc": roc_auc(truth_N[known_N], probability_NK[known_N]),
    }


def roc_auc(truth_N: NDArray[np.integer], probability_NK: Floats) -> float | None:
    """ROC AUC: of the second class for two classes, macro one-vs-rest over the classes that occur beyond that.

    Returns:
        0 to 1, None where fewer than two classes occur.
    """
    # Loads slowly, and who only proposes measures nothing.
    from sklearn.metrics import roc_auc_score

    present = np.unique(truth_N)
    if len(present) < 2:
        return None
    if probability_NK.shape[1] == 2:
        return float(roc_auc_score(truth_N == 1, probability_NK[:, 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.mean([roc_auc_score(truth_N == k, probability_NK[:, k]) for k in present]))


def average_precision(
    truths: Sequence[Sequence[Box]],
    predictions: Sequence[Sequence[Box]],
    scores: Sequence[Sequence[float]],
    *,
    iou: float = 0.5,
) -> float | None:
    """AP of boxes at one IoU threshold, interpolated at 101 recalls, as COCO defines it.

    Args:
        truths: known boxes of each image.
        predictions: predicted boxes of each image, of which the 100 with the highest scores count.
        scores: one score a predicted box.
        iou: a prediction is right if it overlaps a box nobody else has taken at least this much.

    Returns:
        0 to 1; None where there is nothing to find.

    Source: COCOeval of pycocotools, for one kind of object and one threshold. It keeps a dozen objects an image and
    box, some 10 kB an image; this keeps two numbers a box.
    """
    total = sum(map(len, truths))
    if not total:
        return None
    right, ranked = list[bool](), list[float]()
    for known, found, of_found in zip(truths, predictions, scores, strict=True):
        order = np.argsort(-np.array(of_found, dtype=float), kind="stable")[:MOST_DETECTIONS].tolist()
        right += _right([found[n] for n in order], known, iou)
        ranked += [of_found[n] for n in order]
    order_D = np.argsort(-np.array(ranked, dtype=float), kind="stable")
    hits_D = np.cumsum(np.array(right, dtype=np.int64)[order_D])
    precision_D = hits_D / np.arange(1, len(hits_D) + 1)
    # The precision at a recall is the best one at that recall or a higher one; beyond the highest recall it is 0.
    best_D = np.append(np.maximum.accumulate(precision_D[::-1])[::-1], 0.0)
    return float(best_D[np.searchsorted(hits_D / total, RECALLS)].mean())


def _right(found: Sequence[Box], known: Sequence[Box], iou: float) -> list[bool]:
    """Say which boxes, from the most certain one on, overlap a known box that is free enough to take it."""
    if not found or not known:
        return [False] * len(found)
    # Loads slowly, and who only proposes measures nothing.
    from pycocotools import mask as codec

    corners = [np.array([[box.x, box.y, box.width, box.height] for box in boxes]) for boxes in (found, known)]
    overlap_DT = np.asarray(codec.iou(*corners, [0] * len(known)))
    right = []
    for overlap_T in overlap_DT:
        # Of equal ones the last one, as in COCO.
        best = len(known) - 1 - int(overlap_T[::-1].argmax())
        right.append(bool(overlap_T[best] >= min(iou, MOST_IOU)))
        if right[-1]:
            overlap_DT[:, best] = -1.0
    return right


def presence_auroc(present_N: NDArray[np.bool_], presence_N: Floats) -> float | None:
    """ROC AUC of telling images with something to find from those that are known to be empty.

    Returns:
        0 to 1, None where one of both kinds is missing.
    """
    # Loads slowly, and who only proposes measures nothing.
    from sklearn.metrics import roc_auc_score

    if present_N.all() or not present_N.any():
        return None
    return float(roc_auc_score(present_N, presence_N))


def false_positives_at(
    found_scores: Sequence[float], empty_scores: Sequence[float], *, kept: float = 0.95
) -> float | None:
    """Share of images known to be empty with a box above the threshold that keeps a share of the found lesions.

    Args:
        found_scores: highest score of a box on each image whose lesion is found.
        empty_scores: highest score of a box on each image known to be empty, 0 where there is none.
        kept: share of the found lesions that stay above the threshold, 0 to 1.

    Returns:
        0 to 1, None where nothing is found or no image is known to be empty.
    """
    if not len(found_scores) or not len(empty_scores):
        return None
    ordered = sorted(found_scores, reverse=True)
    threshold = ordered[math.ceil(kept * len(ordered)) - 1]
    return float(np.mean([score >= threshold and score > 0 for score in empty_scores]))
