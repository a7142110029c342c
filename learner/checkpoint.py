"""Checkpoints: a folder with weights in safetensors, a list of images, and a JSON file that describes them.

The JSON file is the commit point: weights are written first under a new name, then the JSON that names them (with
their SHA-256) is put in place by one rename, then older weights are removed. So a reader always finds a whole
checkpoint, whenever the writer was stopped. Nothing is ever unpickled.
"""

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from db.atomic_write import OWNER_ONLY, replacing, write_text
from learner.description import read_description
from learner.errors import CheckpointIncompatible, CheckpointNotSaved, TrainingDiverged
from learner.image_lists import LISTS, read_lists, write_lists
from learner.tensor_files import file_sha256, not_finite, read_tensors, write_tensors

FORMAT = 2
"""Which lists the images in a file of their own; format 1 had them in the JSON file."""
READABLE = (1, FORMAT)
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

    Raises:
        TrainingDiverged: a weight is not finite; CheckpointNotSaved: there is no space, or no permission. The older
            checkpoint is as it was.
    """
    wrong = not_finite(tensors)
    if wrong:
        raise TrainingDiverged(
            f"{len(wrong)} of the {len(tensors)} weights are not finite ({wrong[0]}), and do not replace those "
            "saved before. Try a lower learning rate, such as --set lr=0.0003"
        )
    try:
        return _save(folder, name, tensors, description)
    except OSError as exc:
        raise CheckpointNotSaved(
            f"{folder}: the checkpoint cannot be saved ({exc.strerror or exc}); the previous one is kept; free some "
            "space or check who owns the folder, then resume with: partly train --resume"
        ) from exc


def _save(folder: Path, name: str, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> Path:
    for left in (*folder.glob(f".{name}.*.partial"), *folder.glob(".images-*.partial")):
        # A training that was killed while it wrote leaves its draft behind.
        left.unlink(missing_ok=True)
    digest = ""

    def by_content(draft: Path) -> Path:
        nonlocal digest
        digest = file_sha256(draft)
        return folder / f"{name}-{digest[:12]}.safetensors"

    with replacing(folder / f"{name}.safetensors", mode=OWNER_ONLY, named=by_content) as draft:
        write_tensors(tensors, draft)
    weights = f"{name}-{digest[:12]}.safetensors"
    said = {key: value for key, value in description.items() if key not in LISTS}
    lists = {"lists": write_lists(folder, description)} if len(said) < len(description) else {}
    document = {"format": FORMAT, "weights": weights, "sha256": digest, **lists, **said}
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
        description = read_description(file)
        if description["format"] not in READABLE:
            raise CheckpointIncompatible(
                f"{file}: format {description['format']}, but this program reads formats only up to "
                f"{FORMAT}; upgrade it: pip install --upgrade partly"
            )
        weights = folder / Path(description["weights"]).name
        if not weights.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such file", str(weights))
        if file_sha256(weights) != description["sha256"]:
            raise CheckpointIncompatible(f"{weights}: damaged: the content does not match the checksum in {file.name}")
        tensors = read_tensors(weights)
        if "lists" in description:
            # What the description says itself counts.
            description.update(read_lists(folder, description["lists"]) | description)
    except FileNotFoundError as exc:
        raise CheckpointIncompatible(
            f"{folder}: no complete checkpoint ({Path(exc.filename).name} is missing)"
        ) from exc
    except (OSError, ValueError) as exc:
        raise CheckpointIncompatible(f"{folder}: the weights cannot be read: {exc}") from exc
    return Checkpoint(folder, description, tensors)


def is_there(folder: Path, name: str = BEST) -> bool:
    """Say whether a checkpoint's files are there, without reading its weights."""
    try:
        description = read_description(folder / f"{name}.json")
        named = [description["weights"], *([description["lists"]] if "lists" in description else [])]
        return all((folder / Path(file).name).is_file() for file in named)
    except (OSError, CheckpointIncompatible):
        return False


def delete_checkpoint(folder: Path, name: str) -> None:
    """Remove a checkpoint that is no longer needed."""
    (folder / f"{name}.json").unlink(missing_ok=True)
    for weights in folder.glob(f"{name}-*.safetensors"):
        weights.unlink(missing_ok=True)
