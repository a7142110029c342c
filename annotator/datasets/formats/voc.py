"""The `voc` layout: JPEGImages/NAME.jpg with Annotations/NAME.xml, splits in ImageSets/Main.

An annotation file without an object says that there is nothing to find, no annotation file that nobody has said
anything. Files belong together by folder and name: Annotations/s1/1.xml to JPEGImages/s1/1.png, or, where both names
occur once, by the name alone (in unlike folders, such as train_xml and train_img, if the file names the image). What
the format has no place for is in images.csv, which other readers ignore. Masks are SegmentationClass/NAME.png.

Pixels count from 1 and xmax, ymax are included, as in the challenge's own development kit, so that a box of x 0 and
width 10 is xmin 1, xmax 10. Many programs count from 0 instead; a set that Label Studio wrote, or that has a 0, is read
so.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.datasets.export_set import NO_CLASS, SIDECAR
from annotator.datasets.formats.folders import OUTSIDE
from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.listing.companions import Companions
from annotator.datasets.listing.drawing import check_size, read_number
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.image_class import image_class
from annotator.datasets.listing.options import PLAIN, ReadOptions, own_folder
from annotator.datasets.listing.sidecar import read_sidecar
from annotator.datasets.listing.splits import read_image_sets, split_of_folders
from annotator.datasets.listing.xml_document import XmlUnreadable, parse_xml
from annotator.datasets.listing.yolo.label_lines import looks_like_labels
from annotator.errors import DataUnreadable
from db.errors import ImageUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile
from db.records import Box, LocationStatus, Split

IMAGES, ANNOTATIONS, MASKS = "JPEGImages", "Annotations", "SegmentationClass"
PREVIEWS = "visualization"
"""End of the names of folders in which labelme draws labels over images, in lower case."""
CVAT = "labelmap.txt"
"""Lies in sets that CVAT wrote, which counts pixels from 0 and describes every image, looked at or not."""


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a VOC data set.

    Args:
        path: the folder that holds JPEGImages and Annotations (or images beside their XML files).
        options: number of the first pixel, and what names of objects mean; another folder of images is refused, since
            images are found by their place.

    Raises:
        DataUnreadable: the folder is missing or holds no image.
    """
    root = Path(path)
    folder = own_folder(root, options, layout="voc", holding="JPEGImages and Annotations")
    names = folder.names()
    listing = Listing()
    wanted = _images_among(names, listing)
    annotations = Companions(wanted, [name for name in names if PurePosixPath(name).suffix.lower() == ".xml"])
    masks = Companions(wanted, [name for name in names if _is_mask(name)])
    listing.found(Counts(len(wanted), len(annotations.names), len(masks.names)))
    parsed = {name: _parsed(folder, name) for name in annotations.names}
    filenames = {name: _filename(root) for name, root in parsed.items()}
    listing.warnings += annotations.assign_by_content(filenames)
    annotations.assign_alone(filenames)
    facts = _facts(root, names)
    is_cvat = any(PurePosixPath(name).name == CVAT for name in names)
    if options.origin is None and facts:
        # As partly writes it, fractions of pixels included.
        options = replace(options, origin=1)
    if options.origin is None:
        options = replace(options, origin=_origin(parsed, listing, is_cvat=is_cvat))
    foreign = {name for name in names if _is_foreign(folder, name)}
    lists = read_image_sets(folder, [name for name in names if name not in foreign], wanted, listing)
    unsaid = 0
    for name in wanted:
        by_place = _said_split(name, facts.get(name, {}))
        said = lists.lines(name) or int(by_place is not None)
        listing.found(Counts(splits=0 if lists.lines(name) else said))
        try:
            found, file = _described(name, folder, annotations, masks, parsed)
            if file is not None and (remark := annotations.check(name, file, _filename(found.annotation))):
                listing.warnings.append(remark)
            _drop_twins(name, found.annotation, options, listing)
            entry = _entry(name, found, facts.get(name, {}), lists.split_of(name) or by_place, options)
            if entry.is_empty and is_cvat:
                entry = replace(entry, is_empty=False)
                unsaid += 1
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(name, exc, Counts(1, len(annotations.claimed_for(name)), len(masks.claimed_for(name)), said))
            continue
        labels, own_masks = len(annotations.claimed_for(name)), len(masks.claimed_for(name))
        listing.entries.append(replace(entry, labels=labels, masks=own_masks, splits=said))
    if unsaid:
        listing.warnings.append(
            f"{unsaid} annotation files have no object; CVAT also writes them for images that nobody has looked at, so "
            "their location counts as unknown"
        )
    listing.leave_foreign(sorted(foreign))
    for name in annotations.unused():
        listing.leave(Part.LABELS, name, "no image belongs to it; it was not used")
    others = [name for name in names if _is_beside_masks(name)]
    listing.found(Counts(masks=len(others)))
    for name in others:
        listing.leave(Part.MASKS, name, f"only masks in {MASKS} are used")
    for name in masks.unused():
        listing.leave(Part.MASKS, name, "no image belongs to this mask; it was not used")
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{root}: no images found; expected {IMAGES}/NAME.jpg and {ANNOTATIONS}/NAME.xml")
    return listing


@dataclass(frozen=True, slots=True)
class Described:
    """What belongs to an image."""

    file: ImageFile
    annotation: Any
    """The root of its XML; None without one."""
    mask: ImageFile | None


def _described(
    name: str, folder: Folder, annotations: Companions, masks: Companions, parsed: Mapping[str, Any]
) -> tuple[Described, str | None]:
    """Gather what belongs to an image, and return the name of its annotation file.

    Raises:
        BadEntry: its annotation cannot be read, or it is unclear which is its own.
    """
    annotation, mask = annotations.of(name), masks.of(name)
    root = parsed[annotation] if annotation is not None else None
    if isinstance(root, BadEntry):
        raise root
    if (file := folder.file(name)) is None:
        raise BadEntry(OUTSIDE)
    return Described(file, root, folder.file(mask) if mask is not None else None), annotation


def _images_among(names: Sequence[str], listing: Listing) -> list[str]:
    """Return the images of a set, without masks and pictures that only show boxes."""
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    own = [name for name in pictures if not any(_is_beside(part) for part in _folders(name))]
    if any(IMAGES.lower() in _folders(name) for name in own):
        left = [name for name in own if IMAGES.lower() not in _folders(name)]
        own = [name for name in own if IMAGES.lower() in _folders(name)]
        listing.found(Counts(images=len(left)))
        for name in left:
            listing.leave(Part.IMAGES, name, f"not in {IMAGES}, ignored")
    previews = [name for name in pictures if any(part.endswith(PREVIEWS) for part in _folders(name))]
    listing.found(Counts(images=len(previews)))
    for name in previews:
        listing.leave(Part.IMAGES, name, "it only shows the labels; ignored")
    return own


def _folders(name: str) -> tuple[str, ...]:
    """Return the folders around a file in lower case, as people spell them in several ways."""
    return PurePosixPath(name.lower()).parts[:-1]


def _is_beside(part: str) -> bool:
    return part.startswith("segmentation") or part.endswith(PREVIEWS) or part in ("mask", "masks")


def _is_mask(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES and any(
        part.startswith(MASKS.lower()) and not part.endswith(PREVIEWS) for part in _folders(name)
    )


def _is_foreign(folder: Folder, name: str) -> bool:
    """Say whether a file has labels of another program."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix == ".json" or (suffix == ".txt" and looks_like_labels(folder, name))


def _is_beside_masks(name: str) -> bool:
    parts = _folders(name)
    return (
        PurePosixPath(name).suffix.lower() in SUFFIXES
        and any(part.startswith("segmentation") or part in ("mask", "masks") for part in parts)
        and not any(part.endswith(PREVIEWS) for part in parts)
        and not _is_mask(name)
    )


def _parsed(folder: Folder, name: str) -> Any:
    try:
        return _parse(folder, name)
    except BadEntry as exc:
        return exc


def _origin(parsed: Mapping[str, Any], listing: Listing, *, is_cvat: bool) -> int:
    """Find out whether a set counts pixels from 0 or from 1, and say so where it is not the format's own way."""
    roots = {name: root for name, root in parsed.items() if not isinstance(root, BadEntry)}
    reason = f"{CVAT} is there, so the set was written by CVAT, which counts pixels from 0" if is_cvat else None
    for name, root in roots.items():
        if reason is None and (root.findtext("owner/name") or "").strip() == "Label Studio":
            reason = f"{name} was written by Label Studio, which counts pixels from 0"
    for name, root in roots.items():
        if reason is not None:
            break
        edges = [
            number
            for item in root.findall("object")
            for edge in ("xmin", "ymin", "xmax", "ymax")
            if (number := read_number(item.findtext(f"bndbox/{edge}") or "")) is not None
        ]
        if 0 in edges:
            reason = f"{name} has a box at pixel 0, so pixels are counted from 0"
        elif any(edge % 1 for edge in edges if math.isfinite(edge)):
            reason = (
                f"{name} has a box between pixels, which pixel numbers cannot express, so pixels are counted from 0"
            )
    if reason is None:
        return 1
    listing.warnings.append(f"{reason}; to count from 1: --origin 1")
    return 0


def _filename(root: Any) -> str:
    """Return the image that an annotation names, nothing if it names none."""
    return "" if root is None or isinstance(root, BadEntry) else (root.findtext("filename") or "").strip()


def _facts(root: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read what exports of partly wrote beside their sets, which may lie in folders of their own."""
    places = [name.removesuffix(SIDECAR) for name in names if PurePosixPath(name).name == SIDECAR]
    own = {place: read_sidecar(Folder(root / place), {SIDECAR}) for place in places}
    return {f"{place}{image}": row for place, rows in own.items() for image, row in rows.items()}


def _said_split(name: str, own: Mapping[str, str]) -> Split | None:
    """Return the split of an image that no list names: as partly noted it, or by its folder."""
    if own:
        return Split(own["split"]) if own.get("split") in set(Split) else None
    return split_of_folders(PurePosixPath(name).parts[:-1])


def _parse(folder: Folder, name: str) -> Any:
    file = PurePosixPath(name).name
    try:
        root = parse_xml(folder.read(name))
    except (XmlUnreadable, ImageUnreadable) as exc:
        reason = exc.reason if isinstance(exc, ImageUnreadable) else exc
        raise BadEntry(f"its annotation file {file} cannot be read ({reason})") from exc
    if root.find("object") is None:
        # A file of another kind would say that there is nothing to find.
        if root.tag != "annotation":
            raise BadEntry(
                f"its annotation file {file} is not a VOC file: it begins with <{root.tag}>, not <annotation>"
            )
        if any(str(element.tag).lower() in ("object", "objects", "bndbox") for element in root.iter()):
            raise BadEntry(f"its annotation file {file} has its objects somewhere other than <annotation><object>")
    return root


def _drop_twins(name: str, described: Any, options: ReadOptions, listing: Listing) -> None:
    """Take objects that repeat an earlier one out of an annotation, and say so."""
    seen: set[tuple[str, ...]] = set()
    twins = 0
    for item in described.findall("object") if described is not None else []:
        # Numbers are the same however they are written; what is none is refused later.
        texts = [(item.findtext(f"bndbox/{edge}") or "").strip() for edge in ("xmin", "ymin", "xmax", "ymax")]
        edges = [str(read_number(text)) if read_number(text) is not None else text for text in texts]
        named = "" if options.boxes_as is BoxesAs.LESION else (item.findtext("name") or "").strip()
        key = (named, *edges)
        if all(texts) and len(item.findall("bndbox")) == 1 and key in seen:
            described.remove(item)
            twins += 1
        seen.add(key)
    listing.found(Counts(labels=twins))
    listing.leave(Part.LABELS, name, "an object repeats an earlier one; each counts once", twins)


def _entry(name: str, found: Described, own: Mapping[str, str], split: Split | None, options: ReadOptions) -> Entry:
    described = found.annotation
    objects = described.findall("object") if described is not None else []
    named = {(item.findtext("name") or "").strip() for item in objects} - {"", NO_CLASS}
    class_name = image_class(named, name=name, options=options, said=own.get("class") or None, what="objects")
    group, mask_paths = own.get("group") or None, (found.mask,) if found.mask is not None else ()
    if described is None:
        return Entry(name, found.file, class_name=class_name, group=group, split=split, mask_paths=mask_paths)
    boxes = tuple(_box(item, options.origin or 0) for item in objects)
    size = [read_number(described.findtext(f"size/{side}") or 0) for side in ("width", "height")]

    def draw(width: int, height: int) -> Drawing:
        check_size(size, width, height, by="its annotation")
        return Drawing(boxes)

    return Entry(
        name=name,
        path=found.file,
        class_name=class_name,
        group=group,
        split=split,
        mask_paths=mask_paths,
        is_empty=not boxes and own.get("location", "empty") == LocationStatus.EMPTY,
        draw=draw if boxes else None,
    )


def _box(item: Any, origin: int) -> Box:
    found = item.findall("bndbox")
    if len(found) > 1:
        raise BadEntry("an object has several bndbox; it can have only one")
    try:
        x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        raise BadEntry("an object has no bndbox with four numbers") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BadEntry("an object's bndbox has a value that is not finite")
    # Counted from 1 the last pixel is a part of the box, counted from 0 it is where the box ends.
    return Box(x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1) if origin else Box(x0, y0, x1 - x0, y1 - y0)
