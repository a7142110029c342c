"""Reads and writes safetensors files, which anybody may have made. The one place that knows the format's library."""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

LONGEST_HEADER = 32 * 2**20
"""Bytes of the list of tensors; a large network's has a hundredth of that."""


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ValueError: it is none, or holds numbers that are not finite; the message says which.
        OSError: it cannot be read.
    """
    if not file.is_file():
        # Something to read without an end, such as a pipe, is no file either.
        raise FileNotFoundError(errno.ENOENT, "no such file", str(file))
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    if length > LONGEST_HEADER or length > file.stat().st_size:
        raise ValueError(f"its list of tensors would be {length} bytes, so it is not a safetensors file, or truncated")
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (SafetensorError, KeyError, RuntimeError, TypeError, OverflowError) as exc:
        raise ValueError(f"it is not a safetensors file, or damaged ({exc})") from exc
    wrong = not_finite(tensors)
    if wrong:
        raise ValueError(f"{len(wrong)} of its {len(tensors)} tensors hold NaN or infinity ({wrong[0]})")
    return tensors


def write_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write a safetensors file.

    Raises:
        OSError: there is no space, or no permission.
    """
    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, file)
    except SafetensorError as exc:
        # The library tells the system's own errors in words only.
        number = re.search(r"os error (\d+)", str(exc))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(file)) from exc


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def not_finite(tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> list[str]:
    """Name the tensors that hold NaN or infinity."""
    items = tensors.items() if isinstance(tensors, Mapping) else tensors
    return [name for name, value in items if value.is_floating_point() and not bool(torch.isfinite(value).all())]
