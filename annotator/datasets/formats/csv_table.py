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

from annotator.datasets.export_set import ExportSet, facts_of, number
from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.listing.entries import BadEntry, Counts, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder, images_beside, parent_of, read_data_file
from annotator.datasets.listing.image_class import image_class
from annotator.datasets.listing.options import FROM_FOLDER, PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from db.imaging.files import ImageFile, is_uri
from db.records import Box, Split

FILE_NAME = "labels.csv"
BOX_COLUMNS = ("x", "y", "width", "height")
COLUMNS = ("image", "class", "mask", *BOX_COLUMNS, "group", "split", "location", "source", "reviewer", "run")
OWN_COLUMNS = frozenset({"location", "source", "reviewer", "run"})
"""Columns of sets that partly wrote."""
IMAGES, MASKS = "images", "masks"
NOT_GIVEN = frozenset({"nan", "none", "null", "n/a", "na", "<na>", "nat"})
"""What spreadsheets and pandas write where there is nothing."""

Row = Mapping[str, Any]


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a labels.csv.

    Args:
        path: the file, or the folder that holds labels.csv; a URI works too.
        options: what the names are relative to (by default the file's own folder), and where classes come from.

    Raises:
        DataUnreadable: no such file, it is not text, or it lacks a column.
    """
    place = _listing_file(path)
    file = PurePosixPath(str(place))
    folder = options.images or Folder(parent_of(place))
    rows, listing = _read_rows(place, options)
    by_image: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for line, row in rows:
        if row.get("image"):
            by_image[_one_spelling(folder, row["image"], spelled)].append((line, row))
        elif any(row.values()):
            counts = replace(_counts([row]), images=0)
            listing.found(counts)
            listing.refuse(f"{file.name} line {line}", "the image column is empty", counts)
    for name, group in by_image.items():
        line, own = group[0][0], [row for _, row in group]
        counts = _counts(own)
        listing.found(counts)
        try:
            entry = _entry_from_rows(folder, name, own, options)
        except BadEntry as exc:
            listing.refuse(name, f"{exc} ({file.name} line {line})", counts)
            continue
        twins = len(entry.boxes) - len(dict.fromkeys(entry.boxes))
        listing.leave(Part.LABELS, name, "a box repeats an earlier one; each counts once", twins)
        entry = replace(entry, boxes=tuple(dict.fromkeys(entry.boxes)), labels=counts.labels - twins)
        listing.entries.append(replace(entry, masks=counts.masks, splits=counts.splits))
    used = [file for entry in listing.entries for file in (entry.path, *entry.mask_paths)]
    named = (_file(folder, name) for name in by_image)
    unlisted = images_beside(folder, [*used, *(file for file in named if file is not None)])
    listing.found(Counts(images=len(unlisted)))
    for name in unlisted:
        listing.leave(Part.IMAGES, name, f"not listed in {file.name}")
    return listing


def _counts(rows: list[Row]) -> Counts:
    """Count what the rows of an image say."""
    masks, splits = (sum(bool(row.get(column)) for row in rows) for column in ("mask", "split"))
    return Counts(1, len(rows), masks, splits)


def _one_spelling(folder: Folder, name: str, spelled: dict[str, str]) -> str:
    """Return the first spelling of a file that rows name in several ways, with ./ or with backward slashes."""
    file = _file(folder, name)
    return spelled.setdefault(file.location, name) if file is not None and "#frame=" not in name else name


def _listing_file(path: str | Path) -> str | Path:
    if is_uri(str(path)):
        return str(path) if str(path).endswith(".csv") else f"{str(path).rstrip('/')}/{FILE_NAME}"
    return Path(path) / FILE_NAME if Path(path).is_dir() else Path(path)


def _read_rows(place: str | Path, options: ReadOptions) -> tuple[list[tuple[int, Row]], Listing]:
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
        columns: tuple[str, ...] = COLUMNS
        if options.class_from not in (None, FROM_FOLDER):
            columns = (*COLUMNS, str(options.class_from))
            if options.class_from not in names:
                raise DataUnreadable(f"{place}: there is no column {options.class_from!r}; found {', '.join(names)}")
        unknown = [title for title in names if title and title not in columns]
        if unknown:
            listing.warnings.append(f"{name}: unknown column ignored: {', '.join(unknown)}")
        # What partly wrote holds nothing but what it says: a class may well be called "None".
        is_own = set(names) >= OWN_COLUMNS
        rows: list[tuple[int, Row]] = [
            (reader.line_num, {title: _cell(row, title, is_own) for title in columns if title in names})
            for row in reader
        ]
    except (UnicodeDecodeError, csv.Error) as exc:
        raise DataUnreadable(f"{place}: cannot be read as a UTF-8 CSV file ({exc})") from exc
    return rows if is_own else _without_placeholders(rows, name, listing), listing


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


def _cell(row: Row, title: str, as_it_is: bool) -> str:
    # A file's name may begin or end with blanks, other values do not.
    value = str(row.get(title) or "")
    return value if (as_it_is or title in {"image", "mask"}) and value.strip() else value.strip()


def _entry_from_rows(folder: Folder, name: str, rows: list[Row], options: ReadOptions) -> Entry:
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
        class_name=_class_from_rows(rows, name, options),
        group=_agreed(rows, "group"),
        split=_split_from_rows(rows),
        mask_paths=(mask_path,) if mask_path is not None else (),
        boxes=boxes,
        is_empty=_is_empty(rows, has_location=bool(boxes) or mask_path is not None),
    )


def _class_from_rows(rows: list[Row], name: str, options: ReadOptions) -> str | None:
    """Return an image's class: with boxes that carry names, only rows without a box speak of the image."""
    if options.class_from not in (None, FROM_FOLDER):
        return _agreed(rows, str(options.class_from))
    if options.class_from is None and options.boxes_as is BoxesAs.CLASS:
        return _agreed(rows, "class", hint="; to take every box as a location: --boxes-as lesion")
    alone = [row for row in rows if not any(row.get(side) for side in BOX_COLUMNS)]
    return image_class((), name=name, options=options, said=_agreed(alone, "class"))


def _file(folder: Folder, name: str) -> ImageFile | None:
    """Find an image; the name may end with the number of a frame, as in scan.dcm#frame=3."""
    plain, _, frame = name.rpartition("#frame=")
    exact = folder.file(name)
    if plain and frame.isdigit() and len(frame) < 7 and (exact is None or exact.is_remote or not exact.exists()):
        file = folder.file(plain)
        return file.with_frame(int(frame)) if file is not None else None
    return exact


def _agreed(rows: list[Row], column: str, hint: str = "") -> str | None:
    values = {row[column] for row in rows if row.get(column)}
    if len(values) > 1:
        raise BadEntry(f"rows of one image differ in {column}: {', '.join(sorted(values))}{hint}")
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
