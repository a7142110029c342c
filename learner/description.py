"""What a checkpoint's JSON file may say: read from a file that anybody may have made, and checked before it is used."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from learner.errors import CheckpointIncompatible

LONGEST = 256 * 2**20
"""Bytes of a description: a million images by number, and every epoch's losses, have a tenth of that."""
MOST_CLASSES = 10_000


class Description(dict[str, Any]):
    """A JSON object whose missing keys are the fault of its file."""

    def __init__(self, file: Path, values: Mapping[str, Any]) -> None:
        super().__init__(
            {key: Description(file, value) if isinstance(value, dict) else value for key, value in values.items()}
        )
        self.file = file

    def __missing__(self, key: str) -> Any:
        raise CheckpointIncompatible(f"{self.file}: cannot be used as a checkpoint ({key!r} is missing)")


def read_description(file: Path) -> Description:
    """Read a checkpoint's JSON file.

    Raises:
        FileNotFoundError: there is none.
        CheckpointIncompatible: it cannot be read, or says something of another kind than checkpoints do.
    """
    try:
        size = file.stat().st_size
        if size > LONGEST:
            raise CheckpointIncompatible(f"{file}: too large for a checkpoint's description ({size} bytes)")
        values = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"expected a JSON object, found {type(values).__name__}")
        for key, is_right in KINDS.items():
            if key in values and not is_right(values[key]):
                raise ValueError(f"{key} is {str(values[key])[:60]!r}, which is not valid in a checkpoint")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as exc:
        raise CheckpointIncompatible(f"{file}: cannot be read as a checkpoint ({exc})") from exc
    return Description(file, values)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _are_counts_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(map(_are_counts, value.values()))


def _are_classes(value: object) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_CLASSES:
        return False
    return all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _are_epochs(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) and _is_count(entry.get("stage")) for entry in value)


def _is_progress(value: object) -> bool:
    if not isinstance(value, dict) or not value:
        return value == {}
    totals = value.get("totals")
    numbers = isinstance(totals, dict) and all(isinstance(total, (int, float)) for total in totals.values())
    return numbers and _is_count(value.get("batches")) and _is_count(value.get("images"))


def _is(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


KINDS: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "format": _is_count,
        "weights": _is(str),
        "lists": _is(str),
        "sha256": _is(str),
        "run": _is(str),
        "snapshot": _is(str),
        "config": _is(dict),
        "started_from": _is(dict, type(None)),
        "classes": _are_classes,
        "images": _are_counts_by_name,
        "seen_before": _are_counts_by_name,
        "choosing": _are_counts,
        "validation_cut": _is(bool),
        "epoch": _is_count,
        "metrics": _is(dict),
        "history": _are_epochs,
        "best": _is(dict),
        "stage": _is_count,
        "finished_epoch": _is_count,
        "finished_stage": _is(bool),
        "within": _is_progress,
        "seconds": _is(int, float),
        "images_seen": _is_count,
    }
)
"""What each key says, where it is there."""
