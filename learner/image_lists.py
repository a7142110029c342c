"""The images that a run has to do with, by number: stored once, beside its checkpoints, which name the file.

A checkpoint is written again and again, and a million numbers need not be. The file is named by its content, so what
is there already is what would be written.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from db.atomic_write import OWNER_ONLY, replacing
from learner.tensor_files import read_tensors, write_tensors

BY_PART = ("images", "seen_before")
"""What a description says by part: {"train": [1, 2], "val": [3]}."""
LISTED = "choosing"
"""What it says in one list."""
LISTS = (*BY_PART, LISTED)


def write_lists(folder: Path, description: Mapping[str, Any]) -> str:
    """Write the lists of a description, unless they are there, and return the file's name.

    Raises:
        OSError: there is no space, or no permission.
    """
    lists = {f"{key}.{part}": ids for key in BY_PART for part, ids in description.get(key, {}).items()}
    if LISTED in description:
        lists[LISTED] = description[LISTED]
    # Where there is nothing to list, a list without a name says so.
    lists = lists or {"": []}
    tensors = {name: torch.tensor(list(ids), dtype=torch.int64) for name, ids in lists.items()}
    file = folder / f"images-{_digest(tensors)[:12]}.safetensors"
    if not _is_sound(file):
        with replacing(file, mode=OWNER_ONLY) as draft:
            write_tensors(tensors, draft)
    return file.name


def read_lists(folder: Path, name: str) -> dict[str, Any]:
    """Read what `write_lists` has written.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    file = folder / Path(name).name
    tensors = read_tensors(file)
    if not all(map(_is_list, tensors.values())) or _digest(tensors)[:12] not in file.name:
        raise ValueError(f"{file.name} is damaged: its content does not match its name")
    found: dict[str, Any] = {key: {} for key in BY_PART}
    for key, ids in tensors.items():
        kind, _, part = key.partition(".")
        if kind in BY_PART:
            found[kind][part] = ids.tolist()
        elif kind == LISTED:
            found[LISTED] = ids.tolist()
    return found


def _is_sound(file: Path) -> bool:
    try:
        return _digest(read_tensors(file))[:12] in file.name
    except (OSError, ValueError, TypeError):
        return False


def _is_list(ids: Tensor) -> bool:
    return ids.dtype == torch.int64 and ids.dim() == 1 and (not len(ids) or int(ids.min()) >= 0)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}/{len(tensors[name])}/".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
