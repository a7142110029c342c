"""The metrics of the paper's Eq. 8, with AUC and AP50: pure functions over arrays and boxes.

Precision, recall and F1 are macro averages. Localization counts every image with a known lesion; a miss counts as 0.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from db.records import Box

Floats = NDArray[np.floating]


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
    """AP of boxes at one IoU threshold, interpolated at 101 recalls as in COCO (torchmetrics, pycocotools).

    Args:
        truths: known boxes of each image.
        predictions: predicted boxes of each image, of which at most 100 count.
        scores: one score a predicted box.
        iou: a prediction is right if it overlaps a box nobody else has taken at least this much.

    Returns:
        0 to 1; None where there is nothing to find.
    """
    if not any(truths):
        return None
    # Loads slowly, and only reports need it.
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(box_format="xywh", iou_thresholds=[iou])
    metric.warn_on_many_detections = False
    metric.update(
        [
            {
                "boxes": _boxes(boxes),
                "labels": _ones(boxes),
                "scores": torch.tensor(list(of_boxes), dtype=torch.float32),
            }
            for boxes, of_boxes in zip(predictions, scores, strict=True)
        ],
        [{"boxes": _boxes(boxes), "labels": _ones(boxes)} for boxes in truths],
    )
    return float(metric.compute()["map"])


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


def _boxes(boxes: Sequence[Box]) -> torch.Tensor:
    return torch.tensor([[box.x, box.y, box.width, box.height] for box in boxes]).reshape(-1, 4)


def _ones(boxes: Sequence[Box]) -> torch.Tensor:
    return torch.ones(len(boxes), dtype=torch.int64)
