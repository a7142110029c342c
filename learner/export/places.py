"""What can be known to be wrong with an export before anything is loaded: where it goes, what it needs. No torch."""

import importlib.util
import json
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from db.errors import Conflict, InvalidArgument
from db.plain_text import shown
from learner.errors import ExportUnavailable

CARD = "MODEL_CARD.md"
DESCRIPTION = "checkpoint.json"
"""What makes a folder one that `--run FOLDER` reads."""
EXPORTED_BY = "exported_by"
"""Key of a description that was written by an export, and by no training."""
FOR_ONNX = ("onnx", "onnxruntime", "onnxscript")
"""Packages of `partly[onnx]`."""


class ExportFormat(StrEnum):
    """How a model is written."""

    ONNX = "onnx"
    """A file for ONNX Runtime and other programs that read ONNX, preprocessing included."""
    TORCHSCRIPT = "torchscript"
    """A file for torch without partly, also from C++, preprocessing included."""
    SAFETENSORS = "safetensors"
    """A folder with weights and settings, for `partly predict --run FOLDER` in any project or none."""


def check_installed(layout: ExportFormat) -> None:
    """Make sure that the packages which a format needs are there.

    Raises:
        ExportUnavailable: they are not; the message says how to install them.
    """
    if layout is not ExportFormat.ONNX:
        return
    missing = [name for name in FOR_ONNX if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportUnavailable(
            f"--format onnx needs {' and '.join(missing)}, which are not installed here: pip install 'partly[onnx]'; "
            "--format torchscript needs no more packages"
        )


def card_beside(out: Path, layout: ExportFormat) -> Path:
    """Return where the model card of an export goes: into the folder, or beside the file."""
    return out / CARD if layout is ExportFormat.SAFETENSORS else out.with_name(CARD)


def check_place(out: Path, layout: ExportFormat, *, force: bool) -> Path:
    """Return the place to write to, or refuse it before a model is loaded.

    Args:
        out: as it was typed.
        layout: how the model is written.
        force: write over an earlier export.

    Raises:
        InvalidArgument: it is a folder where a file is written, or a file where a folder is.
        Conflict: something is there, and would be lost.
    """
    place = out.absolute()
    is_folder = layout is ExportFormat.SAFETENSORS
    if os.path.lexists(place) and place.is_dir() != is_folder:
        raise InvalidArgument(
            f"{shown(str(out))} is {'a file' if is_folder else 'a folder'}, but --format {layout} writes "
            f"{'a folder' if is_folder else 'a file'}; name another place"
            + ("" if is_folder else f", such as {shown(str(out / f'model.{SUFFIX[layout]}'))}")
        )
    if is_folder and _is_training(place):
        raise Conflict(f"{shown(str(out))} holds a training run's own checkpoint, which is never overwritten")
    if not is_folder:
        _refuse_other(place, (f".{SUFFIX[layout]}", *ALSO[layout]))
    refuse_existing((place / DESCRIPTION if is_folder else place,), force=force)
    return place


SUFFIX = {ExportFormat.ONNX: "onnx", ExportFormat.TORCHSCRIPT: "pt"}
"""How files of a format are usually named."""
ALSO = {ExportFormat.ONNX: (), ExportFormat.TORCHSCRIPT: (".pth", ".ts", ".torchscript")}
"""How they are named, too."""


def _refuse_other(file: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse to write over what is no earlier export or card, by its name: a registry, settings, an image.

    Raises:
        Conflict: a file is there that is named otherwise.
    """
    if file.is_file() and file.suffix.lower() not in suffixes:
        raise Conflict(
            f"{shown(str(file))} already exists and is not named like the file to be written ({', '.join(suffixes)}); "
            "name another place"
        )


def refuse_existing(files: Iterable[Path], *, force: bool) -> None:
    """Refuse to write over files.

    Raises:
        Conflict: one is there, and `force` is not given. InvalidArgument: a folder has its name.
    """
    for file in files:
        if file.is_dir():
            raise InvalidArgument(f"{shown(str(file))} is a folder, but a file of this name would be written")
        if os.path.lexists(file) and not force:
            raise Conflict(f"{shown(str(file))} already exists; overwrite it with --force, or name another place")


def card_is_of(card: Path, weights_sha256: str, *, force: bool) -> bool:
    """Say whether a card that is there describes these weights, and so may stay as it is: somebody may have edited it.

    Args:
        card: where the card of an export goes.
        weights_sha256: of the run's weights, which cards name.
        force: write over it.

    Raises:
        Conflict: something else is there, and `force` is not given. InvalidArgument: a folder has its name.
    """
    if force or not os.path.lexists(card):
        refuse_existing((card,), force=True)
        return False
    if card.is_file():
        with card.open(encoding="utf-8", errors="replace") as stream:
            if weights_sha256 in stream.read(LONGEST):
                return True
    refuse_existing((card,), force=False)
    return False


def card_place(out: Path, *, force: bool) -> Path:
    """Return the file that a card is written to, or refuse it.

    Raises:
        Conflict: it is there, and `force` is not given.
    """
    target = out / CARD if out.is_dir() else out
    _refuse_other(target, (".md", ".markdown"))
    refuse_existing((target,), force=force)
    return target


def weights_of_export(folder: Path) -> Path | None:
    """Return the file of weights that an export in a folder names; None where there is no export."""
    try:
        with (folder / DESCRIPTION).open(encoding="utf-8") as stream:
            said = json.loads(stream.read(LONGEST))
        digest = str(said["sha256"]) if EXPORTED_BY in said else ""
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    name = f"{DESCRIPTION.removesuffix('.json')}-{digest[:12]}.safetensors"
    return folder / name if len(digest) == 64 and digest.isalnum() else None


def _is_training(folder: Path) -> bool:
    """Say whether a folder holds a checkpoint that no export has written."""
    try:
        with (folder / DESCRIPTION).open(encoding="utf-8") as stream:
            # An export's description is short, whatever lies here.
            said = json.loads(stream.read(LONGEST))
    except FileNotFoundError:
        return bool(list(folder.glob("last*.safetensors")))
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(said, dict) or EXPORTED_BY not in said


LONGEST = 2**24
"""Letters of an export's description; the names of 10,000 classes have a tenth of that."""
