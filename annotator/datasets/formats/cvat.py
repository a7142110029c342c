"""The `cvat` layout: annotations.xml as CVAT writes it ("CVAT for images 1.1"), with the images below its folder.

Boxes, polygons, ellipses and masks are locations; a tag is the image's class, and without one the label of the shapes
is. CVAT does not say whether somebody looked at an image that has no shape, so its location counts as unknown.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
"""

import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from annotator.datasets.listing.drawing import (
    REPEATED,
    REPEATED_OUTLINE,
    check_size,
    drawing_of,
    place_of,
    read_number,
    shape_or_refusal,
    used_outlines,
    without_twins,
)
from annotator.datasets.listing.entries import Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder, parent_of, read_data_file
from annotator.datasets.listing.image_class import class_beside
from annotator.datasets.listing.named_images import NamedImages
from annotator.datasets.listing.options import PLAIN, ReadOptions
from annotator.datasets.listing.splits import SPLITS
from annotator.datasets.listing.xml_document import XmlUnreadable, parse_xml
from annotator.errors import DataUnreadable
from annotator.shapes.drawn import Ellipse, Painted, Polygon, Rectangle, Shape
from annotator.shapes.limits import number_in_range, read_numbers, read_points
from db.imaging.files import ImageFile
from db.imaging.geometry import upright_around
from db.imaging.limits import PIXELS
from db.plain_text import counted
from db.records import Box

FILE_NAME = "annotations.xml"
OUTLINES = frozenset({"polygon", "ellipse", "mask"})
DRAWN = OUTLINES | {"box"}
OTHERS = frozenset({"polyline", "points", "cuboid", "skeleton"})
"""Shapes that are neither a box nor an area."""
BY_A_MODEL = frozenset({"auto"})
DIGITS = 20
"""Characters of a run length: more than any image needs."""


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
        counts = _counts(item, found.images_at(at))
        listing.found(counts)
        name = str(item.get("name") or f"image {item.get('id')}")
        try:
            file, drawn = found.of(at), _drawn(item)
            kept = without_twins(drawn, _place)
            entry = _entry(name, file, item, kept, vocabulary, options, listing)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(name, exc, counts)
            continue
        twins, outlined = len(drawn) - len(kept), sum(shape.kind in OUTLINES for shape in kept)
        listing.leave(Part.LABELS, name, REPEATED, twins)
        listing.leave(Part.MASKS, name, REPEATED_OUTLINE, counts.masks - outlined)
        others = [child.tag for child in item if child.tag in OTHERS]
        for tag in others:
            listing.leave(Part.LABELS, name, f"a {tag} is neither a box nor an area; it was not used")
        made += sum(shape.item.get("source") in BY_A_MODEL for shape in kept)
        silent += entry.draw is None
        masks = used_outlines(outlined, len(kept), name, listing)
        listing.entries.append(replace(entry, labels=counts.labels - len(others) - twins, masks=masks))
    _remarks(listing, root, made, silent)
    found.leave_unlisted(listing, PurePosixPath(str(place)).name)
    return listing


def _parse(place: str | Path) -> Any:
    try:
        root = parse_xml(read_data_file(place))
    except XmlUnreadable as exc:
        raise DataUnreadable(f"{place}: cannot be read as XML ({exc})") from exc
    if root.tag != "annotations" or (root.find("image") is None and root.find("track") is None):
        raise DataUnreadable(f"{place}: expected CVAT's <annotations> with <image> in it, found <{root.tag}>")
    return root


def _names(item: Any) -> list[str]:
    name, subset = str(item.get("name") or ""), str(item.get("subset") or "")
    return [f"{subset}/{name}", name] if subset else [name]


def _counts(item: Any, images: int) -> Counts:
    labels = sum(child.tag in DRAWN or child.tag in OTHERS or child.tag == "tag" for child in item)
    masks = sum(child.tag in OUTLINES for child in item)
    return Counts(images, labels, masks, int(str(item.get("subset") or "").lower() in SPLITS))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A shape that is a box or an outline."""

    item: Any
    number: int
    """Its place among the shapes of its image, from 1."""

    @property
    def kind(self) -> str:
        """What it is: box, polygon, ellipse or mask."""
        return str(self.item.tag)


def _drawn(item: Any) -> list[Drawn]:
    shapes = [child for child in item if child.tag in DRAWN or child.tag in OTHERS]
    return [Drawn(child, number) for number, child in enumerate(shapes, start=1) if child.tag in DRAWN]


def _entry(
    name: str,
    file: ImageFile,
    item: Any,
    kept: Sequence[Drawn],
    vocabulary: set[str],
    options: ReadOptions,
    listing: Listing,
) -> Entry:
    tags = {str(tag.get("label")) for tag in item.findall("tag")}
    # Of two shapes in one place, both labels count: they may contradict each other.
    named = [str(child.get("label")) for child in item if child.tag in DRAWN]
    size = [read_number(item.get(side)) for side in ("width", "height")]

    def draw(width: int, height: int) -> Drawing:
        check_size(size, width, height, by=FILE_NAME)
        return drawing_of(map(_shape, kept), width, height, note=functools.partial(listing.note, name))

    return Entry(
        name=name,
        path=file,
        class_name=class_beside(tags, named, name=name, options=options, vocabulary=vocabulary, note=listing.note),
        split=SPLITS.get(str(item.get("subset") or "").lower()),
        draw=draw if kept else None,
    )


def _place(drawn: Drawn) -> Hashable:
    if drawn.kind != "mask":
        return place_of(_shape(drawn))
    # Text says as well whether two are the same, and is not to be unpacked twice.
    places = tuple(read_number(drawn.item.get(key)) for key in ("left", "top", "width", "height"))
    return "mask", places, "".join(str(drawn.item.get("rle")).split())


def _shape(drawn: Drawn) -> Shape:
    read = functools.partial(_shape_of, drawn.kind, drawn.item)
    return shape_or_refusal(read, f"shape {drawn.number} of the image ({drawn.kind})", program="CVAT")


def _shape_of(kind: str, item: Any) -> Shape:
    """Read a shape.

    Raises:
        ValueError: it has not the numbers that it needs.
    """
    if kind == "polygon":
        return Polygon(read_points([_pair(*text) for text in enumerate(str(item.get("points") or "").split(";"), 1)]))
    if kind == "mask":
        left, top, width, height = (
            int(value) for value in read_numbers(item.attrib, ("left", "top", "width", "height"))
        )
        runs = [_run(number, text) for number, text in enumerate(str(item.get("rle") or "").split(","), start=1)]
        return Painted(_unpacked(runs, width, height), left, top)
    degrees = number_in_range(item.get("rotation") or 0, "rotation")
    if kind == "ellipse":
        x, y, radius_x, radius_y = read_numbers(item.attrib, ("cx", "cy", "rx", "ry"))
        return Ellipse(x, y, radius_x, radius_y, degrees)
    x0, y0, x1, y1 = read_numbers(item.attrib, ("xtl", "ytl", "xbr", "ybr"))
    return Rectangle(upright_around(Box(x0, y0, x1 - x0, y1 - y0), degrees))


def _pair(number: int, text: str) -> list[str]:
    pair = text.split(",")
    if len(pair) != 2:
        raise ValueError(f"point {number} is {text.strip()[:40]!r}, expected two numbers with a comma between them")
    return pair


def _run(number: int, text: str) -> int:
    if not text.strip().lstrip("-").isdecimal() or len(text) > DIGITS:
        raise ValueError(f"run {number} of its rle is {text.strip()[:20]!r}, expected a whole number")
    return int(text)


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
        listing.leave(Part.LABELS, name, "it belongs to a video; export the task as 'CVAT for images 1.1'")
    if made:
        listing.warnings.append(f"{made} shapes were made by a model (source=auto) but still count as labels")
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image has', 'images have')} no shape; CVAT does not record whether anyone looked, so "
            "their location counts as unknown"
        )
