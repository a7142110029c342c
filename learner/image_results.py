"""What a run said about every image of a split, kept beside its checkpoint: what intervals and tests are made of."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from db.images import mask_from_png
from db.regions import boxes_dice, boxes_iou
from learner.metrics import mask_dice, mask_iou
from learner.predict import Prediction, known_classes

PER_IMAGE = {"accuracy": "right", "iou": "iou", "dice": "dice", "mask_iou": "mask_iou", "mask_dice": "mask_dice"}
"""Metrics that are means over images, and the value of an image that each is the mean of."""


def image_results(
    predictions: Sequence[Prediction], classes: Sequence[str], *, classifies: bool, localizes: bool
) -> list[dict[str, Any]]:
    """Write down what was said about each image; None where the truth is not known or the method does not answer.

    Args:
        predictions: of registered images.
        classes: names in the order of the network's outputs.
        classifies: the method answers what.
        localizes: the method answers where; a lesion that it misses counts as 0.
    """
    rows = []
    for prediction, truth in zip(predictions, known_classes([p.example for p in predictions], classes), strict=True):
        location = prediction.example.location
        located = localizes and location is not None and bool(location.boxes)
        mask_png = location.mask_png if located and location is not None else None
        truth_HW = mask_from_png(mask_png) if mask_png is not None else None
        boxes = location.boxes if located and location is not None else ()
        rows.append(
            {
                "image": prediction.example.image_id,
                "truth": prediction.example.class_name,
                "predicted": classes[prediction.class_index] if classifies else None,
                "probability": prediction.class_probability_K.tolist() if classifies else None,
                "right": float(prediction.class_index == truth) if classifies and truth is not None else None,
                "boxes": [[box.x, box.y, box.width, box.height] for box in prediction.boxes] if localizes else None,
                "iou": boxes_iou(prediction.boxes, boxes) if located else None,
                "dice": boxes_dice(prediction.boxes, boxes) if located else None,
                "mask_iou": mask_iou(prediction.mask_HW, truth_HW) if truth_HW is not None else None,
                "mask_dice": mask_dice(prediction.mask_HW, truth_HW) if truth_HW is not None else None,
            }
        )
    return rows


def write_results(folder: Path, split: str, rows: Sequence[dict[str, Any]]) -> Path:
    """Put the results of a split beside a checkpoint, in one step."""
    target = folder / f"{split}.images.json"
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_text(json.dumps(list(rows)), encoding="utf-8")
    draft.replace(target)
    return target


def read_results(folder: Path, split: str) -> list[dict[str, Any]] | None:
    """Read the results of a split back, None where there are none that can be read."""
    try:
        found = json.loads((folder / f"{split}.images.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) else None
