"""Documents of records, key by key."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.documents import document_of
from db.imaging.files import ImageFile
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


@dataclass(frozen=True, slots=True)
class Evaluation:
    run: str
    summary: dict[str, int]
    rows: tuple[int, ...] = (1, 2)
    leaks: int | None = None


def test_documents_follow_the_tables_of_exceptions():
    assert document_of(Evaluation("run-1", {"n": 3})) == {"run": "run-1", "n": 3}
    assert document_of(Evaluation("run-1", {"n": 3}, leaks=2)) == {"run": "run-1", "n": 3, "leaks": 2}


def test_plain_values():
    assert document_of({Split.VAL: {1}, "nothing": None, "yes": True, 3: (0.5, -math.inf)}) == {
        "val": [1],
        "nothing": None,
        "yes": True,
        "3": [0.5, None],
    }
    assert document_of(ImageFile.at("/images/a.png")) == "/images/a.png"
