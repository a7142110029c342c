"""What a person meant by an annotation; pure.

It is worked out by comparing geometry, not taken from the server's own "origin": accepted (the proposal's boxes as they
were), edited, rejected (nothing left of them), drawn, or known to be empty. A skipped task, a draft and a prediction
are no statements.

A proposal that there is nothing to find is accepted by a choice, never by an untouched page: that a box is wrong can
be seen, that a lesion was missed cannot. A box where nothing was proposed is drawn, as one far from a wrong box is, and
the proposal counts as rejected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.label_studio.payload.labeling_config import (
    ACCEPT,
    CANNOT_TELL,
    NO_LESION,
    NOTHING_THERE,
    class_in,
    painted_regions,
    regions_in,
    verdict_in,
)
from annotator.label_studio.payload.tasks import is_known_location, problem_of
from annotator.shapes.brush import CHANNELS, decode_brush_counted
from annotator.shapes.fill import fill_polygon
from annotator.shapes.limits import MAX_FILL_STEPS, MAX_PAINT_RECORDS, MAX_PAINT_VALUES, check_canvas
from annotator.shapes.percent import MIN_SIDE_PX, box_from_percent
from annotator.shapes.polygons import box_of_polygon, polygon_from_percent
from db.imaging.decode import png_from_mask
from db.imaging.geometry import boxes_from_mask, boxes_iou
from db.records import (
    Box,
    ImageRecord,
    Location,
    LocationSource,
    LocationStatus,
    NewReview,
    ProposalRecord,
    ReviewOutcome,
)
from db.records.class_labels import ClassSource
from db.records.reviews import WRONG_CLASS
from db.records.sync import AttentionCheck, AttentionResponse

ACCEPTED_IOU = 0.995
"""Above it the boxes are the proposal's: percent and pixels round differently."""
SAME_IOU = 0.5
"""A rectangle and a painted area that overlap by this are of one lesion."""

SOURCES = {
    ReviewOutcome.ACCEPTED: LocationSource.ACCEPTED,
    ReviewOutcome.EDITED: LocationSource.EDITED,
    ReviewOutcome.DRAWN: LocationSource.DRAWN,
    ReviewOutcome.EMPTY: LocationSource.DRAWN,
}


class NoStatement(Exception):
    """An annotation that says nothing that can be stored; the message is the reason."""


class Unsettled(NoStatement):
    """An annotation that somebody has to correct in Label Studio before it can be stored."""


def interpret_annotation(
    annotation: Mapping[str, Any],
    image: ImageRecord,
    proposal: ProposalRecord | None,
    users: Mapping[int, str] | None = None,
    *,
    preset_class: str | None = None,
    empty_is_none: bool = False,
) -> NewReview:
    """Interpret an annotation as a review.

    Args:
        annotation: as the server lists it.
        image: what it is about.
        proposal: what the person was shown, None where nothing was.
        users: e-mail addresses by number, as far as they are known.
        preset_class: the class that was chosen already when the task was opened, since a run proposed it.
        empty_is_none: take an empty result for "no lesion", as projects do where that is agreed.

    Raises:
        NoStatement: it says nothing that can be stored; Unsettled: somebody has to correct it first.
    """
    result = list(annotation.get("result") or [])
    boxes, mask_png, verdict = _said(annotation, result, image)
    class_name = class_in(result)
    if verdict == WRONG_CLASS and class_name == preset_class:
        # What was on the page already is what is called wrong.
        class_name = None
    iou = boxes_iou(boxes, proposal.boxes) if boxes and proposal is not None and proposal.boxes else None
    outcome, location = _location_said(
        result, boxes, verdict, image, proposal, empty_is_none=empty_is_none, states_class=class_name is not None
    )
    if location is not None and location.boxes:
        location = replace(location, mask_png=mask_png)
    return NewReview(
        image_id=image.id,
        outcome=outcome,
        reviewer=reviewer_of(annotation, users or {}),
        external_id=int(annotation["id"]),
        external_version=str(annotation.get("updated_at")),
        proposal_id=proposal.id if proposal is not None else None,
        iou=iou,
        seconds=annotation.get("lead_time"),
        location=location,
        class_name=class_name,
        class_source=_class_source(class_name, preset_class),
        payload={"result": result, "created_at": annotation.get("created_at")},
    )


def _class_source(class_name: str | None, preset_class: str | None) -> ClassSource | None:
    if class_name is None:
        return None
    return ClassSource.ACCEPTED if class_name == preset_class else ClassSource.CHOSEN


def _location_said(
    result: Sequence[Mapping[str, Any]],
    boxes: tuple[Box, ...],
    verdict: str | None,
    image: ImageRecord,
    proposal: ProposalRecord | None,
    *,
    empty_is_none: bool,
    states_class: bool,
) -> tuple[ReviewOutcome, Location | None]:
    """Work out what an annotation says of the location; None where it leaves it as it is known.

    Raises:
        Unsettled: it contradicts itself, or says nothing.
    """
    of_nothing = proposal is not None and proposal.is_nothing
    if verdict == ACCEPT and of_nothing and boxes:
        raise Unsettled(f"it has {ACCEPT!r} for a proposal that there is nothing to find, but also a box; remove one")
    if verdict == ACCEPT and not boxes and not of_nothing:
        raise Unsettled(f"it has {ACCEPT!r} but no box; draw one, or choose the answer that applies")
    speaks = verdict is not None and verdict != ACCEPT
    if speaks and (not boxes or _left_as_shown(result, boxes, image, proposal)):
        # A verdict is a decision; a box that was on the page already is not.
        return _of_verdict(str(verdict), of_nothing=of_nothing)
    if speaks and verdict != WRONG_CLASS:
        said = NOTHING_THERE if verdict == NO_LESION else verdict
        raise Unsettled(f"it has {said!r} but also a box that was drawn or moved; remove one of the two")
    if boxes:
        outcome = _of_boxes(boxes, proposal)
        # Accepted, the proposal's own numbers count, not what is left of them after two conversions.
        kept = proposal.boxes if outcome is ReviewOutcome.ACCEPTED and proposal is not None else boxes
        return outcome, Location(LocationStatus.PRESENT, kept)
    if verdict == ACCEPT or empty_is_none:
        return _of_verdict(NO_LESION, of_nothing=of_nothing)
    if proposal is not None and not of_nothing:
        return ReviewOutcome.REJECTED, None
    if states_class and image.is_located and not of_nothing:
        # Where it is has been said before; only the class was asked for.
        return ReviewOutcome.REJECTED, None
    raise Unsettled(_without_word(states_class=states_class, of_nothing=of_nothing))


def _without_word(*, states_class: bool, of_nothing: bool) -> str:
    if of_nothing:
        return f"it does not say whether there is nothing to find; choose {ACCEPT!r} if so, or draw what was missed"
    if states_class:
        return f"it gives a class but no location; draw a box, or choose {NOTHING_THERE!r} or {CANNOT_TELL!r}"
    return f"it is empty; if there is no lesion, choose {NOTHING_THERE!r}"


def _left_as_shown(
    result: Sequence[Mapping[str, Any]], boxes: Sequence[Box], image: ImageRecord, proposal: ProposalRecord | None
) -> bool:
    """Say whether the boxes are those that were on the page when the task was opened."""
    if is_known_location(result):
        shown: Sequence[Box] = image.boxes
    elif proposal is not None and not painted_regions(result):
        shown = proposal.boxes
    else:
        return False
    return len(boxes) == len(shown) and boxes_iou(boxes, shown) >= ACCEPTED_IOU


def _of_verdict(verdict: str, *, of_nothing: bool) -> tuple[ReviewOutcome, Location | None]:
    if verdict == NO_LESION:
        # Where that is what was proposed, to say so is to accept it.
        return ReviewOutcome.ACCEPTED if of_nothing else ReviewOutcome.EMPTY, Location(LocationStatus.EMPTY)
    # What was known of the location, from an import for instance, still is.
    return ReviewOutcome.REJECTED, None


def _of_boxes(boxes: Sequence[Box], proposal: ProposalRecord | None) -> ReviewOutcome:
    """Return the outcome of boxes without a verdict."""
    iou = boxes_iou(boxes, proposal.boxes) if proposal is not None and proposal.boxes else 0.0
    if proposal is None or not iou:
        return ReviewOutcome.DRAWN
    same = len(boxes) == len(proposal.boxes) and iou >= ACCEPTED_IOU
    return ReviewOutcome.ACCEPTED if same else ReviewOutcome.EDITED


def interpret_attention_check(
    annotation: Mapping[str, Any], image: ImageRecord, check: AttentionCheck, users: Mapping[int, str] | None = None
) -> AttentionResponse:
    """Work out whether a person saw that a planted proposal is wrong.

    Raises:
        NoStatement: the task was skipped, or the annotation cannot be read.
    """
    result = list(annotation.get("result") or [])
    boxes, _, verdict = _said(annotation, result, image)
    if check.boxes:
        missed = bool(boxes) and boxes_iou(boxes, check.boxes) >= SAME_IOU
    else:
        # It says that there is nothing to find; an untouched page agrees with nobody.
        missed = not boxes and verdict in (ACCEPT, NO_LESION)
    return AttentionResponse(
        check_id=check.id,
        external_id=int(annotation["id"]),
        external_version=str(annotation.get("updated_at")),
        reviewer=reviewer_of(annotation, users or {}),
        missed=missed,
        truth_iou=boxes_iou(boxes, check.truth) if boxes else 0.0,
        seconds=annotation.get("lead_time"),
        payload={"result": result, "created_at": annotation.get("created_at")},
    )


def _said(
    annotation: Mapping[str, Any], result: Sequence[Mapping[str, Any]], image: ImageRecord
) -> tuple[tuple[Box, ...], bytes | None, str | None]:
    if (problem := problem_of(annotation)) is not None:
        raise Unsettled(
            f"annotation {annotation['id']} cannot be read: {problem}; correct or delete it in Label Studio, then: "
            "partly pull"
        )
    if annotation.get("was_cancelled"):
        raise NoStatement("the task was skipped")
    boxes, mask_png = location_in(result, image)
    return boxes, mask_png, verdict_in(result)


def location_in(result: Sequence[Mapping[str, Any]], image: ImageRecord) -> tuple[tuple[Box, ...], bytes | None]:
    """Read the boxes of a result, and its mask where it has one.

    Rectangles count as they are drawn. Brush masks and polygons add a box for every part that no rectangle is of.
    A mask is kept if it covers every lesion: one that lacks a rectangle's would say that there is nothing there.

    Raises:
        NoStatement: a region cannot be read, or was made on an image of another size.
    """
    drawn = _rectangles(result, image)
    parts, mask_HW = _painted(result, image)
    extra = [part for part in parts if all(boxes_iou([part], [box]) < SAME_IOU for box in drawn)]
    complete = all(any(boxes_iou([part], [box]) >= SAME_IOU for part in parts) for box in drawn)
    kept = png_from_mask(mask_HW) if mask_HW is not None and complete and bool(mask_HW.any()) else None
    return (*drawn, *extra), kept


def _rectangles(result: Sequence[Mapping[str, Any]], image: ImageRecord) -> list[Box]:
    boxes = []
    for region in regions_in(result, "rectanglelabels"):
        _check_size(region, image)
        try:
            box = box_from_percent(region.get("value") or {}, image.width, image.height)
        except ValueError as exc:
            raise Unsettled(f"a rectangle cannot be read: {exc}") from exc
        if box is not None:
            boxes.append(box)
    return boxes


def _painted(result: Sequence[Mapping[str, Any]], image: ImageRecord) -> tuple[list[Box], NDArray[np.bool_] | None]:
    """Return the boxes and the union of brush masks and polygons."""
    regions = painted_regions(result)
    if not regions:
        return [], None
    for region in regions:
        _check_size(region, image)
    values = [region.get("value") or {} for region in regions]
    try:
        check_canvas(image.height, image.width)
        paint_HW = _paint([value["rle"] for value in values if "rle" in value], image)
        outlines = [value for value in values if "rle" not in value]
        polygon_HW, boxes = _outlined(outlines, image)
    except (ValueError, TypeError) as exc:
        raise Unsettled(f"a brush mask or polygon cannot be read: {exc}") from exc
    return [*boxes_from_mask(paint_HW), *boxes], paint_HW | polygon_HW


def _paint(rles: Sequence[Any], image: ImageRecord) -> NDArray[np.bool_]:
    """Unpack brush masks into their union, in bounded time however many there are.

    Raises:
        ValueError: one cannot be read, or they are more than anybody paints.
    """
    paint_HW = np.zeros((image.height, image.width), dtype=bool)
    if len(rles) * paint_HW.size * CHANNELS > MAX_PAINT_VALUES:
        raise ValueError(f"it has {len(rles):,} brush masks, too many for an image of this size; merge them")
    left = MAX_PAINT_RECORDS
    for rle in rles:
        inside_HW, records = decode_brush_counted(rle, image.height, image.width, most_records=left)
        paint_HW |= inside_HW
        left -= records
    return paint_HW


def _outlined(values: Sequence[Mapping[str, Any]], image: ImageRecord) -> tuple[NDArray[np.bool_], list[Box]]:
    """Fill polygons into their union, in bounded time however many there are; returns their boxes too.

    Raises:
        ValueError: one cannot be read, or they are more than anybody draws.
    """
    polygon_HW = np.zeros((image.height, image.width), dtype=bool)
    boxes: list[Box] = []
    left = MAX_FILL_STEPS
    for value in values:
        points = polygon_from_percent(value, image.width, image.height)
        left -= fill_polygon(polygon_HW, points, left)
        box = box_of_polygon(points, image.width, image.height)
        if box is not None and box.width >= MIN_SIDE_PX and box.height >= MIN_SIDE_PX:
            boxes.append(box)
    return polygon_HW, boxes


def _check_size(region: Mapping[str, Any], image: ImageRecord) -> None:
    size = (region.get("original_width"), region.get("original_height"))
    if None not in size and size != (image.width, image.height):
        raise Unsettled(
            f"it was drawn on an image of {size[0]}x{size[1]} px, the registered one is {image.width}x{image.height}"
        )


def reviewer_of(annotation: Mapping[str, Any], users: Mapping[int, str]) -> str:
    """Return the e-mail address of whoever said it, as far as it is known.

    An annotation that began as what the registry knew is by whoever changed it.
    """
    by = annotation.get("completed_by")
    if is_known_location(annotation.get("result") or []):
        by = annotation.get("updated_by") or by
    if isinstance(by, Mapping):
        return str(by.get("email") or by.get("id"))
    return users.get(by, f"user {by}") if by is not None else "unknown"
