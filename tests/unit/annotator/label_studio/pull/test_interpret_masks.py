"""Brush masks and polygons of Label Studio, as boxes and a mask."""

import numpy as np
import pytest

from annotator.label_studio.payload.labeling_config import (
    BOX_LABEL,
    CONFIG,
    NO_LESION,
    config_problem,
    has_mask_tools,
    interface,
    result_from_boxes,
    result_from_mask,
    result_from_verdict,
)
from annotator.label_studio.payload.tasks import KEY, is_as_sent, known_location_of
from annotator.label_studio.pull.interpret import NoStatement, interpret_annotation, location_in, reviewer_of
from annotator.label_studio.pull.plan import Known, plan_pull
from db.imaging.decode import mask_from_png, png_from_mask
from db.records import Box, LocationStatus, ReviewOutcome
from tests.builders import image_record, label_record, proposal_record

IMAGE = image_record(id=7, width=200, height=100)


def filled(*places):
    mask_HW = np.zeros((100, 200), dtype=bool)
    for x, y, w, h in places:
        mask_HW[y : y + h, x : x + w] = True
    return mask_HW


def annotation(result, **fields):
    return {"id": 1, "updated_at": "t1", "completed_by": 3, "result": result, **fields}


def test_the_interface_with_masks_is_ours_too():
    assert config_problem(interface(masks=True)) is None
    assert has_mask_tools(interface(masks=True))
    assert not has_mask_tools(CONFIG)
    assert BOX_LABEL in interface(masks=True)


def test_paint_is_kept_pixel_for_pixel():
    mask_HW = filled((20, 10, 40, 30), (150, 60, 20, 20))
    mask_HW[15:20, 30:35] = False
    boxes, png = location_in(result_from_mask(mask_HW), IMAGE)
    assert np.array_equal(mask_from_png(png), mask_HW)
    assert boxes == (Box(20, 10, 40, 30), Box(150, 60, 20, 20))


def test_an_outline_is_kept_within_a_pixel():
    mask_HW = filled((20, 10, 40, 30))
    result = result_from_mask(mask_HW, as_polygons=True)
    assert result[0]["type"] == "polygonlabels"
    (box,), png = location_in(result, IMAGE)
    assert np.array_equal(mask_from_png(png), mask_HW)
    assert (box.x, box.y, box.width, box.height) == pytest.approx((20, 10, 40, 30), abs=0.51)


def test_a_mask_with_a_hole_is_painted_even_where_outlines_are_wanted():
    mask_HW = filled((20, 10, 40, 30))
    mask_HW[20:25, 30:35] = False
    (region,) = result_from_mask(mask_HW, as_polygons=True)
    assert region["type"] == "brushlabels"


def test_a_rectangle_around_what_is_painted_counts_once():
    drawn = result_from_boxes([Box(19.5, 9.5, 41, 31)], 200, 100)
    boxes, png = location_in([*drawn, *result_from_mask(filled((20, 10, 40, 30)))], IMAGE)
    assert [round(box.x, 3) for box in boxes] == [19.5]
    assert png is not None


def test_a_mask_that_lacks_a_rectangles_lesion_is_not_kept():
    drawn = result_from_boxes([Box(150, 60, 20, 20)], 200, 100)
    boxes, png = location_in([*drawn, *result_from_mask(filled((20, 10, 40, 30)))], IMAGE)
    assert len(boxes) == 2
    assert png is None


def test_a_mask_can_accept_or_edit_a_proposal():
    proposal = proposal_record(image_id=7, boxes=(Box(20, 10, 40, 30),))
    same = interpret_annotation(annotation(result_from_mask(filled((20, 10, 40, 30)))), IMAGE, proposal)
    assert (same.outcome, same.location.boxes) == (ReviewOutcome.ACCEPTED, proposal.boxes)
    assert same.location.mask_png is not None
    smaller = interpret_annotation(annotation(result_from_mask(filled((20, 10, 40, 15)))), IMAGE, proposal)
    assert (smaller.outcome, smaller.iou) == (ReviewOutcome.EDITED, pytest.approx(0.5))


def test_paint_of_another_size_or_damaged_is_named_not_guessed():
    (region,) = result_from_mask(filled((20, 10, 40, 30)))
    with pytest.raises(NoStatement, match="50x50"):
        location_in([{**region, "original_width": 50, "original_height": 50}], IMAGE)
    cut = {**region, "value": {**region["value"], "rle": region["value"]["rle"][:20]}}
    with pytest.raises(NoStatement, match="truncated"):
        location_in([cut], IMAGE)
    with pytest.raises(NoStatement, match="polygon"):
        location_in([{"type": "polygonlabels", "value": {"points": [[1, 1]]}}], IMAGE)


def test_an_empty_result_means_nothing_or_no_lesion_as_agreed():
    with pytest.raises(NoStatement, match="nothing there"):
        interpret_annotation(annotation([]), IMAGE, None)
    agreed = interpret_annotation(annotation([]), IMAGE, None, empty_is_none=True)
    assert (agreed.outcome, agreed.location.status) == (ReviewOutcome.EMPTY, LocationStatus.EMPTY)
    emptied = interpret_annotation(annotation([]), IMAGE, proposal_record(image_id=7), empty_is_none=True)
    assert emptied.outcome is ReviewOutcome.EMPTY
    cannot_tell = annotation(result_from_verdict("cannot tell"))
    assert interpret_annotation(cannot_tell, IMAGE, None, empty_is_none=True).location is None
    assert interpret_annotation(annotation(result_from_verdict(NO_LESION)), IMAGE, None).location.boxes == ()


def test_what_was_known_is_no_statement_until_somebody_changes_it():
    image = image_record(id=7, width=200, height=100, label=label_record(Box(20, 10, 40, 30), has_mask=True))
    mask_HW = filled((20, 10, 40, 30))
    for png in (None, png_from_mask(mask_HW)):
        (sent,) = known_location_of(image, png)
        assert sent["ground_truth"] is False
        assert is_as_sent(annotation(sent["result"], updated_by=None))
        edited = annotation(sent["result"], updated_by=5)
        assert not is_as_sent(edited)
        assert reviewer_of(edited, {5: "bob", 3: "ann"}) == "bob"
        task = {"id": 1, "data": {KEY: image.key}, "annotations": [annotation(sent["result"], updated_by=None)]}
        plan = plan_pull([task], Known({image.key: image}, {}, {}, {}))
        assert (plan.reviews, plan.unchanged) == ([], 1)
    assert known_location_of(image_record(), None) == []
    assert known_location_of(image_record(label=label_record()), None) == []
    assert not is_as_sent(annotation([]))


def outline(*points):
    return {"type": "polygonlabels", "value": {"points": [list(point) for point in points]}}


def test_more_paint_than_anybody_makes_is_refused_before_it_is_unpacked(monkeypatch):
    (stroke,) = result_from_mask(filled((10, 10, 20, 20)))
    assert interpret_annotation(annotation([stroke] * 3), IMAGE, None).location.boxes == (Box(10, 10, 20, 20),)
    monkeypatch.setattr("annotator.label_studio.pull.interpret.MAX_PAINT_VALUES", 2 * 200 * 100 * 4)
    with pytest.raises(NoStatement, match="3 brush masks, too many"):
        interpret_annotation(annotation([stroke] * 3), IMAGE, None)
    monkeypatch.undo()
    monkeypatch.setattr("annotator.label_studio.pull.interpret.MAX_PAINT_RECORDS", 100)
    with pytest.raises(NoStatement, match="runs, the limit"):
        interpret_annotation(annotation([stroke] * 3), IMAGE, None)


def test_the_work_of_all_polygons_together_is_bounded(monkeypatch):
    square = outline((5, 10), (15, 10), (15, 30), (5, 30))
    assert interpret_annotation(annotation([square] * 3), IMAGE, None).location.boxes
    # One has 11 x 21 pixels, and edges that cross 40 rows.
    monkeypatch.setattr("annotator.label_studio.pull.interpret.MAX_FILL_STEPS", 2 * (11 * 21 + 50 * (40 + 4)))
    with pytest.raises(NoStatement, match="too many corners for their size"):
        interpret_annotation(annotation([square] * 3), IMAGE, None)


def test_a_mask_for_an_image_of_any_size_is_not_made():
    huge = image_record(id=7, width=100_000, height=100_000)
    with pytest.raises(NoStatement, match="the limit"):
        interpret_annotation(annotation([outline((5, 10), (15, 10), (15, 30))]), huge, None)
    box = result_from_boxes([Box(10, 10, 20, 20)], 100_000, 100_000)
    with pytest.raises(NoStatement):
        interpret_annotation(annotation(box), huge, None)


def test_as_many_shapes_as_are_read_are_read_in_a_moment():
    regions = [*result_from_boxes([Box(n % 180, n % 80, 3, 3) for n in range(500)], 200, 100)]
    regions += [outline((n % 90, 5), (n % 90 + 5, 5), (n % 90, 20)) for n in range(500)]
    assert len(interpret_annotation(annotation(regions), IMAGE, proposal_record()).location.boxes) >= 500
