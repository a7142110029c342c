"""The `csv` layout: labels.csv with `image,class[,mask][,x,y,width,height][,group][,split][,location]`.

One row an image, or several box rows. Paths are relative to the file. What is known of the location:
a box, or a mask with something in it: present; an all-zero mask, or `location` = `empty`: known to be empty;
none of these: unknown. Exports add `source,reviewer,run`: where a label comes from; an import leaves them alone.
"""

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.datasets.formats.entries import BadEntry, Entry, Folder, Listing, Refusal, parent_of, read_data_file
from annotator.datasets.formats.export_set import ExportSet, facts_of, number
from annotator.errors import DataUnreadable
from db.imaging.files import ImageFile, is_uri
from db.records import Box, Split

FILE_NAME = "labels.csv"
BOX_COLUMNS = ("x", "y", "width", "height")
COLUMNS = ("image", "class", "mask", *BOX_COLUMNS, "group", "split", "location", "source", "reviewer", "run")
IMAGES, MASKS = "images", "masks"
NOT_GIVEN = frozenset({"nan", "none", "null", "n/a", "na", "<na>", "nat"})
"""What spreadsheets and pandas write where there is nothing."""

Row = Mapping[str, Any]


def read(path: str | Path, images: Folder | None = None) -> Listing:
    """List the images of a labels.csv.

    Args:
        path: the file, or the folder that holds labels.csv; a URI works too.
        images: what the names are relative to, by default the file's own folder.

    Raises:
        DataUnreadable: no such file, it is not text, or it has no `image` column.
    """
    place = _listing_file(path)
    file = PurePosixPath(str(place))
    folder = images or Folder(parent_of(place))
    rows, listing = _read_rows(place)
    by_image: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for line, row in rows:
        if row.get("image"):
            by_image[_one_spelling(folder, row["image"], spelled)].append((line, row))
        elif any(row.values()):
            listing.refusals.append(Refusal(f"{file.name} line {line}", "the image column is empty"))
    for name, group in by_image.items():
        line = group[0][0]
        try:
            entry = _entry_from_rows(folder, name, [row for _, row in group])
            twins = len(entry.boxes) - len(dict.fromkeys(entry.boxes))
            if twins:
                listing.warnings.append(f"{name}: {twins} of its boxes repeat an earlier one; each counts once")
                entry = replace(entry, boxes=tuple(dict.fromkeys(entry.boxes)))
            listing.entries.append(entry)
        except BadEntry as exc:
            listing.refusals.append(Refusal(name, f"{exc} ({file.name} line {line})"))
    return listing


def _one_spelling(folder: Folder, name: str, spelled: dict[str, str]) -> str:
    """Return the first spelling of a file that rows name in several ways, with ./ or with backward slashes."""
    file = _file(folder, name)
    return spelled.setdefault(file.location, name) if file is not None and "#frame=" not in name else name


def _listing_file(path: str | Path) -> str | Path:
    if is_uri(str(path)):
        return str(path) if str(path).endswith(".csv") else f"{str(path).rstrip('/')}/{FILE_NAME}"
    return Path(path) / FILE_NAME if Path(path).is_dir() else Path(path)


def _read_rows(place: str | Path) -> tuple[list[tuple[int, Row]], Listing]:
    listing = Listing()
    name = PurePosixPath(str(place)).name
    if not is_uri(str(place)) and not Path(place).is_file():
        raise DataUnreadable(f"{place}: no such file; the csv layout needs {FILE_NAME}")
    try:
        reader = csv.DictReader(
            io.StringIO(read_data_file(place).decode("utf-8-sig"), newline=""), restkey="", restval="", strict=True
        )
        names = [(title or "").strip() for title in reader.fieldnames or ()]
        if "image" not in names:
            found = ", ".join(names) or "nothing"
            raise DataUnreadable(f"{place}: expected columns {', '.join(COLUMNS)}; found {found}")
        reader.fieldnames = names
        unknown = [title for title in names if title and title not in COLUMNS]
        if unknown:
            listing.warnings.append(f"{name}: unknown column ignored: {', '.join(unknown)}")
        rows: list[tuple[int, Row]] = [
            (reader.line_num, {title: _cell(row, title) for title in COLUMNS if title in names}) for row in reader
        ]
    except (UnicodeDecodeError, csv.Error) as exc:
        raise DataUnreadable(f"{place}: cannot be read as a UTF-8 CSV file ({exc})") from exc
    return _without_placeholders(rows, name, listing), listing


def _without_placeholders(rows: list[tuple[int, Row]], name: str, listing: Listing) -> list[tuple[int, Row]]:
    """Empty the cells in which programs write that there is nothing, and say so."""
    found: Counter[str] = Counter()
    kept: list[tuple[int, Row]] = []
    for line, row in rows:
        nothing = {title for title, cell in row.items() if title != "image" and cell.strip().lower() in NOT_GIVEN}
        found.update(row[title] for title in nothing)
        kept.append((line, {title: "" if title in nothing else cell for title, cell in row.items()}))
    if found:
        said = ", ".join(f"{cell!r} ({count})" for cell, count in sorted(found.items()))
        listing.warnings.append(f"{name}: cells that say {said} count as not given")
    return kept


def _cell(row: Row, title: str) -> str:
    # A file's name may begin or end with blanks, other values do not.
    value = str(row.get(title) or "")
    return value if title in {"image", "mask"} and value.strip() else value.strip()


def _entry_from_rows(folder: Folder, name: str, rows: list[Row]) -> Entry:
    path = _file(folder, name)
    if path is None:
        raise BadEntry("the path points outside the data set's folder")
    masks = {row["mask"] for row in rows if row.get("mask")}
    if len(masks) > 1:
        raise BadEntry("rows of one image name different masks")
    mask_path = folder.file(masks.pop()) if masks else None
    if mask_path is None and any(row.get("mask") for row in rows):
        raise BadEntry("the mask's path points outside the data set's folder")
    boxes = tuple(box for row in rows if (box := _box_from_row(row)) is not None)
    return Entry(
        name=name,
        path=path,
        class_name=_agreed(rows, "class"),
        group=_agreed(rows, "group"),
        split=_split_from_rows(rows),
        mask_paths=(mask_path,) if mask_path is not None else (),
        boxes=boxes,
        is_empty=_is_empty(rows, has_location=bool(boxes) or mask_path is not None),
    )


def _file(folder: Folder, name: str) -> ImageFile | None:
    """Find an image; the name may end with the number of a frame, as in scan.dcm#frame=3."""
    plain, _, frame = name.rpartition("#frame=")
    exact = folder.file(name)
    if plain and frame.isdigit() and len(frame) < 7 and (exact is None or exact.is_remote or not exact.exists()):
        file = folder.file(plain)
        return file.with_frame(int(frame)) if file is not None else None
    return exact


def _agreed(rows: list[Row], column: str) -> str | None:
    values = {row[column] for row in rows if row.get(column)}
    if len(values) > 1:
        raise BadEntry(f"rows of one image differ in {column}: {', '.join(sorted(values))}")
    return values.pop() if values else None


def _split_from_rows(rows: list[Row]) -> Split | None:
    value = _agreed(rows, "split")
    if value is None:
        return None
    try:
        return Split(value.lower())
    except ValueError:
        raise BadEntry(f"split is {value!r}, expected train, val or test") from None


def _is_empty(rows: list[Row], *, has_location: bool) -> bool:
    value = (_agreed(rows, "location") or "").lower()
    if value not in {"", "present", "empty", "unknown"}:
        raise BadEntry(f"location is {value!r}, expected present, empty or unknown")
    if value in {"empty", "unknown"} and has_location:
        raise BadEntry(f"location is {value!r}, but a box or mask is given too")
    if value == "present" and not has_location:
        raise BadEntry("location is 'present', but there is neither a box nor a mask")
    return value == "empty"


def _box_from_row(row: Row) -> Box | None:
    values = [row.get(column, "") for column in BOX_COLUMNS]
    if not any(values):
        return None
    try:
        x, y, width, height = (float(value) for value in values)
    except ValueError:
        raise BadEntry(f"a box needs four numbers x,y,width,height, found {','.join(values)}") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise BadEntry("a box has a value that is not finite")
    return Box(x, y, width, height)


def write(export: ExportSet, folder: Path) -> list[Path]:
    """Write labels.csv, one row a box (or an image without one), and masks; images belong into `images`.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / FILE_NAME]
    with written[0].open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for image in export.images:
            row = {"image": f"{IMAGES}/{image.name}" if export.copied else image.name, **facts_of(image)}
            if image.mask_png is not None:
                file = folder / MASKS / f"{image.stem}.png"
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(image.mask_png)
                written.append(file)
                row["mask"] = f"{MASKS}/{file.name}"
            for box in image.boxes:
                writer.writerow(row | {name: number(getattr(box, name)) for name in BOX_COLUMNS})
            if not image.boxes:
                writer.writerow(row)
    return written
