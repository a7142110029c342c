"""The `voc` layout: JPEGImages/NAME.jpg with Annotations/NAME.xml, splits in ImageSets/Main.

An annotation file without an object says that there is nothing to find, no annotation file that nobody has said
anything. Pixels count from 1 and xmax, ymax are included, as in the challenge's own development kit, so that a box of
x 0 and width 10 is xmin 1, xmax 10. What the format has no place for is in images.csv, which other readers ignore.
Masks are SegmentationClass/NAME.png.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

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


def read(path: str | Path, images: Folder | None = None) -> Listing:
    """List the images of a VOC data set.

    Args:
        path: the folder that holds JPEGImages and Annotations (or images beside their XML files).
        images: not used: images are found by their place.

    Raises:
        DataUnreadable: the folder is missing or holds no image.
    """
    root = Path(path)
    folder = Folder(root)
    if folder.is_remote or images is not None:
        raise DataUnreadable("the voc layout is read from a local folder with JPEGImages and Annotations in it")
    names = folder.names()
    annotations = {PurePosixPath(name).stem: name for name in names if name.endswith(".xml")}
    masks = {PurePosixPath(name).stem: name for name in names if f"/{name}".find(f"/{MASKS}/") >= 0}
    splits = _splits(root)
    facts = read_sidecar(root)
    listing = Listing()
    for name in names:
        pure = PurePosixPath(name)
        if pure.suffix.lower() not in SUFFIXES or {MASKS, "SegmentationObject"} & set(pure.parts):
            continue
        file = folder.file(name)
        if file is None:
            listing.refusals.append(Refusal(name, OUTSIDE))
            continue
        mask = folder.file(masks[pure.stem]) if pure.stem in masks else None
        try:
            described = _parse(root / annotations[pure.stem]) if pure.stem in annotations else None
            own = facts.get(name, {})
            listing.entries.append(_entry(name, file, mask, described, own, splits.get(pure.stem)))
        except BadEntry as exc:
            listing.refusals.append(Refusal(name, str(exc)))
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{root}: no images found; expected {IMAGES}/NAME.jpg and {ANNOTATIONS}/NAME.xml")
    return listing


def _splits(root: Path) -> dict[str, Split]:
    found: dict[str, Split] = {}
    for split in Split:
        file = root / SETS / f"{split}.txt"
        if file.is_file():
            found.update((line.strip(), split) for line in file.read_text(encoding="utf-8").splitlines())
    return found


def _parse(file: Path) -> Any:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        return fromstring(file.read_bytes())
    except (ParseError, DefusedXmlException, OSError, ValueError) as exc:
        raise BadEntry(f"its annotation file {file.name} cannot be read ({exc})") from exc


def _entry(
    name: str,
    file: ImageFile,
    mask: ImageFile | None,
    described: Any,
    own: Mapping[str, str],
    split: Split | None,
) -> Entry:
    if split is None and own.get("split") in set(Split):
        split = Split(own["split"])
    class_name, group = own.get("class") or None, own.get("group") or None
    if described is None:
        return Entry(name=name, path=file, class_name=class_name, group=group, split=split)
    objects = described.findall("object")
    classes = {(item.findtext("name") or "").strip() for item in objects} - {"", NO_CLASS}
    if len(classes) > 1:
        raise BadEntry(f"its objects name several classes ({', '.join(sorted(classes))}); an image has one class")
    boxes = tuple(_box(item) for item in objects)
    size = tuple(described.findtext(f"size/{side}") or "0" for side in ("width", "height"))

    def draw(width: int, height: int) -> Drawing:
        if size not in (("0", "0"), (str(width), str(height))):
            raise BadEntry(
                f"its annotation says {size[0]}x{size[1]}, the upright image is {width}x{height}; its boxes may "
                "belong to another file or to the image before it was rotated"
            )
        return Drawing(boxes)

    return Entry(
        name=name,
        path=file,
        class_name=classes.pop() if classes else class_name,
        group=group,
        split=split,
        mask_paths=(mask,) if mask is not None and boxes else (),
        is_empty=not boxes and own.get("location", "empty") == LocationStatus.EMPTY,
        draw=draw if boxes else None,
    )


def _box(item: Any) -> Box:
    try:
        x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        raise BadEntry("an object has no bndbox of four numbers") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BadEntry("an object's bndbox has a value that is not finite")
    return Box(x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1)


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
