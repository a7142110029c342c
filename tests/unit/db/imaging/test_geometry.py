import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from db.imaging.geometry import boxes_dice, boxes_from_mask, boxes_iou, clip_box, is_within, mask_from_boxes, union_area
from db.records import Box


def test_each_large_component_becomes_one_box_and_specks_none():
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:30, 5:45] = True  # 800 pixels
    mask[40:50, 60:70] = True  # 100 pixels
    mask[0, 0] = True  # below 2 % of 901
    assert boxes_from_mask(mask) == (Box(5, 10, 40, 20), Box(60, 40, 10, 10))


def test_pixels_that_touch_at_a_corner_are_one_component():
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = mask[1, 1] = True
    assert boxes_from_mask(mask) == (Box(0, 0, 2, 2),)


def test_an_empty_mask_has_no_box():
    assert boxes_from_mask(np.zeros((5, 5), dtype=bool)) == ()


def test_overlaps_count_once():
    assert union_area([Box(0, 0, 10, 10), Box(5, 5, 10, 10)]) == 175


def test_iou_and_dice_by_hand():
    # Two 10x10 boxes shifted by 5: intersection 50, union 150.
    a, b = [Box(0, 0, 10, 10)], [Box(5, 0, 10, 10)]
    assert boxes_iou(a, b) == pytest.approx(50 / 150)
    assert boxes_dice(a, b) == pytest.approx(100 / 200)
    # Of two truths one is found exactly: 100 of 200.
    assert boxes_iou([Box(0, 0, 10, 10)], [Box(0, 0, 10, 10), Box(50, 50, 10, 10)]) == pytest.approx(0.5)


def test_a_miss_is_zero_and_two_empties_agree():
    assert boxes_iou([], [Box(0, 0, 1, 1)]) == 0
    assert boxes_iou([], []) == 1


boxes = st.builds(Box, st.floats(-50, 150), st.floats(-50, 150), st.floats(0.5, 100), st.floats(0.5, 100))


@given(st.lists(boxes, max_size=4), st.lists(boxes, max_size=4))
def test_iou_is_symmetric_and_bounded(first, second):
    iou = boxes_iou(first, second)
    assert 0 <= iou <= 1 + 1e-9
    assert iou == pytest.approx(boxes_iou(second, first), abs=1e-9)


@given(boxes)
def test_clipping_stays_on_the_image(box):
    clipped = clip_box(box, 100, 80)
    if clipped is not None:
        assert is_within(clipped, 100, 80)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
def test_a_filled_box_is_found_again(x, y, width, height):
    box = Box(float(x), float(y), float(width), float(height))
    assert boxes_from_mask(mask_from_boxes([box], (50, 50))) == (box,)


def test_an_inscribed_ellipse_covers_pi_quarters_of_its_box_and_has_the_same_box():
    box = Box(10, 20, 60, 40)
    ellipse = mask_from_boxes([box], (100, 100), ellipse=True)
    assert ellipse.sum() / box.area == pytest.approx(np.pi / 4, abs=0.01)
    assert boxes_from_mask(ellipse) == (box,)


def iou_on_a_grid(first, second):
    """The same by one grid, whose size is the square of the number of boxes."""
    xs = np.unique([edge for box in (*first, *second) for edge in (box.x, box.x + box.width)])
    ys = np.unique([edge for box in (*first, *second) for edge in (box.y, box.y + box.height)])
    covered = []
    for boxes in (first, second):
        grid = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
        for box in boxes:
            x0, x1 = np.searchsorted(xs, [box.x, box.x + box.width])
            y0, y1 = np.searchsorted(ys, [box.y, box.y + box.height])
            grid[y0:y1, x0:x1] = True
        covered.append(grid)
    area = np.diff(ys)[:, None] * np.diff(xs)[None, :]
    return float(((covered[0] & covered[1]) * area).sum() / ((covered[0] | covered[1]) * area).sum())


@given(st.lists(boxes, min_size=1, max_size=8), st.lists(boxes, min_size=1, max_size=8))
@example([Box(0, 0, 10, 10)] * 3, [Box(0, 0, 10, 10)])
def test_many_boxes_and_few_give_the_same(first, second):
    expected = iou_on_a_grid(first, second)
    assert boxes_iou(first, second) == pytest.approx(expected, abs=1e-9)
    few = [boxes_iou(first, second), boxes_dice(first, second), union_area(first)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("db.imaging.geometry.FEW_BOXES", 0)
        many = [boxes_iou(first, second), boxes_dice(first, second), union_area(first)]
        assert boxes_iou(first, first) == 1
    assert many == pytest.approx(few, rel=1e-9, abs=1e-9)


def test_memory_grows_with_the_number_of_boxes_not_with_its_square():
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 4000, (2, 700, 2)).tolist()
    first, second = ([Box(x, y, 50.5, 20.25) for x, y in one] for one in places)
    tracemalloc.start()
    assert 0 < boxes_iou(first, second) < 1
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_mask_of_noise_takes_memory_for_its_pixels_alone():
    mask_HW = np.zeros((600, 600), dtype=bool)
    mask_HW[::2, ::2] = True
    mask_HW[:300, :300] = True
    boxes_from_mask(mask_HW[:9, :9])
    tracemalloc.start()
    assert boxes_from_mask(mask_HW) == (Box(0, 0, 301, 301),)
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()
