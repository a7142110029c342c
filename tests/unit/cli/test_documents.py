"""Documents of records, key by key."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.documents import document_of
from db.records import Box, Split


@dataclass(frozen=True, slots=True)
class Found:
    class_name: str
    boxes: tuple[Box, ...]
    score: float
    split: Split
    file: Path
    at: datetime


def test_a_record_becomes_a_document_under_the_contracts_names():
    found = Found("benign", (Box(1, 2, 3, 4),), math.nan, Split.VAL, Path("/a/b.png"), datetime(2026, 1, 2, tzinfo=UTC))
    assert document_of({"items": [found]}) == {
        "items": [
            {
                "class": "benign",
                "boxes": [[1, 2, 3, 4]],
                "score": None,
                "split": "val",
                "file": "/a/b.png",
                "at": "2026-01-02T00:00:00+00:00",
            }
        ]
    }


def test_what_has_no_document_is_refused():
    with pytest.raises(TypeError, match="no JSON document for a object"):
        document_of(object())
