"""Which images are asked for, as it stands in an address: the filters of `partly list`, checked; pure."""

import math
from collections.abc import Mapping
from urllib.parse import urlencode

from db.errors import InvalidArgument
from db.records import Split, Supervision
from db.records.images import ImageFilter

FIELDS = (
    "name",
    "class",
    "split",
    "supervision",
    "located",
    "proposed",
    "run",
    "min_score",
    "max_score",
    "reviewer",
    "near_duplicates",
)
ANSWERS = {"yes": True, "no": False}
LONGEST = 500
"""Letters of a value; databases take no longer patterns."""


def given_in(query: Mapping[str, str]) -> dict[str, str]:
    """Return what of an address's query filters images, without what was left empty."""
    return {field: query[field] for field in FIELDS if query.get(field)}


def filter_from(query: Mapping[str, str]) -> ImageFilter:
    """Read a filter from an address's query.

    Raises:
        InvalidArgument: a value is none that there is.
    """
    given = given_in(query)
    for field, text in given.items():
        if len(text) > LONGEST or "\0" in text:
            raise InvalidArgument(f"{field} must have at most {LONGEST} characters, and no NUL")
    return ImageFilter(
        class_name=given.get("class"),
        split=_split(given.get("split")),
        supervision=_supervision(given.get("supervision")),
        located=_answer(given, "located"),
        proposed=_answer(given, "proposed"),
        run=given.get("run"),
        min_score=_number(given, "min_score"),
        max_score=_number(given, "max_score"),
        reviewer=given.get("reviewer"),
        name=given.get("name"),
        look_alikes=bool(_answer(given, "near_duplicates")),
    )


def address(path: str, query: Mapping[str, str], **more: object) -> str:
    """Write an address with a query."""
    pairs = {**given_in(query), **{key: str(value) for key, value in more.items()}}
    return f"{path}?{urlencode(pairs)}" if pairs else path


def number_in(query: Mapping[str, str], field: str) -> int | None:
    """Read the number of an image from an address's query; None where there is none.

    Raises:
        InvalidArgument: it is no such number.
    """
    text = query.get(field)
    if not text:
        return None
    if (number := image_number(text)) is None:
        raise InvalidArgument(f"{field} must be the number of an image, got {text[:40]!r}")
    return number


def image_number(text: str) -> int | None:
    """Read the number of an image; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _split(text: str | None) -> str | None:
    if text is not None and text not in ("none", *Split):
        raise InvalidArgument(f"split must be {', '.join(Split)} or none, got {text[:40]!r}")
    return text


def _supervision(text: str | None) -> Supervision | None:
    if text is None:
        return None
    try:
        return Supervision(text)
    except ValueError:
        raise InvalidArgument(f"supervision must be {', '.join(Supervision)}, got {text[:40]!r}") from None


def _answer(given: Mapping[str, str], field: str) -> bool | None:
    text = given.get(field)
    if text is not None and text not in ANSWERS:
        raise InvalidArgument(f"{field} must be yes or no, got {text[:40]!r}")
    return ANSWERS[text] if text is not None else None


def _number(given: Mapping[str, str], field: str) -> float | None:
    text = given.get(field)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InvalidArgument(f"{field} must be a score between 0 and 1, got {text[:40]!r}")
    return value
