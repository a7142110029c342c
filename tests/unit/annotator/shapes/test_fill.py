"""Polygons are filled as scikit-image fills them but for edges, in bounded work."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from annotator.shapes.fill import mask_from_polygon
from annotator.shapes.limits import MAX_CORNERS

numbers = st.one_of(st.floats(-20, 80), st.integers(-40, 160).map(lambda half: half / 2))


def distance_to_edges(points, height, width):
    """From every pixel's centre to the nearest edge."""
    y_HW, x_HW = np.mgrid[:height, :width] + 0.5
    nearest_HW = np.full((height, width), np.inf)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        share_HW = ((x_HW - x0) * (x1 - x0) + (y_HW - y0) * (y1 - y0)) / length if length else np.zeros_like(x_HW)
        share_HW = np.clip(share_HW, 0, 1)
        apart_HW = np.hypot(x_HW - x0 - share_HW * (x1 - x0), y_HW - y0 - share_HW * (y1 - y0))
        nearest_HW = np.minimum(nearest_HW, apart_HW)
    return nearest_HW


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=24), st.integers(1, 50), st.integers(1, 60))
def test_the_pixels_are_scikit_images_and_those_on_an_edge(points, height, width):
    filled = mask_from_polygon(points, height, width)
    corners = np.array([(y - 0.5, x - 0.5) for x, y in points])
    expected = np.asarray(polygon2mask((height, width), corners), dtype=bool)
    apart = distance_to_edges(points, height, width)
    assert np.array_equal(filled[apart > 1e-6], expected[apart > 1e-6])
    assert filled[apart == 0].all()


def test_a_large_outline_of_many_corners_is_filled():
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    points = [(1000 + 900 * np.cos(a), 1000 + 900 * np.sin(a)) for a in angles]
    area = mask_from_polygon(points, 2000, 2000).sum()
    assert area == pytest.approx(np.pi * 900**2, rel=1e-3)


def test_work_without_end_is_refused_before_it_begins():
    zigzag = [(n / 3, 9000.0 * (n % 2)) for n in range(9000)]
    with pytest.raises(ValueError, match="too many corners for their size"):
        mask_from_polygon(zigzag, 9000, 9000)


@pytest.mark.parametrize(
    ("points", "height", "width"),
    [
        ([(0.0, 0.0)] * (MAX_CORNERS + 1), 10, 10),
        ([(0.0, 0.0), (float("inf"), 1.0), (2.0, 2.0)], 10, 10),
        ([(0.0, 0.0), (10**400, 1.0), (2.0, 2.0)], 10, 10),
        ([(0.0, 0.0), (1e300, 1.0), (2.0, 2.0)], 10, 10),
        ([(0.0, 0.0), (5.0, 0.0), (5.0, 5.0)], 100_000, 100_000),
        ([(0.0, 0.0), (5.0, 0.0), (5.0, 5.0)], 0, 10),
    ],
)
def test_numbers_that_native_code_must_not_see(points, height, width):
    with pytest.raises(ValueError):
        mask_from_polygon(points, height, width)
