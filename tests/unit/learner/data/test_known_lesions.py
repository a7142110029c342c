"""The square is chosen with the small lesions in view, and what stays too small is said."""

import pytest

from db.records import Box
from learner.data.known_lesions import choose_size, describe_small, least_size, shorter_sides
from tests.builders import image_record, label_record


def images(*sides, width=4000, height=3000):
    boxes = [Box(100.0, 200.0, side, 2 * side) for side in sides]
    return [image_record(width=width, height=height, label=label_record(box)) for box in boxes]


def test_sides_are_measured_in_the_square():
    assert shorter_sides(images(40.0), 400, "letterbox") == pytest.approx([4.0])
    # 400 / 3000 down, 400 / 4000 across.
    assert shorter_sides(images(40.0), 400, "resize") == pytest.approx([4.0])


@pytest.mark.parametrize(("side", "chosen"), [(200.0, 256), (125.0, 256), (100.0, 384), (70.0, 512), (16.0, 512)])
def test_the_first_square_that_shows_them_is_chosen(side, chosen):
    assert choose_size(images(*[side] * 20), "letterbox", least_size("cuda")) == chosen


@pytest.mark.parametrize(("side", "chosen"), [(260.0, 128), (210.0, 160), (170.0, 192), (125.0, 256), (16.0, 512)])
def test_smaller_ones_are_chosen_on_a_cpu(side, chosen):
    assert choose_size(images(*[side] * 20), "letterbox", least_size("cpu")) == chosen


def test_one_in_twenty_may_be_smaller():
    assert choose_size(images(*[500.0] * 19, 10.0), "letterbox", 256) == 256
    assert choose_size([], "letterbox", 256) == 256


def test_boxes_that_stay_too_small_are_said_with_a_remedy():
    said = describe_small(images(*[16.0] * 20), 256, "letterbox")
    assert "20 of 20 boxes are narrower than 8 px at size=256 (the smallest 1.0 px)" in said
    assert "--set size=2048" in said
    assert "--set tiles=8" in said
    assert describe_small(images(*[500.0] * 20), 256, "letterbox") is None


def test_tiles_show_what_is_too_small_for_the_whole():
    assert choose_size(images(*[70.0] * 20), "letterbox", 128, tiles=4) == 128
    assert choose_size(images(*[70.0] * 20), "letterbox", 128, tiles=2) == 256
    assert describe_small(images(*[16.0] * 20), 256, "letterbox", tiles=8) is None
    said = describe_small(images(*[16.0] * 20), 256, "letterbox", tiles=4)
    assert "at size=256 and tiles=4 (the smallest 4.1 px)" in said
    assert "--set size=512 would" in said
    assert "--set tiles=8" in said


def test_boxes_that_no_square_shows_are_said():
    said = describe_small(images(*[1.0] * 20, width=40_000), 512, "letterbox")
    assert said.endswith("can hardly be learned; cut the images into parts")
