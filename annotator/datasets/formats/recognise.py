"""Finds out which layout a data set has, from the files that lie in it."""

import csv
import itertools
import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.datasets.formats.busi import MASK
from annotator.datasets.formats.csv_table import BOX_COLUMNS, COLUMNS
from annotator.datasets.formats.csv_table import FILE_NAME as CSV_FILE
from annotator.datasets.formats.label_studio_tasks import looks_like_label_studio
from annotator.datasets.formats.names import InputFormat
from annotator.datasets.formats.via import CSV_COLUMNS as VIA_COLUMNS
from annotator.datasets.formats.via import looks_like_via
from annotator.datasets.formats.voc import IMAGES as VOC_IMAGES
from annotator.datasets.listing.folder import Folder, read_data_file
from annotator.datasets.listing.table import Table
from annotator.datasets.listing.yolo_description import description_among
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.files import is_uri

NAMED = frozenset({".csv", ".json", ".tsv", ".xml", ".yaml", ".yml"})
"""Ends of files that are named themselves, rather than their folder."""
BY_CONTENT = (InputFormat.COCO, InputFormat.CVAT, InputFormat.LABELME, InputFormat.LABEL_STUDIO, InputFormat.VIA)
ONE_FILE = frozenset(BY_CONTENT) - {InputFormat.LABELME}
"""Layouts of which one file names all images."""
LOOKED_AT = 20
"""Files that are opened to see what they are."""
LABEL_STUDIO_COLUMNS = frozenset({"annotation_id", "annotator", "lead_time"})
"""Columns that every table of Label Studio's has."""


def recognise(path: str | Path) -> tuple[InputFormat, str]:
    """Find out the layout of a data set.

    Args:
        path: the data set, as a person names it.

    Returns:
        The layout, and what speaks for it.

    Raises:
        DataUnreadable: nothing, or several layouts, can be recognised; the message says what was found.
    """
    name = str(path)
    if PurePosixPath(name).suffix.lower() in NAMED and (is_uri(name) or not Path(path).is_dir()):
        return _of_file(path)
    names = Folder(path).names()
    found = {layout: why for layout, why in _labels(path, names) if why is not None}
    if CSV_FILE in names:
        found[InputFormat.CSV] = f"{CSV_FILE} is there"
    if set(found) <= {InputFormat.CSV}:
        _check_tables(path, [CSV_FILE] if found else names)
    if len(found) == 1:
        _check_place(path, *next(iter(found.items())))
        return next(iter(found.items()))
    if found:
        said = "; ".join(f"{layout}, since {why}" for layout, why in found.items())
        raise DataUnreadable(f"{path}: it could be read as {said}; choose with --layout")
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    masks = [name for name in pictures if MASK.fullmatch(PurePosixPath(name).stem) and "/" in name]
    if masks:
        return InputFormat.BUSI, f"{masks[0]} is named like the mask of an image"
    tables = _tables_of_images(path, names, pictures)
    if len(tables) == 1 and "/" not in tables[0]:
        return InputFormat.CSV, f"{tables[0]} is the only table, and has columns for images and what is in them"
    if tables:
        others = f" (and {len(tables) - 1} more)" if len(tables) > 1 else ""
        raise DataUnreadable(
            f"{path}: {tables[0]}{others} lists images; import each table by its name: {path}/{tables[0]}"
        )
    if pictures and all("/" in name for name in pictures):
        return (
            InputFormat.FOLDERS,
            f"images are in folders, such as {pictures[0]}, and nothing says where the lesions are",
        )
    raise DataUnreadable(
        f"{path}: its layout cannot be recognised; expected {CSV_FILE}, a COCO, CVAT, Label Studio or VIA file, "
        "data.yaml, XML or labelme files, or a folder for each class; choose with --layout"
    )


def _tables_of_images(path: str | Path, names: Sequence[str], pictures: Sequence[str]) -> list[str]:
    """Return the tables of a folder that list images with their classes or boxes."""
    tables = [name for name in names if PurePosixPath(name).suffix.lower() in (".csv", ".tsv")]
    if is_uri(str(path)) or not tables:
        return []
    known = {spelled for picture in map(PurePosixPath, pictures) for spelled in (picture.name, picture.stem)}
    return [name for name in tables[:LOOKED_AT] if _lists_images(Path(path) / name, known)]


def _lists_images(file: Path, known: Collection[str]) -> bool:
    """Say whether a table has images and what is in them; a column that may be theirs has to name one."""
    try:
        table = Table(file, COLUMNS, "image")
        table.take_corners(BOX_COLUMNS)
        if not {"class", *BOX_COLUMNS} & set(table.titles):
            return False
        place = table.titles.index("image")
        named = (cells[place] for cells in itertools.islice(table, LOOKED_AT) if len(cells) > place)
        return table.lacking is None or any(PurePosixPath(name.strip()).name in known for name in named)
    except (DataUnreadable, UnicodeError, csv.Error):
        return False


def _check_tables(path: str | Path, names: Sequence[str]) -> None:
    """Refuse a set whose labels are a table of Label Studio's.

    Raises:
        DataUnreadable: one of the files is one; the message names it, and what to do.
    """
    tables = [name for name in names if PurePosixPath(name).suffix.lower() in (".csv", ".tsv")]
    for name in tables[:LOOKED_AT] if not is_uri(str(path)) else ():
        _check_table(Path(path) / name)


def _check_table(file: str | Path) -> None:
    """Refuse a table of Label Studio's, or its JSON under another name, as in `_check_tables`."""
    try:
        data = read_data_file(file)
    except DataUnreadable:
        return
    head = data[:4096].decode("utf-8-sig", "replace").partition("\n")[0]
    columns = {column.strip().strip('"') for column in re.split("[,;\t]", head)}
    if columns >= LABEL_STUDIO_COLUMNS:
        raise DataUnreadable(
            f"{file}: is a CSV export of Label Studio, which holds boxes as JSON in cells and is not supported; "
            "export the project as JSON there, and import that file with --layout labelstudio"
        )
    if head.lstrip().startswith(("[", "{")):
        with suppress(ValueError, RecursionError):
            if looks_like_label_studio(json.loads(data)):
                raise DataUnreadable(
                    f"{file}: is not a table but a JSON export of Label Studio; rename it to .json, and import it with "
                    "--layout labelstudio"
                )


def _check_place(path: str | Path, layout: InputFormat, why: str) -> None:
    """Refuse a folder around the one that holds a file of labels.

    Raises:
        DataUnreadable: it does; the message names the file.
    """
    folder, _, _ = why.split(" ")[0].rpartition("/")
    if layout in ONE_FILE and folder not in ("", "annotations"):
        raise DataUnreadable(f"{path}: {why}, so it is {layout}; name that file, or its folder: {path}/{folder}")


def _labels(path: str | Path, names: Sequence[str]) -> list[tuple[InputFormat, str | None]]:
    """Return the layouts whose label files are there, with the reason."""
    images = [PurePosixPath(name) for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    pictures = {str(image.with_suffix("")) for image in images}
    yaml_file = description_among(names)
    texts = [PurePosixPath(name) for name in names if name.lower().endswith(".txt")]
    beside = next(
        (text for text in texts if "labels" in _lower(text.parts[:-1]) or str(text.with_suffix("")) in pictures), None
    )
    yolo = f"{yaml_file} is there" if yaml_file else f"{beside} lies where a label file would" if beside else None
    found: dict[InputFormat, str] = {}
    for name in [name for name in names if PurePosixPath(name).suffix.lower() in (".json", ".xml", ".csv")][:LOOKED_AT]:
        layout, why = (None, "") if is_uri(str(path)) else _by_content(Path(path) / name)
        if layout is not None:
            found.setdefault(layout, f"{name} {why}")
    xml = next((name for name in names if name.lower().endswith(".xml")), None)
    jpeg = next((image for image in images if VOC_IMAGES.lower() in map(str.lower, image.parts)), None)
    voc = f"{xml} is an XML file beside images" if xml and pictures else None
    voc = voc or (f"{jpeg} lies in {VOC_IMAGES}" if jpeg else None)
    return [
        *((layout, found.get(layout)) for layout in BY_CONTENT),
        (InputFormat.VOC, voc if InputFormat.CVAT not in found else None),
        (InputFormat.YOLO, yolo),
    ]


def _lower(parts: Sequence[str]) -> list[str]:
    return [part.lower() for part in parts]


def _of_file(path: str | Path) -> tuple[InputFormat, str]:
    """Recognise a file that a person names."""
    name = PurePosixPath(str(path)).name
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".yaml", ".yml"):
        return InputFormat.YOLO, f"{name} is named"
    layout, why = _by_content(path)
    if layout is not None:
        return layout, f"{name} {why}"
    if suffix == ".xml":
        raise DataUnreadable(f"{path}: its layout cannot be recognised; for voc name the folder, not one of its files")
    if suffix in (".csv", ".tsv"):
        _check_table(path)
    # What is wrong with it, the reader can say best.
    return (InputFormat.CSV if suffix in (".csv", ".tsv") else InputFormat.COCO), f"{name} is named"


def _by_content(file: str | Path) -> tuple[InputFormat | None, str]:
    """Recognise a file by what is in it; returns the layout, None if it is nobody's, and what the file has."""
    suffix = PurePosixPath(str(file)).suffix.lower()
    try:
        data = read_data_file(file)
        if suffix == ".csv":
            head = data[:4096].decode("utf-8-sig", "replace").partition("\n")[0]
            is_via = all(column in head for column in VIA_COLUMNS)
            return (InputFormat.VIA, "has the columns of VIA") if is_via else (None, "")
        if suffix == ".xml":
            is_cvat = b"<annotations" in data[:4096]
            return (InputFormat.CVAT, "has CVAT's <annotations>") if is_cvat else (None, "")
        document = json.loads(data)
    except (ValueError, RecursionError, DataUnreadable):
        return None, ""
    return _of_document(document)


def _of_document(document: Any) -> tuple[InputFormat | None, str]:
    if isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document):
        return InputFormat.COCO, "has images, annotations and categories"
    if isinstance(document, dict) and isinstance(document.get("shapes"), list) and "imagePath" in document:
        return InputFormat.LABELME, "has shapes and an imagePath"
    if looks_like_label_studio(document):
        return InputFormat.LABEL_STUDIO, "is a list of tasks"
    return (InputFormat.VIA, "has filenames and regions") if looks_like_via(document) else (None, "")
