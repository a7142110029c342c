"""The `voc` layout: JPEGImages/NAME.jpg with Annotations/NAME.xml, splits in ImageSets/Main.

An annotation file without an object says that there is nothing to find, no annotation file that nobody has said
anything. Files belong together by folder and name: Annotations/s1/1.xml to JPEGImages/s1/1.png, or, where both names
occur once, by the name alone. What the format has no place for is in images.csv, which other readers ignore. Masks are
SegmentationClass/NAME.png.

Pixels count from 1 and xmax, ymax are included, as in the challenge's own development kit, so that a box of x 0 and
width 10 is xmin 1, xmax 10. Many programs count from 0 instead; a set that Label Studio wrote, or that has a 0, is read
so.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from annotator.datasets.formats.companions import Companions, read_text
from annotator.datasets.formats.entries import BadEntry, Drawing, Entry, Folder, Listing, Refusal
from annotator.datasets.formats.export_set import ExportImage, ExportSet, number, read_sidecar, write_sidecar
from annotator.datasets.formats.folders import OUTSIDE
from annotator.errors import DataUnreadable
from db.errors import InvalidArgument
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile
from db.records import Box, LocationStatus, Split

IMAGES, ANNOTATIONS, MASKS, SETS = "JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main"
NO_CLASS = "class not known"
PREVIEWS = "Visualization"
"""End of the names of folders in which labelme draws labels over images."""
SET_NAMES = {Split.TRAIN: ("train", "Train"), Split.VAL: ("val", "Validation"), Split.TEST: ("test", "Test")}
"""Image sets by split, as the challenge and CVAT call them."""


def read(path: str | Path, images: Folder | None = None, *, origin: int | None = None) -> Listing:
    """List the images of a VOC data set.

    Args:
        path: the folder that holds JPEGImages and Annotations (or images beside their XML files).
        images: not used: images are found by their place.
        origin: number of the first pixel, 0 or 1; None to find out.

    Raises:
        DataUnreadable: the folder is missing or holds no image.
    """
    root = Path(path)
    folder = Folder(root)
    if folder.is_remote or images is not None:
        raise DataUnreadable("the voc layout is read from a local folder with JPEGImages and Annotations in it")
    names = folder.names()
    listing = Listing()
    wanted = _images_among(names, listing)
    annotations = Companions(wanted, [name for name in names if PurePosixPath(name).suffix.lower() == ".xml"])
    masks = Companions(wanted, [name for name in names if _is_mask(name)])
    parsed = {name: _parsed(root / name) for name in annotations.names}
    origin = _origin(parsed, listing) if origin is None else origin
    splits = _splits(root, wanted, listing)
    facts = read_sidecar(root)
    for name in wanted:
        file = folder.file(name)
        if file is None:
            listing.refusals.append(Refusal(name, OUTSIDE))
            continue
        try:
            annotation, mask = annotations.of(name), masks.of(name)
            described = parsed[annotation] if annotation is not None else None
            if isinstance(described, BadEntry):
                raise described
            if described is not None and (remark := _check_filename(described, name, str(annotation), annotations)):
                listing.warnings.append(remark)
            found = Described(described, folder.file(mask) if mask is not None else None, origin)
            listing.entries.append(_entry(name, file, found, facts.get(name, {}), splits.get(name)))
        except BadEntry as exc:
            listing.refusals.append(Refusal(name, str(exc)))
    listing.warnings += [f"{name}: no image belongs to it; it was not used" for name in annotations.unused()]
    listing.warnings += [f"{name}: no image belongs to this mask; it was not used" for name in masks.unused()]
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{root}: no images found; expected {IMAGES}/NAME.jpg and {ANNOTATIONS}/NAME.xml")
    return listing


@dataclass(frozen=True, slots=True)
class Described:
    """What belongs to an image."""

    annotation: Any
    """The root of its XML; None without one."""
    mask: ImageFile | None
    origin: int


def _images_among(names: Sequence[str], listing: Listing) -> list[str]:
    """Return the images of a set, without masks and pictures that only show boxes."""
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    own = [name for name in pictures if not any(_is_beside(part) for part in PurePosixPath(name).parts[:-1])]
    if any(IMAGES in PurePosixPath(name).parts for name in own):
        left = [name for name in own if IMAGES not in PurePosixPath(name).parts]
        own = [name for name in own if IMAGES in PurePosixPath(name).parts]
        listing.warnings += [f"{name}: not in {IMAGES}, ignored" for name in left]
    previews = [name for name in pictures if any(part.endswith(PREVIEWS) for part in PurePosixPath(name).parts[:-1])]
    if previews:
        listing.warnings.append(
            f"{len(previews)} pictures that only show the labels were ignored, such as {previews[0]}"
        )
    return own


def _is_beside(part: str) -> bool:
    return part.startswith("Segmentation") or part.endswith(PREVIEWS)


def _is_mask(name: str) -> bool:
    pure = PurePosixPath(name)
    return pure.suffix.lower() in SUFFIXES and any(
        part.startswith(MASKS) and not part.endswith(PREVIEWS) for part in pure.parts[:-1]
    )


def _parsed(file: Path) -> Any:
    try:
        return _parse(file)
    except BadEntry as exc:
        return exc


def _origin(parsed: Mapping[str, Any], listing: Listing) -> int:
    """Find out whether a set counts pixels from 0 or from 1, and say so where it is not the format's own way."""
    roots = {name: root for name, root in parsed.items() if not isinstance(root, BadEntry)}
    for name, root in roots.items():
        if (root.findtext("owner/name") or "").strip() == "Label Studio":
            listing.warnings.append(
                f"{name} was written by Label Studio, which counts pixels from 0; --origin 1 reads it otherwise"
            )
            return 0
    for name, root in roots.items():
        lowest = [item.findtext(f"bndbox/{edge}") or "" for item in root.findall("object") for edge in ("xmin", "ymin")]
        if any(_number(text) == 0 for text in lowest):
            listing.warnings.append(
                f"{name} has a box at pixel 0, so pixels are counted from 0; --origin 1 reads it otherwise"
            )
            return 0
    return 1


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _check_filename(root: Any, name: str, annotation: str, annotations: Companions) -> str | None:
    """Compare the image that an annotation names with the one that it lies beside.

    Returns:
        What somebody should know; None where both are the same, or the named one is not in the set.

    Raises:
        BadEntry: it names another image of the set, which has no annotation of its own.
    """
    said = PurePosixPath((root.findtext("filename") or "").strip().replace("\\", "/"))
    if not said.name or said.stem == PurePosixPath(name).stem:
        return None
    others = [other for other in annotations.images if PurePosixPath(other).name == said.name]
    if not others:
        return None
    if not all(annotations.has_own(other) for other in others):
        raise BadEntry(f"its annotation file {annotation} says that it belongs to {said.name}")
    return f"{annotation} says that it belongs to {said.name}; by its own name it was taken for {name}"


def _splits(root: Path, wanted: Sequence[str], listing: Listing) -> dict[str, Split]:
    found: dict[str, Split] = {}
    for split, file_name in ((wanted_split, name) for wanted_split in Split for name in SET_NAMES[wanted_split]):
        file = root / SETS / f"{file_name}.txt"
        if not file.is_file():
            continue
        lines = [line.split()[0] for line in read_text(file).splitlines() if line.strip()]
        listed = Companions(wanted, list(dict.fromkeys(f"{line}.txt" for line in lines)))
        for name in wanted:
            with suppress(BadEntry):
                if listed.of(name) is not None:
                    found[name] = split
        missing = listed.unused()
        if missing:
            listing.warnings.append(
                f"{SETS}/{file.name}: {len(missing)} of its lines name no image, such as {missing[0][:-4]}"
            )
    return found


def _parse(file: Path) -> Any:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        return fromstring(file.read_bytes())
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as exc:
        raise BadEntry(f"its annotation file {file.name} cannot be read ({exc})") from exc


def _entry(name: str, file: ImageFile, found: Described, own: Mapping[str, str], split: Split | None) -> Entry:
    if split is None and own.get("split") in set(Split):
        split = Split(own["split"])
    class_name, group = own.get("class") or None, own.get("group") or None
    described = found.annotation
    mask_paths = (found.mask,) if found.mask is not None else ()
    if described is None:
        return Entry(name=name, path=file, class_name=class_name, group=group, split=split, mask_paths=mask_paths)
    objects = described.findall("object")
    classes = {(item.findtext("name") or "").strip() for item in objects} - {"", NO_CLASS}
    if len(classes) > 1:
        raise BadEntry(f"its objects name several classes ({', '.join(sorted(classes))}); an image has one class")
    boxes = tuple(_box(item, found.origin) for item in objects)
    size = [_number((described.findtext(f"size/{side}") or "0").strip()) for side in ("width", "height")]

    def draw(width: int, height: int) -> Drawing:
        if size != [0.0, 0.0] and size != [float(width), float(height)]:
            raise BadEntry(
                f"its annotation says {_plain(size[0])}x{_plain(size[1])}, the upright image is {width}x{height}; its "
                "boxes may belong to another file or to the image before it was rotated"
            )
        return Drawing(boxes)

    return Entry(
        name=name,
        path=file,
        class_name=classes.pop() if classes else class_name,
        group=group,
        split=split,
        mask_paths=mask_paths if boxes else (),
        is_empty=not boxes and own.get("location", "empty") == LocationStatus.EMPTY,
        draw=draw if boxes else None,
    )


def _plain(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"


def _box(item: Any, origin: int) -> Box:
    found = item.findall("bndbox")
    if len(found) > 1:
        raise BadEntry("an object has several bndbox; one object is one box")
    try:
        x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        raise BadEntry("an object has no bndbox of four numbers") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BadEntry("an object's bndbox has a value that is not finite")
    # Counted from 1 the last pixel is a part of the box, counted from 0 it is where the box ends.
    return Box(x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1) if origin else Box(x0, y0, x1 - x0, y1 - y0)


def write(export: ExportSet, folder: Path) -> list[Path]:
    """Write annotations, masks and image sets; images belong into JPEGImages.

    Returns:
        The files written.

    Raises:
        DataUnreadable: images are not copied, so that nothing could find the annotations.
    """
    if not export.copied:
        raise InvalidArgument("the voc format finds annotations by the names of the images: export with --images copy")
    written = [write_sidecar(export, folder, lambda image: f"{IMAGES}/{image.name}")]
    for image in export.images:
        if image.status is not LocationStatus.UNKNOWN:
            written.append(_write_annotation(image, folder))
        if image.mask_png is not None:
            written.append(_write_mask(image, folder, export.classes))
    for split in Split:
        stems = [image.stem for image in export.images if image.split is split]
        if stems:
            file = folder / SETS / f"{split}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
            written.append(file)
    return written


def _write_annotation(image: ExportImage, folder: Path) -> Path:
    root = ElementTree.Element("annotation")
    _add(root, "folder", IMAGES)
    _add(root, "filename", image.name)
    size = ElementTree.SubElement(root, "size")
    for side, length in (("width", image.width), ("height", image.height), ("depth", 3)):
        _add(size, side, length)
    _add(root, "segmented", int(image.mask_png is not None))
    for box in image.boxes:
        item = ElementTree.SubElement(root, "object")
        _add(item, "name", image.class_name or NO_CLASS)
        for tag, value in (("pose", "Unspecified"), ("truncated", 0), ("difficult", 0)):
            _add(item, tag, value)
        edges = ElementTree.SubElement(item, "bndbox")
        for tag, edge in (
            ("xmin", box.x + 1),
            ("ymin", box.y + 1),
            ("xmax", box.x + box.width),
            ("ymax", box.y + box.height),
        ):
            _add(edges, tag, number(edge))
    ElementTree.indent(root)
    file = folder / ANNOTATIONS / f"{image.stem}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(ElementTree.tostring(root, encoding="utf-8") + b"\n")
    return file


def _add(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)


def _write_mask(image: ExportImage, folder: Path, classes: Any) -> Path:
    mask_HW = image.mask()
    index = list(classes).index(image.class_name) + 1 if image.class_name in classes else 255
    picture = Image.fromarray(np.asarray(mask_HW, dtype=np.uint8) * index, mode="P")
    picture.putpalette([0, 0, 0, *([255, 255, 255] * 255)])
    file = folder / MASKS / f"{image.stem}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)
    return file
