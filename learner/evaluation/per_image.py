"""The result of every image, as one row each: what metrics, intervals, tests and reports are made of.

A row is made as soon as an image is scored, so that no more than a batch of masks is in memory at a time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from db.atomic_write import OWNER_ONLY, write_text
from db.imaging.decode import mask_from_png
from db.imaging.geometry import boxes_dice, boxes_iou, mask_dice, mask_iou, union_area
from db.progress import Progress
from db.records import Box
from learner.config import TrainConfig
from learner.data.dataset import FramedData, FramedStream
from learner.inference.predict import Prediction, known_index, predict
from learner.network.interface import Network

PER_IMAGE = {"accuracy": "right", "iou": "iou", "dice": "dice", "mask_iou": "mask_iou", "mask_dice": "mask_dice"}
"""Metrics that are means over images, and the value of an image that each is the mean of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """What a model predicted for one image, beside what is known; None where unknown, or not predicted at all."""

    image: int | None
    """Number of a registered image."""
    truth: str | None
    """Known class."""
    predicted: str | None
    probability: tuple[float, ...] | None
    """Of every class, in the order of the network's outputs; they sum to 1."""
    right: float | None
    """1 if the predicted class is the known one, else 0."""
    lesion: bool | None
    """Whether there is something to find."""
    lesion_share: float | None
    """Share of the image that the known boxes cover, 0 to 1."""
    truth_boxes: tuple[Box, ...]
    boxes: tuple[Box, ...] | None
    score: float
    """The gate's score, 0 to 1, worked out without the known class."""
    iou: float | None
    """Of predicted and known boxes, a missed lesion counts as 0."""
    dice: float | None
    mask_iou: float | None
    mask_dice: float | None
    box_scores: tuple[float, ...] | None = None
    """What each box is ranked by, 0 to 1: its own score times the probability that there is something to find."""
    presence: float | None = None
    """Probability that there is something to find; without an output for it, the highest probability of a pixel."""
    position: int | None = None
    """Where the image was among those that were asked for."""
    withheld_boxes: tuple[Box, ...] = ()
    """Boxes that are not shown, because the image is judged to have nothing to find; they are ranked all the same."""
    withheld_scores: tuple[float, ...] = ()
    """What each withheld box is ranked by, 0 to 1."""

    @property
    def ranks(self) -> tuple[float, ...]:
        """What each predicted box is ranked by; rows of earlier versions have one score an image."""
        return self.box_scores if self.box_scores is not None else (self.score,) * len(self.boxes or ())

    @property
    def detections(self) -> tuple[tuple[Box, float], ...]:
        """Every box that was found, shown or withheld, with what it is ranked by: what AP is worked out on."""
        shown = zip(self.boxes or (), self.ranks, strict=True)
        return (*shown, *zip(self.withheld_boxes, self.withheld_scores, strict=True))

    def to_document(self) -> dict[str, Any]:
        """Return the row as it lies beside a checkpoint."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("truth_boxes", "boxes", "withheld_boxes"):
            if values[name] is not None:
                values[name] = [[box.x, box.y, box.width, box.height] for box in values[name]]
        return values

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ImageResult":
        """Read a row back.

        Raises:
            TypeError, ValueError: it is no such row.
        """
        values: dict[str, Any] = {field.name: document.get(field.name) for field in fields(cls)}
        boxes, probability = values["boxes"], values["probability"]
        values["truth_boxes"] = tuple(Box(*box) for box in values["truth_boxes"] or ())
        values["boxes"] = tuple(Box(*box) for box in boxes) if boxes is not None else None
        values["probability"] = tuple(probability) if probability is not None else None
        values["box_scores"] = tuple(values["box_scores"]) if values["box_scores"] is not None else None
        values["withheld_boxes"] = tuple(Box(*box) for box in values["withheld_boxes"] or ())
        values["withheld_scores"] = tuple(values["withheld_scores"] or ())
        return cls(**values)


def score_rows(
    network: Network,
    data: FramedData | FramedStream,
    config: TrainConfig,
    classes: Sequence[str],
    device: torch.device,
    progress: Progress | None = None,
) -> list[ImageResult]:
    """Score images in their own frames.

    Args:
        network: what is asked.
        data: the images.
        config: how the network was trained.
        classes: names in the order of its outputs.
        device: where to compute.
        progress: where to show how far it is.

    Returns:
        One row an image that can be read, in the order of the images.

    Raises:
        DataInvalid: none of a stream's images can be read.
    """
    predictions = predict(network, data, config, device, progress=progress)
    return [image_row(prediction, classes, network=network, gate=config.gate) for prediction in predictions]


def image_row(prediction: Prediction, classes: Sequence[str], *, network: Network, gate: str) -> ImageResult:
    """Put a prediction beside what is known of its image.

    Args:
        prediction: of one image.
        classes: names in the order of the network's outputs.
        network: says what it answers; a lesion that it misses counts as 0.
        gate: what `score` is.
    """
    example, (classifies, localizes) = prediction.example, (network.classifies, network.localizes)
    known_class = known_index(example, classes)
    location = example.location
    truth = location.boxes if location is not None else ()
    scored = localizes and bool(truth)
    mask_png = location.mask_png if scored and location is not None else None
    truth_HW = mask_from_png(mask_png) if mask_png is not None else None
    return ImageResult(
        image=example.image_id,
        truth=example.class_name,
        predicted=classes[prediction.class_index] if classifies else None,
        probability=tuple(prediction.class_probability_K.tolist()) if classifies else None,
        # A class that the model does not know is one that it gets wrong.
        right=float(prediction.class_index == known_class) if classifies and example.class_name is not None else None,
        lesion=None if location is None else bool(truth),
        lesion_share=union_area(truth) / (example.width * example.height) if truth else None,
        truth_boxes=truth,
        boxes=prediction.boxes if localizes else None,
        box_scores=_ranks(prediction, prediction.box_scores) if localizes else None,
        withheld_boxes=prediction.withheld_boxes if localizes else (),
        withheld_scores=_ranks(prediction, prediction.withheld_scores) if localizes else (),
        presence=prediction.presence if localizes else None,
        # As for an image that nobody knows anything of: what is measured may not know the answer.
        score=prediction.score(gate, None),
        position=prediction.position,
        iou=boxes_iou(prediction.boxes, truth) if scored else None,
        dice=boxes_dice(prediction.boxes, truth) if scored else None,
        mask_iou=mask_iou(prediction.mask_HW, truth_HW) if truth_HW is not None else None,
        mask_dice=mask_dice(prediction.mask_HW, truth_HW) if truth_HW is not None else None,
    )


def _ranks(prediction: Prediction, scores: Sequence[float]) -> tuple[float, ...]:
    factor = prediction.presence if prediction.judges_presence else 1.0
    return tuple(score * factor for score in scores)


def write_results(folder: Path, split: str, rows: Sequence[ImageResult]) -> Path:
    """Put the results of a split beside a checkpoint, in one step."""
    target = folder / f"{split}.images.json"
    write_text(target, json.dumps([row.to_document() for row in rows]), mode=OWNER_ONLY)
    return target


def read_results(folder: Path, split: str) -> list[ImageResult] | None:
    """Read the results of a split back, None where there are none that can be read."""
    try:
        found = json.loads((folder / f"{split}.images.json").read_text(encoding="utf-8"))
        return [ImageResult.from_document(row) for row in found]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
