"""Checks of JSON values from outside: what can be stored, shown and computed with, and what cannot. Pure."""

import math
from collections.abc import Mapping
from typing import Any
from unicodedata import category

DEEPEST = 24
"""Levels of lists and objects within each other."""
MOST_VALUES = 200_000
"""Values in one document, beside paint."""
LONGEST_TEXT = 2**22
"""Characters; images in other tools' results are written as text."""
NO_CHARACTERS = frozenset({"Cc", "Cs"})
"""Unicode's categories of what is no character by itself: controls, and halves of a pair."""
PLACEHOLDER = "\ufffd"
LARGEST_WHOLE = 2**63


class Unreadable(ValueError):
    """Something that a server sent cannot be read; the message says what and why."""


def shown(value: Any) -> str:
    """Describe a value in a few printable characters, whatever it is."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= LARGEST_WHOLE:
        return "a number with many digits"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def whole_number(value: Any, name: str, least: int, most: int) -> int:
    """Return a whole number in a range.

    Raises:
        Unreadable: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Unreadable(f"{name} is {shown(value)}, not a whole number of at least {least:,}")
    return value


def finite_number(value: Any, name: str, most: float) -> float:
    """Return a number of at most this size.

    Raises:
        Unreadable: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{name} is {shown(value)}, not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"{name} is {value}, not a finite number")
    if abs(value) > most:
        raise Unreadable(f"{name} is {shown(value)}, far beyond any image")
    return float(value)


def check_text(value: Any, name: str, longest: int) -> None:
    """Refuse what is no text, or has characters that control a terminal.

    Raises:
        Unreadable: it is something else, empty, too long, or has control characters.
    """
    if not isinstance(value, str):
        raise Unreadable(f"{name} is {shown(value)}, not text")
    if not value or len(value) > longest:
        raise Unreadable(f"{name} has {len(value):,} characters; expected 1 to {longest:,}")
    if not is_writable(value):
        raise Unreadable(f"{name} is {shown(value)}, with control characters")


def is_writable(text: str) -> bool:
    """Say whether a text has neither control characters nor half characters, which no page and no XML can show."""
    return text.isprintable() or not any(category(character) in NO_CHARACTERS for character in text)


def writable(text: str) -> str:
    """Replace what no page can show."""
    return "".join(PLACEHOLDER if category(character) in NO_CHARACTERS else character for character in text)


def check_plain(document: Any, name: str) -> None:
    """Refuse a document that cannot be stored on every database: too deep, too large, not finite, or no real text.

    Raises:
        Unreadable: it is one.
    """
    level, count = [document], 0
    for _ in range(DEEPEST + 1):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                deeper += value
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
            else:
                _check_single(value, name)
        count += len(level)
        if count + len(deeper) > MOST_VALUES:
            raise Unreadable(f"{name}: more than {MOST_VALUES:,} values")
        if not deeper:
            return
        level = deeper
    raise Unreadable(f"{name}: more than {DEEPEST} levels of nested lists and objects")


def _check_single(value: Any, name: str) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise Unreadable(f"{name}: a text of {len(value):,} characters; at most {LONGEST_TEXT:,} are read")
        if value.isprintable():
            return
        if "\x00" in value:
            raise Unreadable(f"{name}: a text with a NUL character")
        if not value.isascii() and any(category(character) == "Cs" for character in value):
            raise Unreadable(f"{name}: a text with an incomplete character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unreadable(f"{name}: {value} is not a finite number")
    elif isinstance(value, int) and abs(value) >= LARGEST_WHOLE:
        raise Unreadable(f"{name}: a number with many digits")
