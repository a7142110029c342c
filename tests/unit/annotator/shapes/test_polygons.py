"""Masks as polygons: back to within a pixel."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

from annotator.shapes.polygons import (
    box_of_polygon,
    has_holes,
    mask_from_polygon,
    percent_from_polygon,
    polygon_from_percent,
    polygons_from_mask,
)
from db.records import Box


@given(st.integers(0, 10_000), st.floats(0.6, 6), st.integers(3, 60), st.integers(3, 80))
def test_a_mask_comes_back_within_a_pixel(seed, blur, height, width):
    noise_HW = np.random.default_rng(seed).normal(size=(height, width))
    mask_HW = binary_fill_holes(gaussian_filter(noise_HW, blur) > 0)
    assume(mask_HW.any() and not mask_HW.all())
    back_HW = np.zeros_like(mask_HW)
    for outline in polygons_from_mask(mask_HW):
        value = {"points": percent_from_polygon(outline, width, height)}
        back_HW |= mask_from_polygon(polygon_from_percent(value, width, height), height, width)
    # How far each pixel is from the other side of the mask's edge.
    depth_HW = np.where(mask_HW, distance_transform_edt(mask_HW), distance_transform_edt(~mask_HW))
    assert depth_HW[back_HW != mask_HW].max(initial=0) <= 1


def test_a_rectangle_keeps_its_area_and_place():
    mask_HW = np.zeros((40, 50), dtype=bool)
    mask_HW[10:30, 5:25] = True
    (outline,) = polygons_from_mask(mask_HW)
    assert np.array_equal(mask_from_polygon(outline, 40, 50), mask_HW)
    box = box_of_polygon(outline, 50, 40)
    assert (box.x, box.y, box.width, box.height) == pytest.approx((5, 10, 20, 20), abs=0.51)


def test_a_mask_at_the_edge_is_closed():
    mask_HW = np.zeros((20, 20), dtype=bool)
    mask_HW[:8, :8] = True
    (outline,) = polygons_from_mask(mask_HW)
    assert np.array_equal(mask_from_polygon(outline, 20, 20), mask_HW)


def test_two_parts_are_two_outlines_and_holes_are_seen():
    mask_HW = np.zeros((30, 30), dtype=bool)
    mask_HW[2:8, 2:8] = mask_HW[15:25, 15:25] = True
    assert len(polygons_from_mask(mask_HW)) == 2
    assert not has_holes(mask_HW)
    mask_HW[18:20, 18:20] = False
    assert has_holes(mask_HW)


def test_boxes_of_outlines_end_at_the_edge():
    assert box_of_polygon([(-5, -5), (10, -5), (10, 10)], 50, 40) == Box(0, 0, 10, 10)
    assert box_of_polygon([(60, 60), (70, 60), (70, 70)], 50, 40) is None


@pytest.mark.parametrize("points", [[], [[1, 2], [3, 4]], [[1, 2], [3], [4, 5]], [[1, 2], [3, "x"], [4, 5]],
                                    [[1, 2], [3, float("nan")], [4, 5]]])  # fmt: skip
def test_what_is_no_polygon_is_refused(points):
    with pytest.raises(ValueError, match="polygon"):
        polygon_from_percent({"points": points}, 10, 10)
