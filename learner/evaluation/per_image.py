"""What a model says about every image, as plain rows: what metrics, intervals, tests and reports are made of.

A row is made as soon as an image is scored, so that no more than a batch of masks is in memory at a time.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from db.imaging.decode import mask_from_png
from db.imaging.geometry import boxes_dice, boxes_iou, mask_dice, mask_iou, union_area
from db.progress import Progress
from db.records import Box
from learner.config import TrainConfig
from learner.data.dataset import FramedData
from learner.inference.predict import Prediction, known_classes, predict
from learner.network.interface import Network

PER_IMAGE = {"accuracy": "right", "iou": "iou", "dice": "dice", "mask_iou": "mask_iou", "mask_dice": "mask_dice"}
"""Metrics that are means over images, and the value of an image that each is the mean of."""

Rows = list[dict[str, Any]]


def score_rows(
    network: Network,
    data: FramedData,
    config: TrainConfig,
    classes: Sequence[str],
    device: torch.device,
    progress: Progress | None = None,
) -> Rows:
    """Score images in their own frames.

    Args:
        network: what is asked.
        data: the images.
        config: how the network was trained.
        classes: names in the order of its outputs.
        device: where to compute.
        progress: where to show how far it is.

    Returns:
        One row an image, as `image_row` makes them, in the order of the images.
    """
    known = known_classes(data.examples, classes)
    predictions = predict(network, data, config, device, progress=progress)
    return [
        image_row(prediction, classes, index, network=network, gate=config.gate)
        for prediction, index in zip(predictions, known, strict=True)
    ]


def image_row(
    prediction: Prediction, classes: Sequence[str], known_class: int | None, *, network: Network, gate: str
) -> dict[str, Any]:
    """Write down what was said about an image; None where the truth is not known or the method does not answer.

    Args:
        prediction: what was said.
        classes: names in the order of the network's outputs.
        known_class: index of the image's class, None where the model does not know it.
        network: says what it answers; a lesion that it misses counts as 0.
        gate: what `score` is.
    """
    example, (classifies, localizes) = prediction.example, (network.classifies, network.localizes)
    location = example.location
    truth = location.boxes if location is not None else ()
    scored = localizes and bool(truth)
    mask_png = location.mask_png if scored and location is not None else None
    truth_HW = mask_from_png(mask_png) if mask_png is not None else None
    return {
        "image": example.image_id,
        "truth": example.class_name,
        "predicted": classes[prediction.class_index] if classifies else None,
        "probability": prediction.class_probability_K.tolist() if classifies else None,
        "right": float(prediction.class_index == known_class) if classifies and known_class is not None else None,
        "lesion": None if location is None else bool(truth),
        "lesion_share": union_area(truth) / (example.width * example.height) if truth else None,
        "truth_boxes": _numbers(truth),
        "boxes": _numbers(prediction.boxes) if localizes else None,
        "score": prediction.score(gate, known_class),
        "iou": boxes_iou(prediction.boxes, truth) if scored else None,
        "dice": boxes_dice(prediction.boxes, truth) if scored else None,
        "mask_iou": mask_iou(prediction.mask_HW, truth_HW) if truth_HW is not None else None,
        "mask_dice": mask_dice(prediction.mask_HW, truth_HW) if truth_HW is not None else None,
    }


def _numbers(boxes: Sequence[Box]) -> list[list[float]]:
    return [[box.x, box.y, box.width, box.height] for box in boxes]


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
