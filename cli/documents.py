"""Records -> JSON documents: the one place where the documents of `--json` are made.

A record's fields become keys under their own names, but for words that Python reserves (`JSON_NAMES`). A key that the
command line's contract has only at times is left out where it is None (`OPTIONAL`).
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

JSON_NAMES: Mapping[str, str] = MappingProxyType({"class_name": "class", "lambda_": "lambda"})
"""Keys whose name Python reserves, by the field that holds them."""

OPTIONAL = frozenset({("Evaluation", "leaks"), ("ProposeResult", "calibration")})
"""(record, field): left out where it is None, rather than null."""

FLAT = frozenset({("Evaluation", "summary"), ("BenchRow", "estimates")})
"""(record, field): its keys stand among the record's own."""

HIDDEN = frozenset({("Evaluation", "rows")})
"""(record, field): not a part of the document."""


def document_of(value: Any) -> Any:
    """Turn a record, or anything made of records, into what JSON can say.

    Args:
        value: a frozen dataclass, mapping, sequence, set, path, time, enumeration member, number, text or None.

    Returns:
        Dictionaries, lists, numbers, text and None; numbers that JSON cannot say (NaN, infinity) are None, a box is
        [x, y, width, height].

    Raises:
        TypeError: there is no document for a value of this type.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return _of_record(value)
    if isinstance(value, Mapping):
        return {str(key): document_of(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [document_of(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON document for a {type(value).__name__}")


def _of_record(record: Any) -> Any:
    kind = type(record).__name__
    if kind == "Box":
        return [record.x, record.y, record.width, record.height]
    if kind == "ImageFile":
        return str(record)
    document: dict[str, Any] = {}
    for field in fields(record):
        place, value = (kind, field.name), getattr(record, field.name)
        if place in HIDDEN or (place in OPTIONAL and value is None):
            continue
        if place in FLAT:
            document |= document_of(value)
        else:
            document[JSON_NAMES.get(field.name, field.name)] = document_of(value)
    return document
