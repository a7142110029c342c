"""The `csv` layout: labels.csv with `image,class[,mask][,x,y,width,height][,group][,split][,location]`.

One row an image, or several box rows. Paths are relative to the file. What is known of the location:
a box, or a mask with something in it: present; an all-zero mask, or `location` = `empty`: known to be empty;
none of these: unknown.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotator.errors import DataUnreadable
from annotator.formats.listing import Entry, Listing, Refusal, path_inside
from db.records import Box, Split

FILE_NAME = "labels.csv"
BOX_COLUMNS = ("x", "y", "width", "height")
COLUMNS = ("image", "class", "mask", *BOX_COLUMNS, "group", "split", "location")

Row = Mapping[str, Any]


class _BadRow(Exception):
    """A row that cannot be used; the message is the reason."""


def read(path: Path) -> Listing:
    """List the images of a labels.csv.

    Args:
        path: the file, or the folder that holds labels.csv.

    Raises:
        DataUnreadable: there is no such file, it is not text, or it has no `image` column.
    """
    file = path / FILE_NAME if path.is_dir() else path
    rows, listing = _read_rows(file)
    by_image: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for number, row in rows:
        if row.get("image"):
            by_image[row["image"]].append((number, row))
        else:
            listing.refusals.append(Refusal(f"{file.name} line {number}", "the image column is empty"))
    for name, group in by_image.items():
        number = group[0][0]
        try:
            listing.entries.append(_entry_from_rows(file.parent, name, [row for _, row in group]))
        except _BadRow as exc:
            listing.refusals.append(Refusal(name, f"{exc} ({file.name} line {number})"))
    return listing


def _read_rows(file: Path) -> tuple[list[tuple[int, Row]], Listing]:
    listing = Listing()
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restkey="", restval="", strict=True)
            names = [(name or "").strip() for name in reader.fieldnames or ()]
            if "image" not in names:
                found = ", ".join(names) or "nothing"
                raise DataUnreadable(f"{file}: expected columns {', '.join(COLUMNS)}; found {found}")
            reader.fieldnames = names
            unknown = [name for name in names if name not in COLUMNS]
            if unknown:
                listing.warnings.append(f"{file.name}: unknown column ignored: {', '.join(unknown)}")
            rows: list[tuple[int, Row]] = [
                (reader.line_num, {name: (row.get(name) or "").strip() for name in COLUMNS if name in names})
                for row in reader
            ]
    except FileNotFoundError as exc:
        raise DataUnreadable(f"{file}: there is no such file; the csv layout needs {FILE_NAME}") from exc
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise DataUnreadable(f"{file}: cannot be read as a UTF-8 CSV file ({exc})") from exc
    return rows, listing


def _entry_from_rows(folder: Path, name: str, rows: list[Row]) -> Entry:
    path = path_inside(folder, name)
    if path is None:
        raise _BadRow("the path points outside the data set's folder")
    masks = {row["mask"] for row in rows if row.get("mask")}
    if len(masks) > 1:
        raise _BadRow("rows of one image name different masks")
    mask_path = path_inside(folder, masks.pop()) if masks else None
    if mask_path is None and any(row.get("mask") for row in rows):
        raise _BadRow("the mask's path points outside the data set's folder")
    boxes = tuple(box for row in rows if (box := _box_from_row(row)) is not None)
    return Entry(
        name=name,
        path=path,
        class_name=_agreed(rows, "class"),
        group=_agreed(rows, "group"),
        split=_split_from_rows(rows),
        mask_path=mask_path,
        boxes=boxes,
        is_empty=_is_empty(rows, has_location=bool(boxes) or mask_path is not None),
    )


def _agreed(rows: list[Row], column: str) -> str | None:
    values = {row[column] for row in rows if row.get(column)}
    if len(values) > 1:
        raise _BadRow(f"rows of one image differ in {column}: {', '.join(sorted(values))}")
    return values.pop() if values else None


def _split_from_rows(rows: list[Row]) -> Split | None:
    value = _agreed(rows, "split")
    if value is None:
        return None
    try:
        return Split(value.lower())
    except ValueError:
        raise _BadRow(f"split is {value!r}, expected train, val or test") from None


def _is_empty(rows: list[Row], *, has_location: bool) -> bool:
    value = (_agreed(rows, "location") or "").lower()
    if value not in {"", "present", "empty", "unknown"}:
        raise _BadRow(f"location is {value!r}, expected present, empty or unknown")
    if value in {"empty", "unknown"} and has_location:
        raise _BadRow(f"location is {value!r}, but a box or mask is given too")
    if value == "present" and not has_location:
        raise _BadRow("location is 'present', but there is neither a box nor a mask")
    return value == "empty"


def _box_from_row(row: Row) -> Box | None:
    values = [row.get(column, "") for column in BOX_COLUMNS]
    if not any(values):
        return None
    try:
        x, y, width, height = (float(value) for value in values)
    except ValueError:
        raise _BadRow(f"a box needs four numbers x,y,width,height, found {','.join(values)}") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise _BadRow("a box has a value that is not finite")
    return Box(x, y, width, height)
