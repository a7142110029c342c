import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.shapes.percent import box_from_percent, percent_from_box
from db.records import Box

sizes = st.integers(20, 4000)


@given(sizes, sizes, st.data())
def test_pixels_survive_the_way_there_and_back(width, height, data):
    w, h = data.draw(st.floats(1.5, width)), data.draw(st.floats(1.5, height))
    x, y = data.draw(st.floats(0, width - w)), data.draw(st.floats(0, height - h))
    found = box_from_percent(percent_from_box(Box(x, y, w, h), width, height), width, height)
    assert found is not None
    for name, wanted in (("x", x), ("y", y), ("width", w), ("height", h)):
        assert getattr(found, name) == pytest.approx(wanted, abs=0.01)


def test_percent_by_hand():
    assert percent_from_box(Box(50, 10, 100, 20), 200, 100) == {
        "x": 25.0, "y": 10.0, "width": 50.0, "height": 20.0, "rotation": 0.0,
    }  # fmt: skip


def test_a_rectangle_drawn_from_right_to_left_is_turned():
    value = {"x": 75, "y": 30, "width": -50, "height": -20}
    assert box_from_percent(value, 200, 100) == Box(50, 10, 100, 20)


def test_a_rectangle_rotated_by_a_quarter_turns_around_its_corner():
    # 40 x 20 px at (100, 30), turned clockwise by 90 degrees: it lies left of its corner, 20 wide and 40 high.
    value = {"x": 50, "y": 30, "width": 20, "height": 20, "rotation": 90}
    box = box_from_percent(value, 200, 100)
    assert (box.x, box.y, box.width, box.height) == pytest.approx((80, 30, 20, 40))


@given(st.floats(0, 360))
def test_the_box_around_a_rotated_square_is_as_wide_as_its_diagonal_at_most(angle):
    box = box_from_percent({"x": 45, "y": 45, "width": 10, "height": 10, "rotation": angle}, 1000, 1000)
    assert 99.9 <= box.width <= 100 * math.sqrt(2) + 0.1


def test_what_lies_beyond_the_edge_is_cut():
    assert box_from_percent({"x": -10, "y": 90, "width": 30, "height": 30}, 100, 100) == Box(0, 90, 20, 10)


@pytest.mark.parametrize(
    "value", [{"x": 10, "y": 10, "width": 0, "height": 0}, {"x": 120, "y": 10, "width": 5, "height": 5}]
)
def test_a_click_and_a_rectangle_outside_are_no_box(value):
    assert box_from_percent(value, 100, 100) is None


@pytest.mark.parametrize("value", [{}, {"x": "a", "y": 1, "width": 1, "height": 1}, dict.fromkeys("xy", 1)])
def test_numbers_that_are_missing_are_an_error(value):
    with pytest.raises(ValueError, match="rectangle"):
        box_from_percent(value, 100, 100)


def test_infinite_numbers_are_an_error():
    with pytest.raises(ValueError, match="finite"):
        box_from_percent({"x": math.inf, "y": 1, "width": 1, "height": 1}, 100, 100)


@given(sizes, sizes, st.floats(-20, 90), st.floats(-20, 90), st.floats(-100, 100), st.floats(-100, 100))
def test_whatever_people_draw_lands_on_the_image(width, height, x, y, w, h):
    box = box_from_percent({"x": x, "y": y, "width": w, "height": h}, width, height)
    if box is None:
        return
    assert box.x >= 0
    assert box.y >= 0
    assert box.x + box.width <= width + 1e-6
    assert box.y + box.height <= height + 1e-6
