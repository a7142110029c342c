"""Records -> JSON documents: the one place where the documents of `--json` are made.

A record's fields become keys under their own names, but for words that Python reserves (`JSON_NAMES`). A key that the
command line's contract has only at times is left out where it is None (`OPTIONAL`).
"""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from db.records.runs import run_name

JSON_NAMES: Mapping[str, str] = MappingProxyType({"class_name": "class", "lambda_": "lambda"})
"""Keys whose name Python reserves, by the field that holds them."""

OPTIONAL = frozenset(
    {
        ("Evaluation", "leaks"),
        ("ProposeResult", "calibration"),
        ("ProposeResult", "nothing"),
        ("Skipped", "image"),
        ("Skipped", "task"),
        ("PlannedPull", "outcome"),
        ("PlannedPull", "reviewer"),
    }
)
"""(record, field): left out where it is None, rather than null."""

FLAT = frozenset({("Evaluation", "summary"), ("BenchRow", "estimates"), ("TrainResult", "plan")})
"""(record, field): its keys stand among the record's own."""

HIDDEN = frozenset({("Evaluation", "rows"), ("Evaluation", "classes")})
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
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray):
        return [document_of(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON document for a {type(value).__name__}")


def _finding(finding: Any) -> dict[str, Any]:
    paths = {image.id: image.path for image in finding.images}
    document: dict[str, Any] = {
        "kind": finding.kind,
        "images": list(paths.values()),
        "image_ids": list(paths),
        "detail": finding.detail,
    }
    if finding.pairs:
        document["pairs"] = [(paths[a], paths[b], round(correlation, 4)) for a, b, correlation in finding.pairs]
    return document


def _difference(found: Any) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "images": [image.path for image in found.images],
        "image_ids": [image.id for image in found.images],
        "tasks": found.tasks,
        "detail": found.detail,
    }


VIEWS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "Box": lambda box: [box.x, box.y, box.width, box.height],
        "ImageFile": str,
        "Finding": _finding,
        "Difference": _difference,
        "Change": lambda change: {
            "image": change.image.id,
            "path": change.image.path,
            "what": change.what,
            "before": change.before,
            "after": change.after,
        },
        "SnapshotRecord": lambda item: {"snapshot": item.hash, "taken": item.created_at, "images": item.num_images},
        "SyncRecord": lambda sync: {
            "id": sync.id,
            "kind": sync.kind,
            "status": sync.status,
            "begun": sync.created_at,
            "ended": sync.finished_at,
            "options": sync.options,
            "counts": sync.counts,
            "owner": sync.owner,
            "detail": sync.detail,
        },
        "CertificateRecord": lambda found: {
            "certificate": found.id,
            "run": found.run_name,
            "kind": found.kind,
            "certified": found.is_certified,
            "gate": found.gate,
            "tau": found.tau,
            "precision": found.precision,
            "confidence": found.confidence,
            "accepted": found.accepted,
            "errors": found.errors,
            "lower_bound": found.lower_bound,
            "needed": found.needed,
            "images": len(found.image_ids),
            "at": found.created_at,
        },
        "ScoreBin": lambda found: _fields_of(found) | {"accept_rate": found.accept_rate},
        "RetractionRecord": lambda item: {
            "retraction": item.id,
            "run": run_name(item.run_id) if item.run_id is not None else None,
            "reviewer": item.reviewer,
            "since": item.since,
            "by": item.author,
            "at": item.created_at,
            "labels": item.labels,
            "undone": item.undone,
        },
    }
)
"""Records whose document is not simply their fields, by the record's name."""


def _of_record(record: Any) -> Any:
    kind = type(record).__name__
    return document_of(VIEWS[kind](record)) if kind in VIEWS else _fields_of(record)


def _fields_of(record: Any) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for field in fields(record):
        place, value = (type(record).__name__, field.name), getattr(record, field.name)
        if place in HIDDEN or (place in OPTIONAL and value is None):
            continue
        if place in FLAT:
            document |= document_of(value)
        else:
            document[JSON_NAMES.get(field.name, field.name)] = document_of(value)
    return document
