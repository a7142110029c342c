"""What is drawn over an image."""

import numpy as np
import pytest

from cli.dashboard.overlays import known_layer, mask_layer, proposal_layer
from db.imaging.decode import png_from_mask
from db.records import Box, LocationSource, ReviewOutcome
from tests.builders import image_record, label_record, proposal_record


@pytest.mark.parametrize("source", [source for source in LocationSource if source is not LocationSource.WITHDRAWN])
def test_known_boxes_tell_where_they_come_from(source):
    boxes = (Box(1, 2, 3, 4), Box(5, 6, 7, 8))
    layer = known_layer(image_record(label=label_record(*boxes, source=source)))
    assert (layer.kind, tuple(mark.box for mark in layer.marks), layer.shown) == (source, boxes, True)
    assert layer.title.startswith("known: ")


def test_nothing_known_and_known_to_be_empty_draw_nothing():
    assert known_layer(image_record()) is None
    assert known_layer(image_record(label=label_record())) is None


def test_an_outline_surrounds_each_part_of_a_mask():
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:15, 10:30] = mask[25:30, 40:50] = True
    layer = mask_layer(png_from_mask(mask))
    corners = [np.array([pair.split(",") for pair in points.split()], dtype=float) for points in layer.outlines]
    spans = sorted((*points.min(axis=0), *points.max(axis=0)) for points in corners)
    assert np.allclose(spans, [(10, 5, 30, 15), (40, 25, 50, 30)], atol=1)


def test_a_mask_of_too_many_parts_is_said_and_not_drawn():
    mask = np.zeros((500, 500), dtype=bool)
    mask[::2, ::2] = True
    layer = mask_layer(png_from_mask(mask))
    assert layer.outlines == ()
    assert "parts" in layer.note


def test_proposals_have_the_score_of_each_box_and_hide_once_they_are_reviewed():
    boxes = (Box(1, 2, 3, 4), Box(5, 6, 7, 8))
    waiting = proposal_layer(proposal_record(boxes=boxes, box_scores=(0.9, 0.4)), is_pending=True)
    assert [mark.text for mark in waiting.marks] == ["0.90", "0.40"]
    assert waiting.shown
    assert "waits for review" in waiting.title
    reviewed = proposal_layer(proposal_record(boxes=boxes, outcome=ReviewOutcome.REJECTED), is_pending=False)
    assert [mark.text for mark in reviewed.marks] == ["0.85", "0.85"]
    assert not reviewed.shown
    assert "rejected" in reviewed.title
    nothing = proposal_layer(proposal_record(boxes=()), is_pending=True)
    assert nothing.marks == ()
    assert "nothing to find" in nothing.title
