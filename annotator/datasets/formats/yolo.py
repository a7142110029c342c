"""The `yolo` layout: images/.../NAME.jpg with labels/.../NAME.txt, and data.yaml with the names of the classes.

A label file has a line a box: class number, centre x, centre y, width, height as shares of the image; or a class
number and a polygon. An empty label file says that there is nothing to find, no label file that nobody has said
anything. What the format has no place for (the class of an image without a box, its group) is in images.csv, which
other readers ignore.

Source: https://docs.ultralytics.com/datasets/detect/ (labels lie where `images` in the path becomes `labels`).
"""

import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import yaml

from annotator.datasets.export_set import (
    NO_CLASS,
    SIDECAR,
    ExportImage,
    ExportSet,
    write_new,
    write_sidecar,
)
from annotator.datasets.formats.folders import OUTSIDE, SPLITS
from annotator.datasets.listing.canvas import Canvas, check_count
from annotator.datasets.listing.companions import NameIndex
from annotator.datasets.listing.drawing import used_outlines
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.image_class import image_class
from annotator.datasets.listing.options import PLAIN, ReadOptions, own_folder
from annotator.datasets.listing.sidecar import read_sidecar
from annotator.datasets.listing.splits import SplitLists
from annotator.datasets.listing.yolo_description import DATA_FILES, Described, describe, looks_like_labels
from annotator.errors import DataUnreadable
from db.errors import ImageUnreadable, InvalidArgument
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile
from db.records import Box, LocationStatus, Split

NO_LABELS = frozenset(
    {"classes.txt", "train.txt", "val.txt", "valid.txt", "validation.txt", "test.txt", "readme.txt"}
    | {"readme.roboflow.txt", "readme.dataset.txt", "requirements.txt"}
)
"""Text files that lie among label files and are none."""


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a YOLO data set.

    Args:
        path: its folder, or the YAML file in it that describes it.
        options: what names beside boxes mean; another folder of images is refused, since labels are found by their
            place.

    Raises:
        DataUnreadable: the folder is missing or holds no image, or a file that names classes or splits cannot be read.
    """
    named = Path(path) if Path(path).suffix in {".yaml", ".yml"} else None
    root = named.parent if named is not None else Path(path)
    folder = own_folder(root, options, layout="yolo", holding="images and labels")
    names = folder.names()
    listing = Listing()
    described = describe(folder, names, named.name if named is not None else None, listing)
    facts = read_sidecar(folder, names)
    wanted = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    labels = _LabelFiles(folder, names, wanted, described)
    listing.found(Counts(images=len(wanted), labels=len(labels.there)))
    lists = _listed_splits(folder, names, described, wanted, listing)
    unsaid = 0
    for name in wanted:
        own_label, by_folder = labels.of(name), None
        try:
            by_folder = _split_beside_lists(name, described, facts)
        except _Contradictory as exc:
            listing.found(Counts(splits=1))
            listing.leave(Part.SPLITS, name, str(exc))
        said = lists.lines(name) or int(by_folder is not None)
        listing.found(Counts(splits=said if not lists.lines(name) else 0))
        counts = Counts(1, int(labels.is_first(name)), 0, said)
        lines: list[list[float]] | None = None
        try:
            split = lists.split_of(name) or by_folder
            if (file := folder.file(name)) is None:
                raise BadEntry(OUTSIDE)
            if own_label is not None:
                labels.check_owner(name)
                lines = _without_twins(_lines(folder, own_label, described), own_label, listing)
            outlines = sum(len(line) != 5 for line in lines or ())
            counts += Counts(masks=outlines)
            listing.found(Counts(masks=outlines))
            entry = _entry(name, file, lines, described.classes, facts.get(name, {}), options)
            if entry.is_empty and described.is_darknet:
                entry = replace(entry, is_empty=False)
                unsaid += 1
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(name, exc, counts)
            continue
        drawn = used_outlines(outlines, len(lines or ()), name, listing)
        listing.entries.append(replace(entry, split=split, labels=counts.labels, masks=drawn, splits=said))
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{root}: no images found; expected images/NAME.jpg and labels/NAME.txt")
    if not described.classes:
        listing.warnings.append(f"no {DATA_FILES[0]} names the classes; they are called by their numbers")
    if unsaid:
        listing.warnings.append(
            f"{unsaid} label files are empty; CVAT, which writes sets with obj.data, does so for images that nobody "
            "has looked at, so their location counts as unknown"
        )
    listing.leave_foreign(name for name in names if PurePosixPath(name).suffix.lower() in (".xml", ".json"))
    for name in labels.unused():
        listing.leave(Part.LABELS, name, "no image belongs to this label file; it was not used")
    return listing


class _Contradictory(Exception):
    """A folder that is named for several splits, as where a set has only one."""


class _LabelFiles:
    """The label files of a data set, and whose they are."""

    def __init__(self, folder: Folder, names: Sequence[str], wanted: Sequence[str], described: Described) -> None:
        self._names = set(names)
        self._owners: dict[str, list[str]] = defaultdict(list)
        for name in wanted:
            self._owners[self.name_of(name)].append(name)
        folders = {str(PurePosixPath(label).parent) for label in self._owners}
        lists = {str(PurePosixPath(place)) for places in described.places.values() for place in places}
        self.there = {
            name
            for name in names
            if PurePosixPath(name).suffix.lower() == ".txt"
            and (name in self._owners or PurePosixPath(name).name.lower() not in NO_LABELS)
            and name not in lists
            and (str(PurePosixPath(name).parent) in folders or looks_like_labels(folder, name))
        }

    def name_of(self, image: str) -> str:
        """Return the label file that an image would have: below labels, or beside it as LabelImg and CVAT put them."""
        beside, apart = str(PurePosixPath(image).with_suffix(".txt")), _label_name(image)
        return beside if apart not in self._names and beside in self._names else apart

    def of(self, image: str) -> str | None:
        """Return the label file of an image, None where there is none."""
        label = self.name_of(image)
        return label if label in self.there else None

    def is_first(self, image: str) -> bool:
        """Say whether an image is the first, or only, one that a label file may belong to."""
        label = self.name_of(image)
        return label in self.there and self._owners[label][0] == image

    def check_owner(self, image: str) -> None:
        """Refuse a label file that may belong to several images.

        Raises:
            BadEntry: it does.
        """
        owners = self._owners[self.name_of(image)]
        if len(owners) > 1:
            raise BadEntry(f"{self.name_of(image)} may belong to {' or '.join(owners)}; nobody can say which")

    def unused(self) -> list[str]:
        """Return the label files of no image, in order."""
        return sorted(self.there - set(self._owners))


def _listed_splits(
    folder: Folder, names: Sequence[str], described: Described, wanted: Sequence[str], listing: Listing
) -> SplitLists:
    """Read lists of images, one path a line."""
    lists = SplitLists()
    index, there = NameIndex(wanted), set(names)
    for split, places in described.places.items():
        for place in (place for place in places if place.endswith(".txt")):
            # A path in the YAML file may count from where the set lay once.
            either = (os.path.normpath(place), PurePosixPath(place).name)
            file = next((name for name in either if name in there), None)
            if file is not None:
                lists.read(folder.text(file), split, index, place, listing)
    return lists


def _split_beside_lists(name: str, described: Described, facts: Mapping[str, Mapping[str, str]]) -> Split | None:
    """Return the split of an image that no list names: as partly noted it in a set of its own, or by its folder."""
    if name in facts:
        return Split(said) if (said := facts[name].get("split")) in set(Split) else None
    return _split_of_folder(name, described)


def _split_of_folder(name: str, described: Described) -> Split | None:
    """Return the split of the folder that an image lies in.

    Raises:
        _Contradictory: it is named for several.
    """
    parents = PurePosixPath(name).parts[:-1]
    found = {
        split
        for split, places in described.places.items()
        for place in places
        if not place.endswith(".txt") and _is_below(parents, place)
    }
    if len(found) > 1:
        raise _Contradictory(f"its folder is named for {' and for '.join(sorted(found))}, so it is in none")
    parts = (part.lower().removeprefix("obj_").removesuffix("_data") for part in parents)
    return found.pop() if found else next((SPLITS[part] for part in parts if part in SPLITS), None)


def _is_below(parents: Sequence[str], place: str) -> bool:
    """Say whether folders lie in a place, which may have been written with more folders before it."""
    wanted = [part for part in place.split("/") if part not in ("", ".", "..")]
    return any(wanted[-end:] == list(parents[:end]) for end in range(1, len(parents) + 1))


def _label_name(name: str) -> str:
    pure = PurePosixPath(name).with_suffix(".txt")
    parts = list(pure.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return "/".join(parts)


def _lines(folder: Folder, name: str, described: Described) -> list[list[float]]:
    try:
        text = folder.read(name).decode("utf-8-sig")
        rows = [[float(value) for value in line.split()] for line in text.splitlines() if line.strip()]
    except (ImageUnreadable, ValueError) as exc:
        reason = exc.reason if isinstance(exc, ImageUnreadable) else exc
        raise BadEntry(f"its label file {name} cannot be read ({reason})") from exc
    check_count(rows)
    for row in rows:
        if not all(map(math.isfinite, row)):
            raise BadEntry(f"its label file {name} has a value that is not finite")
        if described.keypoint_values:
            if len(row) not in (5, 5 + described.keypoint_values):
                raise BadEntry(
                    f"its label file {name} has a line of {len(row)} numbers, expected a box and "
                    f"{described.keypoint_values} numbers of key points"
                )
            del row[5:]
        if len(row) != 5 and (len(row) < 7 or len(row) % 2 == 0):
            raise BadEntry(f"its label file {name} has a line of {len(row)} numbers, expected 5 or a polygon")
        if row[0] != int(row[0]) or row[0] < 0:
            raise BadEntry(f"its label file {name} has {row[0]:g} for a class, expected its number")
        if described.classes and int(row[0]) not in described.classes:
            raise BadEntry(f"its label file {name} has class {row[0]:g}, which the data set does not name")
    return rows


def _without_twins(lines: list[list[float]], name: str, listing: Listing) -> list[list[float]]:
    """Drop lines that repeat an earlier one, and say so."""
    kept = list(dict.fromkeys(map(tuple, lines)))
    if len(kept) < len(lines):
        listing.warnings.append(f"{name}: {len(lines) - len(kept)} lines repeat an earlier one; each box counts once")
    return [list(line) for line in kept]


def _entry(
    name: str,
    file: ImageFile,
    lines: list[list[float]] | None,
    classes: Mapping[int, str],
    facts: Mapping[str, str],
    options: ReadOptions,
) -> Entry:
    named = {classes.get(int(line[0]), str(int(line[0]))) for line in lines or []} - {NO_CLASS}
    class_name = image_class(named, name=name, options=options, said=facts.get("class") or None)

    def draw(width: int, height: int) -> Drawing:
        boxes = tuple(_box(line[1:], width, height) for line in lines or [])
        polygons = [line[1:] for line in lines or [] if len(line) != 5]
        if len(polygons) != len(boxes):
            return Drawing(boxes)
        canvas = Canvas(width, height)
        for polygon in polygons:
            pairs = zip(polygon[::2], polygon[1::2], strict=True)
            canvas.paint_outline((x * width, y * height) for x, y in pairs)
        return Drawing(boxes, canvas.mask_HW)

    return Entry(
        name=name,
        path=file,
        class_name=class_name,
        group=facts.get("group") or None,
        is_empty=lines == [] and facts.get("location", "empty") == LocationStatus.EMPTY,
        draw=draw if lines else None,
    )


def _box(values: Sequence[float], width: int, height: int) -> Box:
    if len(values) == 4:
        x, y, w, h = values
        return Box((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
    xs, ys = values[::2], values[1::2]
    return Box(min(xs) * width, min(ys) * height, (max(xs) - min(xs)) * width, (max(ys) - min(ys)) * height)


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
        number = classes.index(image.class_name or NO_CLASS) if image.boxes else 0
        lines = [_line(number, box, image.width, image.height) for box in image.boxes]
        write_new(file, "".join(lines).encode())
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
