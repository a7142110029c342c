"""Checks what an annotation or prediction says, region by region, before anything is computed with it. Pure."""

from collections.abc import Mapping
from typing import Any

from annotator.label_studio.payload.plain import Unreadable, check_plain, check_text, finite_number, shown, whole_number
from annotator.shapes.limits import MAX_COORDINATE, MAX_CORNERS, MAX_SHAPES

MOST_CORNERS = 50_000
"""Corners of all polygons together."""
MOST_PAINT_BYTES = 2**25
"""Bytes of all paint together."""
MOST_CHOICES = 1_000
LONGEST_CHOICE = 500
PAINTED = ("brushlabels", "polygonlabels")
LARGEST_SIDE = 1_000_000
"""Pixels along an image's side."""


def check_result(result: Any) -> list[dict[str, Any]]:
    """Check a result.

    Returns:
        Its regions.

    Raises:
        Unreadable: one of them cannot be read, or there are more than anybody draws.
    """
    if not isinstance(result, list):
        raise Unreadable(f"its result is {shown(result)}, not a list")
    if len(result) > MAX_SHAPES:
        raise Unreadable(f"it has {len(result):,} shapes; at most {MAX_SHAPES:,} per annotation are read")
    regions: list[dict[str, Any]] = []
    corners = paint = 0
    for number, region in enumerate(result, start=1):
        try:
            regions.append(_checked(region))
        except Unreadable as exc:
            raise Unreadable(f"region {number}: {exc}") from None
        value = regions[-1].get("value") or {}
        corners += len(value["points"]) if _is_painted(regions[-1]) and "points" in value else 0
        paint += len(value.get("rle") or ())
    if corners > MOST_CORNERS:
        raise Unreadable(f"its polygons have {corners:,} corners; at most {MOST_CORNERS:,} are read")
    if paint > MOST_PAINT_BYTES:
        raise Unreadable(f"its brush masks have {paint:,} bytes; at most {MOST_PAINT_BYTES:,} are read")
    check_plain([_without_paint(region) for region in regions], "its result")
    return regions


def _is_painted(region: Mapping[str, Any]) -> bool:
    return region.get("type") in PAINTED


def _without_paint(region: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was looked at already, and may be long."""
    value = region.get("value")
    if not isinstance(value, Mapping) or "rle" not in value:
        return dict(region)
    return {**region, "value": {key: item for key, item in value.items() if key != "rle"}}


def _checked(region: Any) -> dict[str, Any]:
    if not isinstance(region, Mapping):
        raise Unreadable(f"it is {shown(region)}, not a region")
    for name in ("type", "from_name", "to_name"):
        if region.get(name) is not None:
            check_text(region[name], name, LONGEST_CHOICE)
    kind = region.get("type")
    value = region.get("value")
    # Relations between regions have none.
    if "value" in region and not isinstance(value, Mapping):
        raise Unreadable(f"its value is {shown(value)}")
    if region.get("meta") is not None and not isinstance(region["meta"], Mapping):
        raise Unreadable(f"its meta is {shown(region['meta'])}")
    for name in ("score", "image_rotation"):
        if region.get(name) is not None:
            finite_number(region[name], name, MAX_COORDINATE)
    for name in ("original_width", "original_height"):
        if region.get(name) is not None:
            whole_number(region[name], name, 1, LARGEST_SIDE)
    _check_value(kind, value or {})
    return dict(region)


def _check_value(kind: Any, value: Mapping[str, Any]) -> None:
    if value.get("choices") is not None:
        _check_choices(value["choices"])
    if "rle" in value:
        _check_paint(value["rle"])
    if kind == "rectanglelabels":
        for name in ("x", "y", "width", "height"):
            finite_number(value.get(name), name, MAX_COORDINATE)
        if value.get("rotation") is not None:
            finite_number(value["rotation"], "rotation", MAX_COORDINATE)
    if kind in PAINTED:
        if not {"rle", "points"} & set(value):
            raise Unreadable("it has neither paint nor corners")
        if "points" in value:
            _check_points(value["points"])


def _check_choices(choices: Any) -> None:
    if not isinstance(choices, list) or len(choices) > MOST_CHOICES:
        raise Unreadable(f"choices is {shown(choices)}, not a list of texts")
    for choice in choices:
        check_text(choice, "a choice", LONGEST_CHOICE)


def _check_paint(rle: Any) -> None:
    if not isinstance(rle, list):
        raise Unreadable(f"its paint (rle) is {shown(rle)}, not a list of bytes")
    if len(rle) > MOST_PAINT_BYTES:
        raise Unreadable(f"its paint has {len(rle):,} bytes; at most {MOST_PAINT_BYTES:,} are read")
    try:
        bytes(rle)
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("its paint (rle) has something other than bytes from 0 to 255") from None


def _check_points(points: Any) -> None:
    if not isinstance(points, list):
        raise Unreadable(f"its points are {shown(points)}, not a list of corners")
    if len(points) > MAX_CORNERS:
        raise Unreadable(f"it has {len(points):,} corners; at most {MAX_CORNERS:,} are read")
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise Unreadable(f"a corner is {shown(point)}, not two numbers")
        for number in point:
            finite_number(number, "a corner", MAX_COORDINATE)
