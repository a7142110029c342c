"""Shapes at the edge of the image: what of them lies on it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.shapes.drawn import Ellipse, Painted, Polygon, Rectangle
from annotator.shapes.polygons import mask_from_polygon
from db.records import Box

FINE = 8
"""Pixels of the painted comparison in one of the image."""
W, H = 20, 14


def painted(shape):
    """The box of what a shape paints in pixels of 1/8, in pixels of the image; None where it paints nothing."""
    if isinstance(shape, Polygon):
        mask_HW = mask_from_polygon([(x * FINE, y * FINE) for x, y in shape.corners], H * FINE, W * FINE)
    else:
        numbers = (shape.x, shape.y, shape.radius_x, shape.radius_y)
        mask_HW = Ellipse(*(number * FINE for number in numbers), shape.degrees).mask(H * FINE, W * FINE)
    if not mask_HW.any():
        return None
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / FINE


def edges(box):
    return np.array([box.x, box.y, box.x + box.width, box.y + box.height])


@given(st.integers(0, 100_000), st.integers(3, 7))
def test_the_part_of_a_polygon_on_the_image_is_as_large_as_what_it_paints(seed, corners):
    points = np.random.default_rng(seed).uniform((-W, -H), (2 * W, 2 * H), (corners, 2))
    shape = Polygon([(float(x), float(y)) for x, y in points])
    box, paint = shape.box_on(W, H), painted(shape)
    if box is None:
        assert paint is None
    elif paint is not None:
        # A needle may end between two rows of pixels, so that paint is never larger, and may be smaller.
        assert (edges(box)[:2] <= paint[:2] + 0.5 / FINE + 1e-6).all()
        assert (edges(box)[2:] >= paint[2:] - 0.5 / FINE - 1e-6).all()


@given(
    st.floats(-W, 2 * W), st.floats(-H, 2 * H), st.floats(1, W), st.floats(1, W), st.floats(-360, 360)
)  # fmt: skip
def test_the_part_of_an_ellipse_on_the_image_is_as_large_as_what_it_paints(x, y, radius_x, radius_y, degrees):
    shape = Ellipse(x, y, radius_x, radius_y, degrees)
    box, paint = shape.box_on(W, H), painted(shape)
    if box is None:
        assert paint is None
    elif paint is not None:
        assert (edges(box)[:2] <= paint[:2] + 0.5 / FINE + 1e-6).all()
        assert (edges(box)[2:] >= paint[2:] - 0.5 / FINE - 1e-6).all()


@given(
    st.floats(-W, 2 * W), st.floats(-H, 2 * H), st.floats(1, W), st.floats(1, W), st.floats(-360, 360)
)  # fmt: skip
def test_the_part_of_an_ellipse_on_the_image_ends_where_its_line_does(x, y, radius_x, radius_y, degrees):
    shape = Ellipse(x, y, radius_x, radius_y, degrees)
    t, turned = np.linspace(0, 2 * np.pi, 200_001), np.radians(degrees)
    right, down = radius_x * np.cos(t), radius_y * np.sin(t)
    line_N2 = np.stack(
        [x + right * np.cos(turned) - down * np.sin(turned), y + right * np.sin(turned) + down * np.cos(turned)], axis=1
    )
    inside_N2 = line_N2[((line_N2 >= 0) & (line_N2 <= (W, H))).all(axis=1)]
    # An arc that cuts off the edge takes the image's corners with it that lie inside.
    around = [(a, b) for a in (0, W) for b in (0, H) if _is_in(shape, a, b)]
    inside_N2 = np.concatenate([inside_N2, np.array(around, dtype=float).reshape(-1, 2)])
    box = shape.box_on(W, H)
    if len(inside_N2) == 0:
        # Less than a step of the line may lie on the image.
        assert box is None or box.area < 1e-4
        return
    low, high = inside_N2.min(axis=0), inside_N2.max(axis=0)
    if box is None:
        assert np.prod(high - low) < 1e-9
        return
    # Steps along the line are at most 20 * 2 pi / 200,000 long.
    assert edges(box) == pytest.approx(np.concatenate([low, high]), abs=1.3e-3)


def _is_in(shape, x, y):
    cosine, sine = math.cos(math.radians(shape.degrees)), math.sin(math.radians(shape.degrees))
    right, down = x - shape.x, y - shape.y
    along, across = (right * cosine + down * sine) / shape.radius_x, (down * cosine - right * sine) / shape.radius_y
    return along**2 + across**2 <= 1


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (Rectangle(Box(-4, 2, 10, 4)), Box(0, 2, 6, 4)),
        (Rectangle(Box(20, 2, 3, 3)), None),
        # The tip beyond the right edge is its lowest part: what is left ends at y = 6, not at 8.
        (Polygon([(16, 0), (18, 0), (24, 8), (16, 2)]), Box(16, 0, 4, 5)),
        # Its prongs reach over the top edge, and are joined beyond the corner: the corner is not in it.
        (Polygon([(2, 4), (2, -4), (26, -4), (26, 4), (25, 4), (25, -3), (4, -3), (4, 4)]), Box(2, 0, 2, 4)),
        # Around the whole image.
        (Polygon([(-5, -5), (30, -5), (30, 30), (-5, 30)]), Box(0, 0, W, H)),
        # Its box touches the image, it does not.
        (Polygon([(-6, 4), (-5, 5), (5, -5), (4, -6)]), None),
        (Ellipse(0, 7, 4, 3), Box(0, 4, 4, 6)),
        (Ellipse(20 + 3, 7, 5, 5), Box(18, 3, 2, 8)),
        (Ellipse(30, 7, 5, 5), None),
        (Painted(np.ones((2, 4), dtype=bool), left=-1, top=13), Box(0, 13, 3, 1)),
        (Painted(np.ones((2, 4), dtype=bool), left=20), None),
        (Painted(np.ones((2, 4), dtype=bool), left=-4), None),
    ],
)
def test_what_of_a_shape_lies_on_the_image(shape, box):
    found = shape.box_on(W, H)
    assert (found is None) == (box is None)
    if box is not None:
        assert edges(found) == pytest.approx(edges(box), abs=1e-9)


@given(st.floats(-360, 360), st.floats(1, 4), st.floats(1, 4))
def test_a_shape_on_the_image_keeps_its_box(degrees, radius_x, radius_y):
    ellipse = Ellipse(10, 7, radius_x, radius_y, degrees)
    assert edges(ellipse.box_on(W, H)) == pytest.approx(edges(ellipse.box()), abs=1e-9)
    corners = [(10 + 4 * math.cos(t), 7 + 4 * math.sin(t)) for t in np.linspace(0, 6, 9)]
    assert edges(Polygon(corners).box_on(W, H)) == pytest.approx(edges(Polygon(corners).box()))
