"""Boxes between pixels of the upright image and Label Studio's percent: the only place where percent exists.

Label Studio gives a rectangle as x, y, width, height in percent of the image as the browser shows it (EXIF applied),
with a rotation in degrees clockwise around its top-left corner. People draw from right to left and over the edge.
Everything here is pure.
"""

import math
from collections.abc import Mapping
from typing import Any

from annotator.shapes.limits import check_canvas, number_in_range, read_numbers
from db.imaging.geometry import clip_box
from db.records import Box

MIN_SIDE_PX = 1.0
"""A rectangle smaller than this after clipping is a click, not a box."""


def percent_from_box(box: Box, width: int, height: int) -> dict[str, float]:
    """Express a box in percent of an image of `width` x `height` pixels.

    >>> percent_from_box(Box(10, 20, 30, 40), 100, 200)
    {'x': 10.0, 'y': 10.0, 'width': 30.0, 'height': 20.0, 'rotation': 0.0}
    """
    return {
        "x": 100.0 * box.x / width,
        "y": 100.0 * box.y / height,
        "width": 100.0 * box.width / width,
        "height": 100.0 * box.height / height,
        "rotation": 0.0,
    }


def extent_from_percent(value: Mapping[str, Any], width: int, height: int) -> Box:
    """Turn a rectangle in percent into the upright box around it, in pixels, wherever that lies.

    Negative sides are turned. Arguments as in `box_from_percent`.

    Raises:
        ValueError: a number is missing, not finite or far beyond the image.
    """
    check_canvas(height, width)
    try:
        x, y, w, h = read_numbers(value, ("x", "y", "width", "height"))
        angle = math.radians(number_in_range(value.get("rotation") or 0.0, "rotation"))
    except ValueError as exc:
        raise ValueError(f"a rectangle needs the numbers x, y, width and height ({exc})") from exc
    x, y, w, h = x * width / 100, y * height / 100, w * width / 100, h * height / 100
    cosine, sine = math.cos(angle), math.sin(angle)
    corners = [(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in ((0, 0), (w, 0), (w, h), (0, h))]
    xs, ys = [corner[0] for corner in corners], [corner[1] for corner in corners]
    return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def box_from_percent(value: Mapping[str, Any], width: int, height: int) -> Box | None:
    """Turn a rectangle in percent into the box around it, in pixels.

    Rotated rectangles become the upright box around them, negative sides are turned, what lies beyond the edge is cut.

    Args:
        value: x, y, width, height and optionally rotation, as Label Studio stores them.
        width: of the upright image, pixels.
        height: of the upright image, pixels.

    Returns:
        The box, None where less than `MIN_SIDE_PX` of it is on the image.

    Raises:
        ValueError: a number is missing, not finite or far beyond the image.
    """
    box = clip_box(extent_from_percent(value, width, height), width, height)
    return box if box is not None and box.width >= MIN_SIDE_PX and box.height >= MIN_SIDE_PX else None
