"""The `yolo` layout: images/.../NAME.jpg with labels/.../NAME.txt, and data.yaml with the names of the classes.

A label file has a line a box: class number, centre x, centre y, width, height as shares of the image; or a class
number and a polygon. An empty label file says that there is nothing to find, no label file that nobody has said
anything. What the format has no place for (the class of an image without a box, its group) is in images.csv, which
other readers ignore.

Source: https://docs.ultralytics.com/datasets/detect/ (labels lie where `images` in the path becomes `labels`).
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from annotator.datasets.formats.entries import BadEntry, Drawing, Entry, Folder, Listing, Refusal
from annotator.datasets.formats.export_set import SIDECAR, ExportImage, ExportSet, read_sidecar, write_sidecar
from annotator.datasets.formats.folders import OUTSIDE
from annotator.errors import DataUnreadable
from db.errors import InvalidArgument
from db.imaging.decode import SUFFIXES
from db.records import Box, LocationStatus, Split

DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml")
NAME_FILES = ("classes.txt", "obj.names")
SPLITS = {"train": Split.TRAIN, "val": Split.VAL, "valid": Split.VAL, "validation": Split.VAL, "test": Split.TEST}
NO_CLASS = "class not known"


def read(path: str | Path, images: Folder | None = None) -> Listing:
    """List the images of a YOLO data set.

    Args:
        path: its folder, or the data.yaml in it.
        images: not used: labels are found by the place of the images.

    Raises:
        DataUnreadable: the folder is missing or holds no image.
    """
    root = Path(path).parent if Path(path).suffix in {".yaml", ".yml"} else Path(path)
    folder = Folder(root)
    if folder.is_remote or images is not None:
        raise DataUnreadable("the yolo layout is read from a local folder with images and labels in it")
    names = folder.names()
    classes = _class_names(root)
    facts = read_sidecar(root)
    labels = {name for name in names if name.endswith(".txt")}
    listing = Listing()
    for name in names:
        if PurePosixPath(name).suffix.lower() not in SUFFIXES:
            continue
        file = folder.file(name)
        if file is None:
            listing.refusals.append(Refusal(name, OUTSIDE))
            continue
        own = facts.get(name, {})
        label = _label_name(name)
        try:
            lines = _lines(root / label, label) if label in labels else None
            listing.entries.append(_entry(name, file, lines, classes, own))
        except BadEntry as exc:
            listing.refusals.append(Refusal(name, str(exc)))
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{root}: no images found; expected images/NAME.jpg and labels/NAME.txt")
    if not classes:
        listing.warnings.append(f"no {DATA_FILES[0]} names the classes; they are called by their numbers")
    return listing


def _class_names(root: Path) -> dict[int, str]:
    for name in DATA_FILES:
        if (root / name).is_file():
            try:
                document = yaml.safe_load((root / name).read_text(encoding="utf-8"))
                found = document["names"]
                pairs = found.items() if isinstance(found, dict) else enumerate(found)
                return {int(key): str(value) for key, value in pairs}
            except (yaml.YAMLError, OSError, ValueError, KeyError, TypeError) as exc:
                raise DataUnreadable(f"{root / name}: expected `names`, a list of classes ({exc})") from exc
    for name in NAME_FILES:
        if (root / name).is_file():
            lines = (root / name).read_text(encoding="utf-8").splitlines()
            return dict(enumerate(line.strip() for line in lines if line.strip()))
    return {}


def _label_name(name: str) -> str:
    pure = PurePosixPath(name).with_suffix(".txt")
    parts = list(pure.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return "/".join(parts)


def _lines(file: Path, name: str) -> list[list[float]]:
    try:
        text = file.read_text(encoding="utf-8")
        rows = [[float(value) for value in line.split()] for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as exc:
        raise BadEntry(f"its label file {name} cannot be read ({exc})") from exc
    for row in rows:
        if not all(map(math.isfinite, row)):
            raise BadEntry(f"its label file {name} has a value that is not finite")
        if len(row) != 5 and (len(row) < 7 or len(row) % 2 == 0):
            raise BadEntry(f"its label file {name} has a line of {len(row)} numbers, expected 5 or a polygon")
        if row[0] != int(row[0]) or row[0] < 0:
            raise BadEntry(f"its label file {name} has {row[0]:g} for a class, expected its number")
    return rows


def _entry(
    name: str, file: Any, lines: list[list[float]] | None, classes: Mapping[int, str], facts: Mapping[str, str]
) -> Entry:
    found = {classes.get(int(line[0]), str(int(line[0]))) for line in lines or []} - {NO_CLASS}
    if len(found) > 1:
        raise BadEntry(f"its boxes name several classes ({', '.join(sorted(found))}); an image has one class")
    split = next((SPLITS[part] for part in PurePosixPath(name).parts[:-1] if part in SPLITS), None)

    def draw(width: int, height: int) -> Drawing:
        boxes = tuple(_box(line[1:], width, height) for line in lines or [])
        polygons = [line[1:] for line in lines or [] if len(line) != 5]
        if len(polygons) != len(boxes):
            return Drawing(boxes)
        return Drawing(boxes, np.logical_or.reduce([_filled(polygon, width, height) for polygon in polygons]))

    return Entry(
        name=name,
        path=file,
        class_name=found.pop() if found else facts.get("class") or None,
        group=facts.get("group") or None,
        split=split,
        is_empty=lines == [] and facts.get("location", "empty") == LocationStatus.EMPTY,
        draw=draw if lines else None,
    )


def _box(values: Sequence[float], width: int, height: int) -> Box:
    if len(values) == 4:
        x, y, w, h = values
        return Box((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
    xs, ys = values[::2], values[1::2]
    return Box(min(xs) * width, min(ys) * height, (max(xs) - min(xs)) * width, (max(ys) - min(ys)) * height)


def _filled(polygon: Sequence[float], width: int, height: int) -> Any:
    from skimage.draw import polygon2mask

    # The corners of a pixel's square are whole numbers, its centre is where polygon2mask looks.
    corners = [(y * height - 0.5, x * width - 0.5) for x, y in zip(polygon[::2], polygon[1::2], strict=True)]
    return polygon2mask((height, width), np.array(corners))


def write(export: ExportSet, folder: Path) -> list[Path]:
    """Write data.yaml, labels and images.csv; images belong into images/SPLIT.

    Returns:
        The files written.

    Raises:
        InvalidArgument: images are not copied, so that nothing could find the labels.
    """
    if not export.copied:
        raise InvalidArgument("the yolo format finds labels by where the images are: export with --images copy")
    classes = list(export.classes)
    if any(image.boxes and image.class_name is None for image in export.images):
        classes.append(NO_CLASS)
    written = [folder / "data.yaml", folder / SIDECAR]
    for image in export.images:
        if image.status is LocationStatus.UNKNOWN:
            continue
        file = folder / "labels" / split_folder(image) / f"{image.stem}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        number = classes.index(image.class_name or NO_CLASS) if image.boxes else 0
        lines = [_line(number, box, image.width, image.height) for box in image.boxes]
        file.write_text("".join(lines), encoding="utf-8")
        written.append(file)
    write_sidecar(export, folder, lambda image: f"images/{split_folder(image)}/{image.name}")
    present = {split_folder(image) for image in export.images}
    fallback = next((name for name in ("train", "val", "test") if name in present), "train")
    # No `path`: readers then take the file's own folder, wherever it is moved to.
    document = {
        **{name: f"images/{name if name in present else fallback}" for name in ("train", "val")},
        **({"test": "images/test"} if "test" in present else {}),
        "names": dict(enumerate(classes)),
    }
    written[0].write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return written


def split_folder(image: ExportImage) -> str:
    """Return the folder for an image's split; images without one are for training."""
    return str(image.split or Split.TRAIN)


def _line(number: int, box: Box, width: int, height: int) -> str:
    values = (
        (box.x + box.width / 2) / width,
        (box.y + box.height / 2) / height,
        box.width / width,
        box.height / height,
    )
    return f"{number} " + " ".join(f"{min(max(value, 0.0), 1.0):.10g}" for value in values) + "\n"
