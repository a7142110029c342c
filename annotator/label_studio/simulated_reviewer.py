"""A reviewer for demonstrations and tests, who knows the truth and works through Label Studio's own API.

Accepts a proposal that fits, corrects one that does not, draws what is missing, and says "no lesion" where there is
none. Everything arrives in Label Studio as if a person had submitted it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.payload.labeling_config import (
    ACCEPT,
    NO_LESION,
    regions_in,
    result_from_boxes,
    result_from_verdict,
)
from annotator.label_studio.payload.tasks import image_key_of
from annotator.shapes.percent import box_from_percent
from db.imaging.geometry import boxes_iou
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Location

FITS_IOU = 0.7


@dataclass(frozen=True, slots=True)
class Truth:
    """What the reviewer knows about an image."""

    image: ImageRecord
    location: Location


def review_tasks(
    client: LabelStudioClient,
    project_id: int,
    truths: Mapping[str, Truth],
    *,
    fits_iou: float = FITS_IOU,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Submit an annotation for every task without one.

    Args:
        client: to the server.
        project_id: whose tasks to work through.
        truths: by image key; tasks of other images are left alone.
        fits_iou: a proposal that overlaps the truth at least this much is accepted as it is.
        progress: where to show how far it is.

    Returns:
        How many were accepted, corrected, drawn and said to be empty.
    """
    done: Counter[str] = Counter()
    tasks = [
        (task, truths[key])
        for task in client.list_tasks(project_id, with_annotations=True)
        if not task.get("annotations") and (key := image_key_of(task)) in truths
    ]
    with (progress or SilentProgress()).task("reviewing", len(tasks)) as bar:
        for task, truth in tasks:
            image, boxes = truth.image, truth.location.boxes
            predictions = sorted(task.get("predictions") or [], key=lambda prediction: -int(prediction["id"]))
            parent = predictions[0] if predictions else None
            proposed = [
                box
                for region in regions_in(parent["result"] if parent else [], "rectanglelabels")
                if (box := box_from_percent(region["value"], image.width, image.height)) is not None
            ]
            if not boxes:
                # Where the model proposes nothing, to say so is to accept it.
                agrees = parent is not None and not proposed
                kind = "accepted" if agrees else "empty"
                result = result_from_verdict(ACCEPT if agrees else NO_LESION)
            elif parent is not None and boxes_iou(proposed, boxes) >= fits_iou:
                kind, result = "accepted", parent["result"]
            else:
                kind = "corrected" if proposed else "drawn"
                result = result_from_boxes(boxes, image.width, image.height, region_prefix="drawn-")
            client.create_annotation(
                int(task["id"]), result, parent_prediction=int(parent["id"]) if parent is not None else None
            )
            done[kind] += 1
            bar.advance()
    return dict(done)
