"""What every writer of a format receives: images with what is known of them, ready to be written below a folder."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.errors import Conflict
from db.imaging.decode import mask_from_png
from db.records import Box, LocationStatus, Split


@dataclass(frozen=True, slots=True)
class ExportImage:
    """One image to write."""

    name: str
    """File name in the export, without a folder; or, where images are not copied, the place of the original."""
    stem: str
    """What the names of the image's files in the export begin with: the image's own, its mask's, its label's; no other
    image of the export has it."""
    width: int
    height: int
    class_name: str | None
    group: str | None
    split: Split | None
    status: LocationStatus
    boxes: tuple[Box, ...]
    mask_png: bytes | None
    source: str | None
    """imported, drawn, accepted, edited; or `proposed` for what nobody has reviewed yet."""
    reviewer: str | None
    run: str | None

    def mask(self) -> NDArray[np.bool_] | None:
        """Return the mask, bool HW, None where only boxes are known."""
        return mask_from_png(self.mask_png) if self.mask_png is not None else None


@dataclass(frozen=True, slots=True)
class ExportSet:
    """Everything to write."""

    images: Sequence[ExportImage]
    classes: Sequence[str]
    copied: bool
    """The images lie in the export's own folder."""
    spreadsheet_safe: bool = False
    """Texts of a csv that a spreadsheet would take for formulas begin with an apostrophe."""


def facts_of(image: ExportImage) -> dict[str, str]:
    """Return what formats have no place for and partly reads back: class, location, group, split, provenance."""
    facts = {
        "class": image.class_name,
        "location": str(image.status),
        "group": image.group,
        "split": str(image.split) if image.split else None,
        "source": image.source,
        "reviewer": image.reviewer,
        "run": image.run,
    }
    return {name: value for name, value in facts.items() if value is not None}


NO_CLASS = "class not known"
"""What formats without a place for that call the class of such an image's boxes."""
MANIFEST = "partly-export.json"
"""Says that a folder is an export of partly."""
SIDECAR = "images.csv"
"""Lies beside formats that have no place for some facts; other readers ignore it."""


def write_sidecar(export: ExportSet, folder: Path, place: Callable[[ExportImage], str]) -> Path:
    """Write what is known of each image, under its place in the export."""
    file = folder / SIDECAR
    columns = ("image", "class", "location", "group", "split", "source", "reviewer", "run")
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({"image": place(image), **facts_of(image)} for image in export.images)
    return file


def masks_by_box(mask_HW: NDArray[np.bool_], boxes: Sequence[Box]) -> list[NDArray[np.bool_]]:
    """Divide a mask among its boxes: every pixel belongs to the smallest box it lies in, strays to the first box.

    A box whose pixels all lie in smaller ones has them too, so that none is empty but where the mask is.

    Returns:
        One bool HW a box; together they are the mask.
    """
    inside: list[NDArray[np.bool_]] = []
    for box in boxes:
        part_HW = np.zeros_like(mask_HW)
        rows = slice(int(np.floor(box.y)), int(np.ceil(box.y + box.height)))
        columns = slice(int(np.floor(box.x)), int(np.ceil(box.x + box.width)))
        part_HW[rows, columns] = mask_HW[rows, columns]
        inside.append(part_HW)
    left_HW = mask_HW.copy()
    parts = list(inside)
    for place in sorted(range(len(boxes)), key=lambda place: boxes[place].area):
        own_HW = inside[place] & left_HW
        left_HW &= ~own_HW
        parts[place] = own_HW if own_HW.any() else inside[place]
    if parts:
        parts[0] = parts[0] | left_HW
    return parts


def write_new(file: Path, content: bytes) -> None:
    """Write a file of an export, which none of the others may be.

    Raises:
        Conflict: another file of the export has this name on this file system.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("xb") as stream:
            stream.write(content)
    except FileExistsError:
        raise Conflict(
            f"two files of the export would be called {file.name} on this file system; nothing was exported: export to "
            "another disk"
        ) from None


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON in the one way that the same content always looks the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def number(value: float) -> int | float:
    """Return a whole number as int, so that files show 12 and not 12.0."""
    return int(value) if float(value).is_integer() else float(value)
