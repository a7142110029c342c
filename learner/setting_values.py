"""What was typed, or read from a file, as a value of a setting's type. Imports no torch."""

import math
from typing import Any, Literal, get_args, get_origin


def coerce(hint: Any, value: Any) -> Any:
    """Turn what was typed, or read from a file, into a value of a field's type.

    Raises:
        ValueError: it is none; the message says what is expected.
    """
    from pydantic import TypeAdapter, ValidationError

    if isinstance(value, bool) and hint is not bool:
        # TOML has no on and off, and true is no number.
        value = "on" if value else "off"
    try:
        found = TypeAdapter(hint).validate_python(value)
    except ValidationError:
        raise ValueError(_expected(hint)) from None
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError("expected a finite number")
    return found


def _expected(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"expected one of {', '.join(get_args(hint))}"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return f"expected {names[hint]}"
