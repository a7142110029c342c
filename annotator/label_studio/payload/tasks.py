"""What a task holds that partly makes: our key, the image's address, the class, a proposal or a known location; pure.

A task is recognised by our own key in its data, never by its place in a list or its file name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from annotator.label_studio.payload.labeling_config import result_from_boxes, result_from_class, result_from_mask
from annotator.label_studio.payload.plain import writable
from db.imaging.decode import mask_from_png
from db.records import Box, ImageRecord, LocationStatus

KEY = "partly_key"
CONTROL = "partly_control"
"""Marked tasks whose proposal is held back, in earlier versions; today nothing that annotators see tells them apart."""
NOTE = "partly_note"
"""What an annotator has to settle, in the header of the page; tasks with a note are under the tab "unclear"."""
SCORE = "partly_score"
CLASS = "partly_class"
PROPOSAL = "partly_proposal"
"""What the page says of a proposal that has no box to show."""
PROPOSES_NOTHING = "The model proposes: nothing to find"
CLASSES = "partly_classes"
"""The classes that the page offers; none where the class is known."""
CLASS_KEYS = "890"
"""Hotkeys of the first classes; the others are chosen with the mouse."""
ROUND = "partly_round"
"""Counts an image's tasks in a project, where it is proposed again after a review."""
READING = "partly_reading"
SECOND_READING = "second reading"
LIVE_TITLE = "partly"
"""Name of the ML backend under which proposals are asked for while people work."""
PROBLEM = "partly_problem"
"""Why a task or an annotation cannot be read, as `annotator.label_studio.payload.received` found; never sent."""
NUMBER = re.compile(r"[0-9]{1,18}")
"""Of an image; a database can hold it."""
KNOWN_PREFIX = "known-"
"""Of the ids of regions that show what the registry knew when the task was made."""


def key_of(task: Mapping[str, Any]) -> str | None:
    """Return the key of the image that a task is of, None where the task was not made by partly."""
    data = task.get("data")
    key = data.get(KEY) if isinstance(data, Mapping) else None
    return key if key and isinstance(key, str) else None


def image_key_of(task: Mapping[str, Any]) -> str:
    """Return the key of a task's image without the registry, empty where the task was not made by partly."""
    return "-".join((key_of(task) or "").split("-")[:2])


def registry_suffix(registry_id: str) -> str:
    """Return how the keys of a registry's tasks end."""
    return f"-{registry_id[:8]}"


def full_key(image: ImageRecord, registry_id: str) -> str:
    """Write the key of an image's task: its number, its content, and the registry that the number is from."""
    return image.key + registry_suffix(registry_id)


def as_own(task: Mapping[str, Any], registry_id: str | None) -> dict[str, Any]:
    """Shorten the key of a registry's own task to that of its image; tasks of other registries keep theirs in full.

    A key without a registry is from an older version.
    """
    key = key_of(task)
    if key is None or not registry_id or key.count("-") != 2 or not key.endswith(registry_suffix(registry_id)):
        return dict(task)
    return {**task, "data": {**task["data"], KEY: image_key_of(task)}}


def problem_of(document: Mapping[str, Any]) -> str | None:
    """Return why a task or an annotation cannot be read, None if it can."""
    return document.get(PROBLEM)


def why_unreadable(task: Mapping[str, Any]) -> str:
    """Say of a task that it cannot be read, why, and what to do."""
    return f"task {task['id']} cannot be read: {problem_of(task)}; correct or delete it in Label Studio"


def score_text(score: float | None) -> str | None:
    """Write a score for the Data Manager, as text, since a number would lose its last zero."""
    return f"{score:.2f}" if score is not None else None


def round_of(task: Mapping[str, Any]) -> int:
    """Return which of its image's tasks in the project a task is, counted from 1."""
    data = task.get("data")
    found = data.get(ROUND) if isinstance(data, Mapping) else None
    return found if isinstance(found, int) and found > 0 else 1


def slot_of(key: str, number: int) -> str:
    """Name what there is one task of: an image's key and the round."""
    return f"{key}/{number}"


def with_registry(task: Mapping[str, Any], registry_id: str | None) -> dict[str, Any]:
    """Write the registry back into the key of an own task; the opposite of `as_own`."""
    key = key_of(task)
    if key is None or not registry_id or key.count("-") != 1:
        return dict(task)
    return {**task, "data": {**task["data"], KEY: key + registry_suffix(registry_id)}}


def is_of_another(task: Mapping[str, Any]) -> bool:
    """Say whether a task, as `as_own` returns it, belongs to another registry."""
    return (key_of(task) or "").count("-") == 2


def image_of(task: Mapping[str, Any], images: Mapping[str, ImageRecord]) -> ImageRecord | None:
    """Return the image that a task is of, None where the task is not ours or its image is not among these.

    Args:
        task: as the server lists it.
        images: by key.
    """
    return images.get(key_of(task) or "")


def image_ids_of(tasks: Iterable[Mapping[str, Any]]) -> list[int]:
    """Return the numbers of the images that a registry's own tasks are of, as far as their keys are of our form."""
    numbers = ((key_of(task) or "").partition("-")[0] for task in tasks if not is_of_another(task))
    return [int(number) for number in numbers if NUMBER.fullmatch(number)]


def shows_prediction(task: Mapping[str, Any], model_version: str) -> bool:
    """Say whether a listed task has a prediction of a model version."""
    if "predictions" in task:
        return any(prediction.get("model_version") == model_version for prediction in task["predictions"] or [])
    return model_version in str(task.get("predictions_model_versions") or "").split(",")


def prediction_of(
    image: ImageRecord, boxes: Sequence[Box], *, model_version: str, class_name: str | None = None
) -> dict[str, Any]:
    """Write a proposal as a prediction: its run as model version, its boxes, and the class where the page asks for it.

    A proposal that there is nothing to find is a prediction without a box. It chooses no verdict, so that nobody
    accepts it by a mere Submit.

    Its score is left out: the page would show it above the image, and it sways people.
    """
    prefix = f"{model_version}-"
    stated = result_from_class(class_name, region_id=f"{prefix}class") if class_name is not None else []
    return {
        "model_version": model_version,
        "result": [*result_from_boxes(boxes, image.width, image.height, region_prefix=prefix), *stated],
    }


def known_location_of(image: ImageRecord, mask_png: bytes | None, *, as_polygons: bool = False) -> list[dict[str, Any]]:
    """Write what is known of an image's location as an annotation that people can correct; none where nothing is.

    Args:
        image: with its label.
        mask_png: its mask, None where there is none or the project has no tools for it.
        as_polygons: show the mask as polygons instead of paint.
    """
    if image.label is None or image.location_status is not LocationStatus.PRESENT:
        return []
    prefix = f"{KNOWN_PREFIX}{image.label.id}-"
    result: list[dict[str, Any]] = []
    if mask_png is not None:
        # A mask in more pieces than anybody could change is not shown; its boxes are.
        with suppress(ValueError):
            result = result_from_mask(mask_from_png(mask_png), as_polygons=as_polygons, region_prefix=prefix)
    result = result or result_from_boxes(image.boxes, image.width, image.height, region_prefix=prefix)
    # Left out, the server would take it for the ground truth.
    return [{"result": result, "ground_truth": False}]


def is_known_location(result: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a result began as the known location that was sent with the task."""
    return any(str(region.get("id")).startswith(KNOWN_PREFIX) for region in result)


def is_as_sent(annotation: Mapping[str, Any]) -> bool:
    """Say whether an annotation shows what the registry knew, and nobody has changed it since."""
    regions = [region for region in annotation.get("result") or [] if region.get("type") != "choices"]
    ours = bool(regions) and all(str(region.get("id")).startswith(KNOWN_PREFIX) for region in regions)
    return ours and annotation.get("updated_by") is None


@dataclass(frozen=True, slots=True)
class TaskHeader:
    """What the page and the Data Manager say of a task."""

    score: float | None = None
    """Of the proposal that annotators see, None where they see none."""
    name: str | None = None
    """What annotators are to know the image by; None for its number."""
    annotators: int = 1
    """How many people are to look at it."""
    round: int = 1
    """Counts the image's tasks in the project."""
    proposes_nothing: bool = False
    """Annotators see a proposal, and it is that there is nothing to find."""
    classes: tuple[str, ...] = ()
    """Classes that the page offers; none where it does not ask."""


def header_data(image: ImageRecord, header: TaskHeader) -> dict[str, Any]:
    """Write what the page says of an image that may change from one push to the next."""
    return {
        CLASS: writable(image.class_name) if image.class_name else "not known",
        SCORE: score_text(header.score),
        PROPOSAL: PROPOSES_NOTHING if header.proposes_nothing else "",
        CLASSES: [_offered(number, name) for number, name in enumerate(header.classes)],
    }


def _offered(number: int, class_name: str) -> dict[str, str]:
    return {"value": class_name} | ({"hotkey": CLASS_KEYS[number]} if number < len(CLASS_KEYS) else {})


def with_new_keys(data: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the labeling interface wants and tasks of earlier versions lack; the server refuses them without it."""
    return {CLASSES: [], **data}


def task_of(
    image: ImageRecord,
    address: str,
    header: TaskHeader,
    *,
    registry_id: str,
    prediction: Mapping[str, Any] | None = None,
    annotations: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write a task as the server imports it.

    Args:
        image: what it shows.
        address: where the server or a browser finds the image.
        header: what is said of it.
        registry_id: whose image it is.
        prediction: how annotators see the proposal.
        annotations: what is known already, to be corrected.
    """
    data = {
        "image": address,
        KEY: full_key(image, registry_id),
        "partly_image": writable(header.name) if header.name is not None else f"image {image.id}",
        **header_data(image, header),
        READING: SECOND_READING if header.annotators > 1 else "",
        NOTE: "",
        ROUND: header.round,
    }
    task: dict[str, Any] = {"data": data}
    if prediction is not None:
        task["predictions"] = [dict(prediction)]
    if annotations:
        task["annotations"] = [dict(annotation) for annotation in annotations]
    return task
