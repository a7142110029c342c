"""The `csv` layout: labels.csv with `image,class[,mask][,x,y,width,height][,group][,split][,location]`.

One row an image, or several box rows. Paths are relative to the file. What is known of the location:
a box, or a mask with something in it: present; an all-zero mask, or `location` = `empty`: known to be empty;
none of these: unknown. Exports add `source,reviewer,run`: where a label comes from; an import leaves them alone.
"""

import csv
import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.listing.canvas import check_pixels
from annotator.datasets.listing.drawing import check_size, read_number
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part, unexpected
from annotator.datasets.listing.folder import Folder, images_beside, missing_files, parent_of
from annotator.datasets.listing.image_class import image_class
from annotator.datasets.listing.named_images import FoundImages, find_images, find_masks, unused_masks
from annotator.datasets.listing.options import FROM_FOLDER, PLAIN, ReadOptions
from annotator.datasets.listing.splits import SPLITS, note_split, split_beside_others
from annotator.datasets.listing.table import (
    BOX_TITLES,
    CLASS_TITLES,
    NOT_GIVEN_SPELLED,
    SEVERAL,
    SIZE_TITLES,
    Table,
    size_from_sides,
)
from annotator.errors import DataUnreadable
from db.imaging.dicom import is_placeholder
from db.imaging.files import ImageFile, is_uri
from db.records import Box, Split

FILE_NAME = "labels.csv"
BOX_COLUMNS = ("x", "y", "width", "height")
COLUMNS = ("image", "class", "mask", *BOX_COLUMNS, "group", "split", "location", "source", "reviewer", "run")
OWN_COLUMNS = frozenset({"location", "source", "reviewer", "run"})
"""Columns of sets that partly wrote."""
TABLES = frozenset({".csv", ".tsv"})
_COMMA = re.compile(r"-?\d+,\d+")
"""A number with a decimal comma, as it stands between semicolons."""
ROW_COLUMNS = ("image", "class", "mask", *BOX_COLUMNS, "group", "split", "location", *SIZE_TITLES)
PLUS, MINUS = "+", "-"
"""Classes of a table in which both are; a minus alone says that there is nothing."""


class Row(NamedTuple):
    """A row of the file; cells that are not there are empty."""

    line: int
    image: str
    class_name: str
    mask: str
    x: str
    y: str
    width: str
    height: str
    group: str
    split: str
    location: str
    image_width: str
    image_height: str
    named: str
    """The column that was named to hold the class."""
    surplus: bool
    """There are more cells than columns."""

    @property
    def has_box(self) -> bool:
        """Say whether it gives any part of a box."""
        return self.x != "" or self.y != "" or self.width != "" or self.height != ""


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
    rows, is_own, lacking, listing = _read_rows(place, options)
    names = dict.fromkeys(row.image for row in rows if row.image)
    files, remarks = find_images(folder, names, elsewhere=options.images is not None)
    masks, of_masks = find_masks(folder, dict.fromkeys(row.mask for row in rows if row.mask), files)
    listing.warnings += remarks + of_masks
    if lacking is not None:
        _check_guess(place, lacking, files)
    first = _first_spellings(files)
    by_image: dict[str, list[Row]] = {}
    for row in rows:
        if row.image:
            by_image.setdefault(first.get(row.image, row.image), []).append(row)
        elif any(row[2:-1]):
            counts = replace(_counts([row]), images=0)
            listing.found(counts)
            listing.refuse(f"{file.name} line {row.line}", "the image column is empty", counts)
    by_folder = split_beside_others(file) if not any(row.split for row in rows) else None
    note_split(file, by_folder, listing)
    for name, group in by_image.items():
        counts = _counts(group)
        try:
            entry = _entry(name, files[name], masks, group, counts, options, is_own=is_own)
            listing.entries.append(replace(entry, split=by_folder) if by_folder is not None else entry)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            reason = exc if isinstance(exc, BadEntry) else unexpected(exc)
            listing.refuse(name, f"{reason} ({file.name} line {group[0].line})", counts)
            continue
        if twins := counts.labels - listing.entries[-1].labels:
            listing.leave(Part.LABELS, name, "a box repeats an earlier one; each counts once", twins)
    listing.found(_counts([row for rows in by_image.values() for row in rows], images=len(by_image)))
    used = [mask for entry in listing.entries for mask in entry.mask_paths]
    unlisted = images_beside(folder, [*used, *(image for image in files.values() if isinstance(image, ImageFile))])
    listing.found(Counts(images=len(unlisted)))
    for name in unlisted:
        listing.leave(Part.IMAGES, name, f"not listed in {file.name}")
    unused = unused_masks(folder, files) if not is_own and not used else []
    listing.found(Counts(masks=len(unused)))
    for name in unused:
        listing.leave(Part.MASKS, name, f"{file.name} has no mask of its image; name it in a column 'mask'")
    return listing


def _counts(rows: Sequence[Row], images: int = 1) -> Counts:
    """Count what the rows of an image say."""
    if len(rows) == 1:
        return Counts(images, 1, int(rows[0].mask != ""), int(rows[0].split != ""))
    return Counts(images, len(rows), sum(row.mask != "" for row in rows), sum(row.split != "" for row in rows))


def _first_spellings(files: FoundImages) -> dict[str, str]:
    """Return the first of several names of one image, as with ./ before it, for each that is not the first."""
    first: dict[ImageFile, str] = {}
    others = {}
    for name, file in files.items():
        if isinstance(file, ImageFile) and first.setdefault(file, name) != name:
            others[name] = first[file]
    return others


def _listing_file(path: str | Path) -> str | Path:
    if is_uri(str(path)):
        return str(path) if str(path).endswith(".csv") else f"{str(path).rstrip('/')}/{FILE_NAME}"
    folder = Path(path)
    if not folder.is_dir():
        if not folder.is_file():
            raise DataUnreadable(f"{path}: no such file")
        return folder
    if (folder / FILE_NAME).is_file():
        return folder / FILE_NAME
    tables = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in TABLES and file.is_file())
    if len(tables) == 1:
        return folder / tables[0]
    there = f"name one of its tables: {', '.join(tables[:5])}" if tables else "there is no table in it"
    raise DataUnreadable(f"{folder}: the csv layout needs {FILE_NAME}; {there}")


def _check_guess(place: str | Path, lacking: str, files: FoundImages) -> None:
    """Refuse a table whose column of images was guessed, where it names none of the images.

    Raises:
        DataUnreadable: it does not.
    """
    named = {file for file in files.values() if isinstance(file, ImageFile)}
    if len(missing_files(named)) == len({file.location for file in named}):
        raise DataUnreadable(f"{place}: {lacking}")


def _read_rows(place: str | Path, options: ReadOptions) -> tuple[list[Row], bool, str | None, Listing]:
    """Read all rows; say whether partly wrote them, and what is wrong if a guessed column is not the images'."""
    listing = Listing()
    name = PurePosixPath(str(place)).name
    table = Table(place, COLUMNS, "image")
    has_sides = table.take_corners(BOX_COLUMNS)
    titles = table.titles
    listing.warnings += [f"{name}: {remark}" for remark in table.renamed]
    named = options.class_from if options.class_from != FROM_FOLDER else None
    used = [options.class_from or ""]
    if named is not None and named not in titles:
        parts = [part.strip() for part in named.split(",")]
        missing = [part for part in parts if part not in titles]
        if missing:
            raise DataUnreadable(f"{place}: there is no column {missing[0]!r}; found {', '.join(titles)}")
        table.join_columns(parts, named)
        used += parts
    listing.warnings += _remarks_on(table.titles, name, used)
    nothing: Counter[str] = Counter()
    try:
        rows = list(_rows(table, named, nothing))
    except (UnicodeError, csv.Error) as exc:
        raise table.unreadable(exc) from exc
    classes = {row.named if named is not None else row.class_name for row in rows}
    if MINUS in classes and PLUS not in classes and not set(titles) >= OWN_COLUMNS:
        rows = [_without_minus(row, nothing) for row in rows]
    if has_sides:
        rows = [_with_size(row) if row.has_box else row for row in rows]
    if nothing:
        said = ", ".join(f"{cell!r} ({count})" for cell, count in sorted(nothing.items()))
        listing.warnings.append(f"{name}: cells with {said} count as missing")
    if not rows:
        listing.warnings.append(f"{name} lists no images: it has column titles but no rows")
    return rows, set(titles) >= OWN_COLUMNS, table.lacking, listing


def _without_minus(row: Row, nothing: Counter[str]) -> Row:
    class_name, named = (cell if cell != MINUS else "" for cell in (row.class_name, row.named))
    nothing[MINUS] += (row.class_name, row.named).count(MINUS)
    return row._replace(class_name=class_name, named=named)


def _with_size(row: Row) -> Row:
    return row._replace(width=size_from_sides(row.x, row.width), height=size_from_sides(row.y, row.height))


def _remarks_on(titles: Sequence[str], name: str, used: Sequence[str]) -> Iterator[str]:
    """Say which columns are not used, and what may be missed with them; `used` are those that a person chose."""
    known = {*COLUMNS, *SIZE_TITLES, *used, ""}
    unknown = [title for title in titles if title not in known]
    if unknown:
        yield f"{name}: unknown column ignored: {', '.join(unknown)}"
    if unknown and "class" not in titles and not any(used):
        near = [title for title in unknown if title.lower() in CLASS_TITLES]
        if near:
            yield f"{name}: it has no column 'class'; to take classes from {near[0]!r}: --class-from {near[0]}"
        else:
            yield (
                f"{name}: it has no column 'class'; to take classes from another one: --class-from COLUMN, or from "
                "several, where the one with a 1 is the image's class: --class-from A,B,C"
            )
    boxes = [title for title in unknown if title.lower() in BOX_TITLES]
    if boxes and not set(titles) & set(BOX_COLUMNS):
        yield (
            f"{name}: no boxes were read from {', '.join(boxes)}; boxes need the columns x,y,width,height: left, top "
            "and size in pixels"
        )


def _rows(table: Table, named: str | None, nothing: Counter[str]) -> Iterator[Row]:
    """Read rows, and count the cells in which programs write that there is nothing; written to be quick."""
    titles = table.titles
    places = {title: place for place, title in enumerate(titles)}
    # Columns that are not there are taken from one more cell, which is empty.
    getter = itemgetter(*(places.get(title, len(titles)) for title in (*ROW_COLUMNS, named or "")))
    plain = [places[title] for title in ("image", "mask") if title in places]
    known = {places[title] for title in (*COLUMNS, named) if title in places} - {places["image"]}
    # What partly wrote holds nothing but what it says: a class may well be called "None".
    is_own = set(titles) >= OWN_COLUMNS
    group = places.get("group")
    classes = {places[title] for title in ("class", named) if title in places}
    boxes = [places[title] for title in BOX_COLUMNS if title in places] if table.delimiter != "," else []
    for cells in table:
        values = [cell.strip() for cell in cells[: len(titles)]]
        values += [""] * (len(titles) + 1 - len(values))
        if is_own:
            values = [cell if value else "" for cell, value in zip([*cells, *values], values, strict=False)]
        else:
            for place in plain:
                # A file's name may begin or end with blanks, other values do not.
                values[place] = cells[place] if values[place] else ""
            if not NOT_GIVEN_SPELLED.isdisjoint(values):
                for place in known:
                    if values[place] in NOT_GIVEN_SPELLED and not (values[place] == MINUS and place in classes):
                        nothing[values[place]] += 1
                        values[place] = ""
            if group is not None and values[group] and is_placeholder(values[group]):
                nothing[values[group]] += 1
                values[group] = ""
        for place in boxes:
            if _COMMA.fullmatch(values[place]):
                values[place] = values[place].replace(",", ".")
        surplus = len(cells) > len(titles) and any(cells[len(titles) :])
        yield Row._make((table.line, *getter(values), surplus))


def _entry(
    name: str,
    path: ImageFile | BadEntry | None,
    masks: FoundImages,
    rows: Sequence[Row],
    counts: Counts,
    options: ReadOptions,
    *,
    is_own: bool,
) -> Entry:
    if any(row.surplus for row in rows):
        raise BadEntry("a row has more cells than there are columns; a comma within a cell needs quotes around it")
    if isinstance(path, BadEntry):
        raise path
    if path is None:
        raise BadEntry("the path points outside the data set's folder; name the folder of the images: --images DIR")
    mask_path = None
    if counts.masks:
        named = {row.mask for row in rows if row.mask}
        if len(named) > 1:
            raise BadEntry("rows of one image name different masks")
        mask = masks[named.pop()]
        if isinstance(mask, BadEntry):
            raise mask
        if mask is None:
            raise BadEntry("the mask's path points outside the data set's folder")
        mask_path = mask
        if mask_path == path:
            raise BadEntry("it is named as its own mask")
    boxes = tuple(box for row in rows if (box := _box(row)) is not None)
    for box in boxes if not is_own else ():
        check_pixels(box, by="the csv layout")
    apart = boxes if len(boxes) < 2 else tuple(dict.fromkeys(boxes))
    sides = [read_number(_agreed(rows, field) or "") for field in ("image_width", "image_height")]
    size = sides if sides != [None, None] else None
    return Entry(
        name=name,
        path=path,
        class_name=_class(rows, name, options),
        group=_agreed(rows, "group"),
        split=_split(rows) if counts.splits else None,
        mask_paths=(mask_path,) if mask_path is not None else (),
        boxes=apart if size is None else (),
        draw=functools.partial(_sized, apart, size) if size is not None and apart else None,
        is_empty=_is_empty(rows, has_location=bool(boxes) or mask_path is not None),
        labels=counts.labels - len(boxes) + len(apart),
        masks=counts.masks,
        splits=counts.splits,
        must_agree=not is_own,
    )


def _sized(boxes: tuple[Box, ...], size: Sequence[float | None], width: int, height: int) -> Drawing:
    check_size(size, width, height, by="the table")
    return Drawing(boxes)


def _class(rows: Sequence[Row], name: str, options: ReadOptions) -> str | None:
    """Return an image's class: with boxes that carry names, only rows without a box speak of the image."""
    if options.class_from not in (None, FROM_FOLDER):
        class_name = _agreed(rows, "named")
        if class_name is not None and SEVERAL in class_name:
            said = ", ".join(class_name.split(SEVERAL))
            raise BadEntry(f"it has a 1 in several columns of classes ({said}); an image has one class")
        return class_name
    if options.class_from is None and options.boxes_as is BoxesAs.CLASS:
        return _agreed(rows, "class_name", hint="; to take every box as a location: --boxes-as lesion")
    alone = [row for row in rows if not row.has_box]
    return image_class((), name=name, options=options, said=_agreed(alone, "class_name"))


def _agreed(rows: Sequence[Row], field: str, hint: str = "") -> str | None:
    if len(rows) == 1:
        return getattr(rows[0], field) or None
    values = {value for row in rows if (value := getattr(row, field))}
    if len(values) > 1:
        said = {"class_name": "class", "named": "class"}.get(field, field)
        raise BadEntry(f"rows of one image differ in {said}: {', '.join(sorted(values))}{hint}")
    return values.pop() if values else None


def _split(rows: Sequence[Row]) -> Split:
    value = str(_agreed(rows, "split"))
    try:
        return SPLITS[value.lower()]
    except KeyError:
        raise BadEntry(f"split is {value!r}, expected train, val or test") from None


def _is_empty(rows: Sequence[Row], *, has_location: bool) -> bool:
    value = (_agreed(rows, "location") or "").lower()
    if value not in {"", "present", "empty", "unknown"}:
        raise BadEntry(f"location is {value!r}, expected present, empty or unknown")
    if value in {"empty", "unknown"} and has_location:
        raise BadEntry(f"location is {value!r}, but a box or mask is given too")
    if value == "present" and not has_location:
        raise BadEntry("location is 'present', but there is neither a box nor a mask")
    return value == "empty"


def _box(row: Row) -> Box | None:
    if not row.has_box:
        return None
    cells = ",".join((row.x, row.y, row.width, row.height))
    try:
        # Python alone takes 1_0 for ten.
        box = Box(*(float(cell if "_" not in cell else "") for cell in (row.x, row.y, row.width, row.height)))
    except ValueError:
        raise BadEntry(f"a box needs four numbers x,y,width,height, found {cells}") from None
    if not math.isfinite(box.x + box.y + box.width + box.height):
        raise BadEntry("a box has a value that is not finite")
    return box
