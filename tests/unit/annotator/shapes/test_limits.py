"""What a hostile file or annotator writes into a shape is refused before anything is allocated."""

import tracemalloc

import numpy as np
import pytest

from annotator.shapes.brush import decode_brush, encode_brush
from annotator.shapes.drawn import Ellipse, Painted, Polygon
from annotator.shapes.limits import MAX_SHAPES
from annotator.shapes.percent import box_from_percent
from annotator.shapes.polygons import polygon_from_percent, polygons_from_mask

BAD_NUMBERS = [float("inf"), float("nan"), 10**400, 1e300, True, "x", None, [1]]


@pytest.mark.parametrize("bad", BAD_NUMBERS)
def test_a_rectangle_or_polygon_with_a_bad_number_is_a_value_error(bad):
    with pytest.raises(ValueError):
        box_from_percent({"x": bad, "y": 1, "width": 5, "height": 5}, 100, 80)
    with pytest.raises(ValueError):
        polygon_from_percent({"points": [[1, 1], [bad, 5], [5, 5]]}, 100, 80)


@pytest.mark.parametrize("points", [5, "abc", {"x": 1}, [5], [[1, 2, 3]] * 3, [[0, 0]] * 60_000])
def test_corners_of_another_form_are_a_value_error(points):
    with pytest.raises(ValueError):
        polygon_from_percent({"points": points}, 100, 80)


@pytest.mark.parametrize("rle", [10**9, "abc", None, [300], [-1], ["a"], [1.5], [[1]], [0] * 10_000])
def test_paint_of_another_form_is_a_value_error_and_allocates_nothing(rle):
    tracemalloc.start()
    with pytest.raises(ValueError):
        decode_brush(rle, 20, 20)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_paint_that_claims_a_thousand_million_pixels_allocates_nothing():
    claims = list((4 * 10**9).to_bytes(4, "big")) + [0] * 20
    for height, width in ((100_000, 10_000), (100_000, 100_000)):
        tracemalloc.start()
        with pytest.raises(ValueError, match="limit"):
            decode_brush(claims, height, width)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_paint_in_more_runs_than_anybody_paints_is_refused():
    mask_HW = np.indices((40, 40)).sum(axis=0) % 2 == 0
    rle = encode_brush(mask_HW)
    assert np.array_equal(decode_brush(rle, 40, 40), mask_HW)
    with pytest.raises(ValueError, match="runs"):
        decode_brush(rle, 40, 40, most_records=100)


def test_masks_that_are_too_large_are_refused_before_they_are_made():
    for shape in (Ellipse(5, 5, 2, 2), Painted(np.ones((2, 2), dtype=bool)), Polygon([(0, 0), (5, 0), (5, 5)])):
        with pytest.raises(ValueError, match="pixels"):
            shape.mask(100_000, 100_000)
    with pytest.raises(ValueError):
        Ellipse(5, 5, 10**400, 2)
    with pytest.raises(ValueError):
        Polygon([(0, 0), (1e300, 0), (5, 5)])


def test_a_mask_of_more_parts_than_shapes_is_not_traced():
    mask_HW = np.zeros((200, 200), dtype=bool)
    mask_HW[::4, ::4] = True
    assert mask_HW.sum() > MAX_SHAPES
    with pytest.raises(ValueError, match="parts"):
        polygons_from_mask(mask_HW)
