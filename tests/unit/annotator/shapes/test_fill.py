"""Polygons are filled as scikit-image fills them, in bounded work."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

import annotator.shapes.fill as fill
from annotator.shapes.fill import mask_from_polygon
from annotator.shapes.limits import MAX_CORNERS

numbers = st.one_of(st.floats(-20, 80), st.integers(-40, 160).map(lambda half: half / 2))


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=24), st.integers(1, 50), st.integers(1, 60))
def test_bands_of_rows_give_the_same_pixels(points, height, width):
    corners = np.array([(y - 0.5, x - 0.5) for x, y in points])
    expected = np.asarray(polygon2mask((height, width), corners), dtype=bool)
    assert np.array_equal(mask_from_polygon(points, height, width), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill, "SMALL_STEPS", 0)
        patch.setattr(fill, "BAND_ROWS", 3)
        assert np.array_equal(mask_from_polygon(points, height, width), expected)


def test_a_large_outline_of_many_corners_is_filled():
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    points = [(1000 + 900 * np.cos(a), 1000 + 900 * np.sin(a)) for a in angles]
    area = mask_from_polygon(points, 2000, 2000).sum()
    assert area == pytest.approx(np.pi * 900**2, rel=1e-3)


def test_work_without_end_is_refused_before_it_begins():
    zigzag = [(n / 3, 3000.0 * (n % 2)) for n in range(9000)]
    with pytest.raises(ValueError, match="too many corners for their size"):
        mask_from_polygon(zigzag, 3000, 3000)


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
