"""Finds out which layout a data set has, from the files that lie in it."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from annotator.datasets.formats.busi import MASK
from annotator.datasets.formats.csv_table import FILE_NAME as CSV_FILE
from annotator.datasets.formats.entries import Folder
from annotator.datasets.formats.names import InputFormat
from annotator.datasets.formats.voc import IMAGES as VOC_IMAGES
from annotator.datasets.formats.yolo import DATA_FILES
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.files import is_uri

LOOKED_AT = 20
"""Files that are opened to see what they are."""


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
    by_suffix = {
        ".csv": InputFormat.CSV,
        ".json": InputFormat.COCO,
        ".yaml": InputFormat.YOLO,
        ".yml": InputFormat.YOLO,
    }
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in by_suffix and (is_uri(name) or not Path(path).is_dir()):
        return by_suffix[suffix], f"{PurePosixPath(name).name} is named"
    names = Folder(path).names()
    if CSV_FILE in names:
        return InputFormat.CSV, f"{CSV_FILE} is there"
    found = {layout: why for layout, why in _labels(path, names) if why is not None}
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        said = "; ".join(f"{layout}, since {why}" for layout, why in found.items())
        raise DataUnreadable(f"{path}: it could be read as {said}; choose with --layout")
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    masks = [name for name in pictures if MASK.fullmatch(PurePosixPath(name).stem) and "/" in name]
    if masks:
        return InputFormat.BUSI, f"{masks[0]} is named like the mask of an image"
    if pictures and all("/" in name for name in pictures):
        return InputFormat.FOLDERS, f"images lie in folders, such as {pictures[0]}, and nothing says where lesions are"
    expected = f"{CSV_FILE}, a COCO file, data.yaml, XML files, or a folder for each class"
    raise DataUnreadable(f"{path}: its layout cannot be recognised; expected {expected}; choose with --layout")


def _labels(path: str | Path, names: Sequence[str]) -> list[tuple[InputFormat, str | None]]:
    """Return the layouts whose label files are there, with the reason."""
    images = [PurePosixPath(name) for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    pictures = {str(image.with_suffix("")) for image in images}
    yaml_file = next((name for name in DATA_FILES if name in names), "obj.data" if "obj.data" in names else None)
    texts = [PurePosixPath(name) for name in names if name.endswith(".txt")]
    beside = next(
        (text for text in texts if "labels" in text.parts[:-1] or str(text.with_suffix("")) in pictures), None
    )
    yolo = f"{yaml_file} is there" if yaml_file else f"{beside} lies where a label file would" if beside else None
    documents = [name for name in names if name.endswith(".json")][:LOOKED_AT]
    coco = next((name for name in documents if not is_uri(str(path)) and _is_coco(Path(path) / name)), None)
    xml = next((name for name in names if name.lower().endswith(".xml")), None)
    jpeg = next((image for image in images if VOC_IMAGES in image.parts), None)
    voc = f"{xml} is an XML file beside images" if xml and pictures else None
    voc = voc or (f"{jpeg} lies in {VOC_IMAGES}" if jpeg else None)
    return [
        (InputFormat.COCO, f"{coco} has images, annotations and categories" if coco else None),
        (InputFormat.VOC, voc),
        (InputFormat.YOLO, yolo),
    ]


def _is_coco(file: Path) -> bool:
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError, OSError):
        return False
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document)
