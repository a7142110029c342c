"""The `cvat` layout: annotations.xml as CVAT writes it ("CVAT for images 1.1"), with the images below its folder.

Boxes, polygons, ellipses and masks are locations; a tag is the image's class, and without one the label of the shapes
is. CVAT does not say whether somebody looked at an image that has no shape, so its location counts as unknown.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from annotator.datasets.formats.folders import SPLITS
from annotator.datasets.listing.drawing import check_size, drawing_of, read_number, used_outlines
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder, parent_of, read_data_file
from annotator.datasets.listing.image_class import class_beside
from annotator.datasets.listing.named_images import NamedImages
from annotator.datasets.listing.options import PLAIN, ReadOptions
from annotator.datasets.listing.xml_document import XmlUnreadable, parse_xml
from annotator.errors import DataUnreadable
from annotator.shapes.drawn import Ellipse, Painted, Polygon, Rectangle, Shape
from db.imaging.files import ImageFile
from db.imaging.limits import PIXELS
from db.plain_text import counted
from db.records import Box

FILE_NAME = "annotations.xml"
OUTLINES = frozenset({"polygon", "ellipse", "mask"})
DRAWN = OUTLINES | {"box"}
OTHERS = frozenset({"polyline", "points", "cuboid", "skeleton"})
"""Shapes that are neither a box nor an area."""
NO_PLACE = frozenset({"source", "z_order", "occluded", "group_id"})
"""What of a shape says nothing about where it is."""
BY_A_MODEL = frozenset({"auto"})


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a CVAT file.

    Args:
        path: the XML file, or the folder that holds annotations.xml.
        options: where the images are (by default the file's folder or below), and what labels mean.

    Raises:
        DataUnreadable: no such file, or it is not CVAT's.
    """
    place = Path(path) / FILE_NAME if Path(path).is_dir() else path
    root = _parse(place)
    listing = Listing()
    images = root.findall("image")
    found = NamedImages(options.images or Folder(parent_of(place)), [_names(item) for item in images])
    vocabulary = {str(tag.get("label")) for item in images for tag in item.findall("tag")}
    made = silent = 0
    for at, item in enumerate(images):
        counts = _counts(item)
        listing.found(counts)
        name = str(item.get("name") or f"image {item.get('id')}")
        try:
            entry = _entry(name, found.of(at), item, vocabulary, options)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(name, exc, counts)
            continue
        twins = _drop_twins(item)
        listing.leave(Part.LABELS, name, "a shape repeats an earlier one; each counts once", twins.labels)
        listing.leave(Part.MASKS, name, "it repeats an earlier outline", twins.masks)
        others = [child.tag for child in item if child.tag in OTHERS]
        for tag in others:
            listing.leave(Part.LABELS, name, f"a {tag} is neither a box nor an area; it was not used")
        made += sum(child.get("source") in BY_A_MODEL for child in item if child.tag in DRAWN)
        silent += entry.draw is None
        drawn = sum(child.tag in DRAWN for child in item)
        masks = used_outlines(counts.masks - twins.masks, drawn, name, listing)
        listing.entries.append(replace(entry, labels=counts.labels - len(others) - twins.labels, masks=masks))
    _remarks(listing, root, made, silent)
    found.leave_unlisted(listing, PurePosixPath(str(place)).name)
    return listing


def _parse(place: str | Path) -> Any:
    try:
        root = parse_xml(read_data_file(place))
    except XmlUnreadable as exc:
        raise DataUnreadable(f"{place}: is not XML that can be read ({exc})") from exc
    if root.tag != "annotations" or (root.find("image") is None and root.find("track") is None):
        raise DataUnreadable(f"{place}: expected CVAT's <annotations> with <image> in it, found <{root.tag}>")
    return root


def _names(item: Any) -> list[str]:
    name, subset = str(item.get("name") or ""), str(item.get("subset") or "")
    return [f"{subset}/{name}", name] if subset else [name]


def _counts(item: Any) -> Counts:
    labels = sum(child.tag in DRAWN or child.tag in OTHERS or child.tag == "tag" for child in item)
    masks = sum(child.tag in OUTLINES for child in item)
    return Counts(1, labels, masks, int(str(item.get("subset") or "").lower() in SPLITS))


def _drop_twins(item: Any) -> Counts:
    """Take shapes that repeat an earlier one out of an image, and count them."""
    seen: set[Any] = set()
    labels = masks = 0
    for child in list(item):
        key = child.tag, tuple(sorted((key, value) for key, value in child.attrib.items() if key not in NO_PLACE))
        if child.tag in DRAWN and key in seen:
            item.remove(child)
            labels, masks = labels + 1, masks + (child.tag in OUTLINES)
        seen.add(key)
    return Counts(labels=labels, masks=masks)


def _entry(name: str, file: ImageFile, item: Any, vocabulary: set[str], options: ReadOptions) -> Entry:
    tags = {str(tag.get("label")) for tag in item.findall("tag")}
    named = [str(child.get("label")) for child in item if child.tag in DRAWN]
    size = [read_number(item.get(side)) for side in ("width", "height")]

    def draw(width: int, height: int) -> Drawing:
        check_size(size, width, height, by=FILE_NAME)
        return drawing_of(_shapes(item), width, height)

    return Entry(
        name=name,
        path=file,
        class_name=class_beside(tags, named, name=name, options=options, vocabulary=vocabulary),
        split=SPLITS.get(str(item.get("subset") or "").lower()),
        draw=draw if named else None,
    )


def _shapes(item: Any) -> Iterator[Shape]:
    for child in item:
        if child.tag in DRAWN:
            try:
                yield _shape(child)
            except ValueError as exc:
                raise BadEntry(f"a {child.tag} cannot be read ({exc})") from None


def _shape(child: Any) -> Shape:
    if child.tag == "polygon":
        return Polygon([(x, y) for x, y in (_pair(text) for text in str(child.get("points") or "").split(";"))])
    if child.tag == "ellipse":
        x, y, radius_x, radius_y = _numbers(child, ("cx", "cy", "rx", "ry"))
        return Ellipse(x, y, radius_x, radius_y, float(child.get("rotation") or 0))
    if child.tag == "mask":
        x0, y0, width, height = (int(value) for value in _numbers(child, ("left", "top", "width", "height")))
        return Painted(_unpacked([int(run) for run in str(child.get("rle") or "").split(",")], width, height), x0, y0)
    left, top, right, bottom = _numbers(child, ("xtl", "ytl", "xbr", "ybr"))
    return Rectangle(_rotated(Box(left, top, right - left, bottom - top), float(child.get("rotation") or 0)))


def _pair(text: str) -> tuple[float, float]:
    x, y = (float(value) for value in text.split(","))
    return x, y


def _numbers(child: Any, names: Sequence[str]) -> list[float]:
    values = [float(child.get(name) or "nan") for name in names]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"it needs the numbers {', '.join(names)}")
    return values


def _rotated(box: Box, degrees: float) -> Box:
    """Return the upright box around one that is rotated about its centre."""
    if not degrees % 360:
        return box
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = box.width * cosine + box.height * sine, box.width * sine + box.height * cosine
    return Box(box.x + (box.width - width) / 2, box.y + (box.height - height) / 2, width, height)


def _unpacked(runs: Sequence[int], width: int, height: int) -> Any:
    """Unpack run lengths, outside first, row by row."""
    if min(runs) < 0 or width <= 0 or height <= 0 or sum(runs) != width * height or sum(runs) > PIXELS:
        raise ValueError(f"its run lengths add up to {sum(runs)}, not to {width}x{height} = {width * height}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)


def _remarks(listing: Listing, root: Any, made: int, silent: int) -> None:
    tracks = root.findall("track")
    listing.found(Counts(labels=len(tracks)))
    for track in tracks:
        name = f"track {track.get('id')} ({track.get('label')})"
        listing.leave(Part.LABELS, name, "it is of a video; export the task as 'CVAT for images 1.1'")
    if made:
        listing.warnings.append(f"{made} shapes were made by a model (source=auto) and count as labels all the same")
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image has', 'images have')} no shape; CVAT does not say whether somebody "
            f"looked, so their location counts as "
            "unknown"
        )
