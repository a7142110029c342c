"""What a shape may cost: numbers from files and servers are checked against this before anything is made of them. Pure.

The limits lie far beyond what people draw, and where a machine with a few gigabytes still answers in seconds.
"""

import json
import math
from collections.abc import Mapping, Sequence
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
SHOWN = 40
"""Characters of a wrong value that a message shows."""


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
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} is {_shown(value)}, which is not a number") from None
    if isinstance(value, bool):
        raise ValueError(f"{name} is {_shown(value)}, which is not a number")
    if not math.isfinite(number):
        raise ValueError(f"{name} is a number that is not finite")
    if abs(number) > MAX_COORDINATE:
        raise ValueError(f"{name} is {number:g}, far beyond any image")
    return number


def _shown(value: Any) -> str:
    """Show a value as it stands in a JSON file, and not at any length."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def read_numbers(values: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    """Return the numbers of these names.

    Raises:
        ValueError: one is missing, or see `number_in_range`.
    """
    missing = [name for name in names if values.get(name) is None or values[name] == ""]
    if missing:
        raise ValueError(f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing")
    return [number_in_range(values[name], name) for name in names]


def read_points(points: Any) -> list[tuple[float, float]]:
    """Return a list of pairs of numbers.

    Raises:
        ValueError: it is none, one of them is no pair, or see `check_corners` and `number_in_range`.
    """
    if points is None:
        raise ValueError("its points are missing")
    if not isinstance(points, list | tuple):
        raise ValueError(f"its points are {_shown(points)}, expected a list")
    check_corners(len(points))
    found = []
    for place, point in enumerate(points, start=1):
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise ValueError(f"point {place} is {_shown(point)}, expected two numbers")
        x, y = point
        found.append((number_in_range(x, f"x of point {place}"), number_in_range(y, f"y of point {place}")))
    return found


def check_corners(count: int) -> None:
    """Refuse a polygon of too many corners.

    Raises:
        ValueError: there are more than `MAX_CORNERS`.
    """
    if count > MAX_CORNERS:
        raise ValueError(f"a polygon has {count:,} corners; at most {MAX_CORNERS:,} are read")
