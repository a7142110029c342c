"""What a detector answers for test images, as the rows that everything here is measured on.

A detector's list of boxes is long: those that it would show to a person make IoU, all of them make AP50, as each tool
measures itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.atomic_write import write_text
from db.imaging.geometry import boxes_dice, boxes_iou, union_area
from db.records import Box, ImageRecord
from learner.evaluation.per_image import ImageResult


@dataclass(frozen=True, slots=True)
class Answer:
    """What a detector says of one image: boxes with the class and the score of each."""

    image: int
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]
    """0 to 1."""
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One training of one method, measured on the test images."""

    method: str
    share: float
    seed: int
    minutes: float
    weights: str
    """What it started from."""
    steps: str
    """How long that was, in the method's own unit."""
    classes: tuple[str, ...]
    """In the order of the rows' probabilities."""
    shown: tuple[ImageResult, ...]
    """With the boxes that people see."""
    ranked: tuple[ImageResult, ...]
    """With all boxes that AP50 is worked out on."""


def class_probabilities(answer: Answer, classes: Sequence[str], empty: Sequence[str]) -> tuple[float, ...]:
    """Turn boxes into probabilities of classes, which a detector does not give.

    A class is as probable as its surest box, a class that is always empty as much as no box is sure.

    Args:
        answer: of one image.
        classes: in the order wanted.
        empty: those of them in whose images there is never anything.

    Returns:
        One a class; they sum to 1.
    """
    surest = max(answer.scores, default=0.0)
    of_class = {
        name: max((score for score, own in zip(answer.scores, answer.classes, strict=True) if own == name), default=0.0)
        for name in classes
    }
    weights = [1 - surest if name in empty else of_class[name] for name in classes]
    total = sum(weights)
    return tuple(weight / total if total else 1 / len(classes) for weight in weights)


def rows_of(
    answers: Sequence[Answer],
    images: Mapping[int, ImageRecord],
    classes: Sequence[str],
    empty: Sequence[str],
    *,
    shown_from: float,
) -> tuple[list[ImageResult], list[ImageResult]]:
    """Put answers beside what is known of their images.

    Args:
        answers: one an image.
        images: by number, with their known locations.
        classes: in the order of the probabilities.
        empty: classes in whose images there is never anything.
        shown_from: score from which on the tool shows a box to people.

    Returns:
        Rows with the boxes that are shown, and rows with all boxes.
    """
    shown, ranked = [], []
    for answer in answers:
        probability = class_probabilities(answer, classes, empty)
        chosen = [n for n, score in enumerate(answer.scores) if score >= shown_from]
        shown.append(_row(answer, images[answer.image], classes, probability, chosen))
        ranked.append(_row(answer, images[answer.image], classes, probability, range(len(answer.boxes))))
    return shown, ranked


def _row(
    answer: Answer, image: ImageRecord, classes: Sequence[str], probability: tuple[float, ...], chosen: Sequence[int]
) -> ImageResult:
    boxes, truth = tuple(answer.boxes[n] for n in chosen), image.boxes
    predicted = classes[max(range(len(classes)), key=lambda n: probability[n])]
    surest = max(answer.scores, default=0.0)
    return ImageResult(
        image=image.id,
        truth=image.class_name,
        predicted=predicted,
        probability=probability,
        right=None if image.class_name is None else float(predicted == image.class_name),
        lesion=bool(truth) if image.is_located else None,
        lesion_share=union_area(truth) / (image.width * image.height) if truth else None,
        truth_boxes=truth,
        boxes=boxes,
        score=surest,
        iou=boxes_iou(boxes, truth) if truth else None,
        dice=boxes_dice(boxes, truth) if truth else None,
        mask_iou=None,
        mask_dice=None,
        box_scores=tuple(answer.scores[n] for n in chosen),
        presence=surest,
    )


def write_outcome(file: Path, outcome: Outcome) -> None:
    """Keep the outcome of a training, so that it is not done again."""
    document: dict[str, Any] = {
        name: getattr(outcome, name) for name in ("method", "share", "seed", "minutes", "weights", "steps", "classes")
    }
    document |= {name: [row.to_document() for row in getattr(outcome, name)] for name in ("shown", "ranked")}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(document))


def read_outcome(file: Path) -> Outcome | None:
    """Read the outcome of a training that was done before; None where there is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return None
    rows = {name: tuple(ImageResult.from_document(row) for row in document.pop(name)) for name in ("shown", "ranked")}
    return Outcome(**{**document, "classes": tuple(document["classes"]), **rows})
