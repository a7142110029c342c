"""Checkpoints: a folder with weights in safetensors and a JSON file that describes them.

The JSON file is the commit point: weights are written first under a new name, then the JSON that names them (with
their SHA-256) is put in place by one rename, then older weights are removed. So a reader always finds a whole
checkpoint, whenever the writer was stopped. Nothing is ever unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from db.atomic_write import OWNER_ONLY, replacing, write_text
from learner.errors import CheckpointIncompatible

FORMAT = 1
BEST = "checkpoint"
"""Name of the checkpoint that is used: the epoch that is kept."""
LAST = "last"
"""Name of the checkpoint that an interrupted training goes on from."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it was read."""

    folder: Path
    description: dict[str, Any]
    """config, classes, snapshot, metrics, epoch: what `save_checkpoint` was given."""
    tensors: dict[str, Tensor]


def save_checkpoint(folder: Path, name: str, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> Path:
    """Write a checkpoint atomically and return the path of its JSON file.

    Args:
        folder: made where it is missing.
        name: `BEST` or `LAST`; the older checkpoint of that name is replaced.
        tensors: weights by name.
        description: plain values: config, classes, snapshot, metrics, epoch.
    """
    for left in folder.glob(f".{name}.*.partial"):
        # A training that was killed while it wrote leaves its draft behind.
        left.unlink(missing_ok=True)
    digest = ""

    def by_content(draft: Path) -> Path:
        nonlocal digest
        digest = _sha256(draft)
        return folder / f"{name}-{digest[:12]}.safetensors"

    with replacing(folder / f"{name}.safetensors", mode=OWNER_ONLY, named=by_content) as draft:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, draft)
    weights = f"{name}-{digest[:12]}.safetensors"
    document = {"format": FORMAT, "weights": weights, "sha256": digest, **description}
    target = folder / f"{name}.json"
    write_text(target, json.dumps(document, indent=1), mode=OWNER_ONLY)
    for stale in folder.glob(f"{name}-*.safetensors"):
        if stale.name != weights:
            stale.unlink(missing_ok=True)
    return target


def load_checkpoint(folder: Path, name: str = BEST) -> Checkpoint:
    """Read a checkpoint and check that its weights are the ones described.

    Raises:
        CheckpointIncompatible: it is missing, damaged, or of another format.
    """
    file = folder / f"{name}.json"
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        weights = folder / Path(description["weights"]).name
        digest = _sha256(weights)
    except FileNotFoundError as exc:
        raise CheckpointIncompatible(
            f"{folder}: no complete checkpoint ({Path(exc.filename).name} is missing)"
        ) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise CheckpointIncompatible(f"{file}: cannot be read as a checkpoint ({exc})") from exc
    if description.get("format") != FORMAT:
        raise CheckpointIncompatible(
            f"{file}: format {description.get('format')!r}, this program reads format {FORMAT}"
        )
    if digest != description.get("sha256"):
        raise CheckpointIncompatible(f"{weights}: damaged: the content does not match the checksum in {file.name}")
    return Checkpoint(folder, description, load_file(weights))


def is_there(folder: Path, name: str = BEST) -> bool:
    """Say whether a checkpoint's files are there, without reading its weights."""
    try:
        description = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return (folder / Path(description["weights"]).name).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def delete_checkpoint(folder: Path, name: str) -> None:
    """Remove a checkpoint that is no longer needed."""
    (folder / f"{name}.json").unlink(missing_ok=True)
    for weights in folder.glob(f"{name}-*.safetensors"):
        weights.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
