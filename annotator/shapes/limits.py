"""What a shape may cost: numbers from files and servers are checked against this before anything is made of them. Pure.

The limits lie far beyond what people draw, and where a machine with a few gigabytes still answers in seconds.
"""

import math
from typing import Any

from db.imaging.limits import PIXELS

MAX_SHAPES = 1_000
"""Shapes in one annotation."""
MAX_CORNERS = 10_000
"""Corners of one polygon."""
MAX_COORDINATE = 1e7
"""Largest distance from the image's corner, in pixels or percent."""
MAX_FILL_STEPS = 2_000_000_000
"""Pixels that are looked at to fill the polygons of one annotation: some seconds."""
CROSSING_STEPS = 50
"""Where an edge crosses a row takes as long as so many pixels."""
MAX_PAINT_RECORDS = 2_000_000
"""Run-length records of the paint of one annotation: some seconds."""
MAX_PAINT_VALUES = 2**33
"""Values that the paint of one annotation unpacks to, four a pixel."""


def check_canvas(height: Any, width: Any) -> None:
    """Refuse the size of an image for which no mask can be made.

    Raises:
        ValueError: a side is not a whole number of at least 1, or there are more pixels than a file may have.
    """
    for side in (height, width):
        if isinstance(side, bool) or not isinstance(side, int) or side < 1:
            raise ValueError("the sides of an image are whole numbers of at least 1")
    if height * width > PIXELS:
        raise ValueError(f"a mask of {width}x{height} px has more than {PIXELS:,} pixels, the limit")


def number_in_range(value: Any, name: str) -> float:
    """Return a number that can be computed with.

    Raises:
        ValueError: it is no number, not finite, or beyond `MAX_COORDINATE`.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ValueError(f"{name} is not a number ({type(exc).__name__})") from None
    if isinstance(value, bool):
        raise ValueError(f"{name} is not a number")
    if not math.isfinite(number):
        raise ValueError(f"{name} is a number that is not finite")
    if abs(number) > MAX_COORDINATE:
        raise ValueError(f"{name} is {number:g}, far beyond any image")
    return number


def check_corners(count: int) -> None:
    """Refuse a polygon of too many corners.

    Raises:
        ValueError: there are more than `MAX_CORNERS`.
    """
    if count > MAX_CORNERS:
        raise ValueError(f"a polygon has {count:,} corners; at most {MAX_CORNERS:,} are read")
