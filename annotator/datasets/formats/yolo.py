"""The `yolo` layout: images/.../NAME.jpg with labels/.../NAME.txt, and data.yaml with the names of the classes.

A label file has a line a box: class number, centre x, centre y, width, height as shares of the image; or a class
number and a polygon. An empty label file says that there is nothing to find, no label file that nobody has said
anything. What the format has no place for (the class of an image without a box, its group) is in images.csv, which
other readers ignore.

Source: https://docs.ultralytics.com/datasets/detect/ (labels lie where `images` in the path becomes `labels`).
"""

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
from annotator.datasets.formats.folders import OUTSIDE
from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.listing.canvas import Canvas
from annotator.datasets.listing.drawing import used_outlines
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.image_class import image_class
from annotator.datasets.listing.options import PLAIN, ReadOptions, own_folder
from annotator.datasets.listing.sidecar import read_sidecar
from annotator.datasets.listing.yolo.data_file import NameFile
from annotator.datasets.listing.yolo.label_files import LabelFiles
from annotator.datasets.listing.yolo.label_lines import read_lines
from annotator.datasets.listing.yolo.split_places import SplitPlaces
from annotator.datasets.listing.yolo.tree import Tree
from annotator.datasets.listing.yolo_description import DATA_FILES, YAML, Described, describe
from annotator.errors import DataUnreadable
from db.errors import InvalidArgument
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile
from db.plain_text import counted
from db.records import Box, LocationStatus, Split


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a YOLO data set.

    Args:
        path: its folder, or the YAML file in it that describes it.
        options: what names beside boxes mean; another folder of images is refused, since labels are found by their
            place.

    Raises:
        DataUnreadable: the folder is missing or holds no image, or a file that names classes or splits cannot be read.
    """
    named = Path(path) if Path(path).suffix.lower() in YAML else None
    root = named.parent if named is not None else Path(path)
    folder = own_folder(root, options, layout="yolo", holding="images and labels")
    tree = Tree(names := folder.names(), title=PurePosixPath(str(folder)).name)
    listing = Listing()
    wanted = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    described = describe(folder, tree, named.name if named is not None else None, wanted, listing)
    facts = read_sidecar(folder, names)
    labels = LabelFiles(folder, tree, wanted, described.splits.lists)
    listing.found(Counts(images=len(wanted), labels=len(labels.there)))
    described.splits.read(listing)
    unsaid = numbered = 0
    for name in wanted:
        counts = Counts(1, labels.count(name), 0, described.splits.listed(name))
        try:
            split, said = _split(name, described.splits, facts, listing)
            counts = replace(counts, splits=said)
            if (file := folder.file(name)) is None:
                raise BadEntry(OUTSIDE)
            label, lines, classes = labels.of(name), None, NameFile("")
            if label is not None:
                is_lesion = options.boxes_as is BoxesAs.LESION
                classes = described.classes.numbers if is_lesion else described.classes.of(label)
                lines = read_lines(folder, label, classes, described.keypoint_values)
                lines = _without_twins(lines, name, listing)
            outlines = sum(len(line) != 5 for line in lines or ())
            counts += Counts(masks=outlines)
            listing.found(Counts(masks=outlines))
            entry = _entry(name, file, lines, classes.names, facts.get(name, {}), options)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(name, exc, counts)
            continue
        numbered += bool(lines) and described.classes.has_none
        if entry.is_empty and described.is_darknet:
            entry = replace(entry, is_empty=False)
            unsaid += 1
        drawn = used_outlines(outlines, len(lines or ()), name, listing)
        listing.entries.append(replace(entry, split=split, labels=counts.labels, masks=drawn, splits=said))
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{root}: no images found; expected images/NAME.jpg and labels/NAME.txt")
    _remarks(listing, described, numbered, unsaid)
    listing.leave_foreign(name for name in names if PurePosixPath(name).suffix.lower() in (".xml", ".json"))
    for name in labels.unused():
        listing.leave(Part.LABELS, name, "no image belongs to this label file; it was not used")
    return listing


def _remarks(listing: Listing, described: Described, numbered: int, unsaid: int) -> None:
    """Say what holds for many images."""
    if numbered:
        where = f"{described.file} names no class" if described.file else f"no {DATA_FILES[0]} names the classes"
        listing.warnings.append(f"{where}; their numbers are used as names")
    if unsaid:
        listing.warnings.append(
            f"{counted(unsaid, 'label file is', 'label files are')} empty; CVAT, which writes sets with obj.data, "
            "also leaves them empty for images that nobody has looked at, so their location counts as unknown"
        )


def _split(
    name: str, splits: SplitPlaces, facts: Mapping[str, Mapping[str, str]], listing: Listing
) -> tuple[Split | None, int]:
    """Return an image's split, and how many statements say so: of lists, of partly's own file, or of folders.

    Raises:
        BadEntry: lists name it for several.
    """
    splits.check(name)
    if name not in facts or splits.listed(name):
        return splits.of(name, listing)
    # As partly noted it in a set of its own.
    split = Split(said) if (said := facts[name].get("split")) in set(Split) else None
    listing.found(Counts(splits=int(split is not None)))
    return split, int(split is not None)


def _without_twins(lines: list[list[float]], image: str, listing: Listing) -> list[list[float]]:
    """Drop lines that repeat an earlier one, and say so."""
    kept = list(dict.fromkeys(map(tuple, lines)))
    twins = len(lines) - len(kept)
    outlines = sum(len(line) != 5 for line in lines) - sum(len(line) != 5 for line in kept)
    listing.found(Counts(labels=twins, masks=outlines))
    listing.leave(Part.LABELS, image, "a line repeats an earlier one; each counts once", twins)
    listing.leave(Part.MASKS, image, "it repeats an earlier outline", outlines)
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
        raise InvalidArgument("the yolo format finds labels by the images' paths: export with --images copy")
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
