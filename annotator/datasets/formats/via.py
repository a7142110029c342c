"""The `via` layout: annotations of the VGG Image Annotator 1 and 2, a JSON file, a project, or a CSV file.

Rectangles are boxes; polygons, circles and ellipses are outlines too. A region's class is its only attribute (of
several, --class-from names one). VIA lists every image that was opened, so the location of one without a region counts
as unknown.

Source: https://www.robots.ox.ac.uk/~vgg/software/via/.
"""

import csv
import functools
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.datasets.listing.drawing import (
    REPEATED,
    REPEATED_OUTLINE,
    drawing_of,
    place_of,
    shape_or_refusal,
    used_outlines,
    without_twins,
)
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder, only_file, parent_of, read_data_file, read_json
from annotator.datasets.listing.image_class import class_beside
from annotator.datasets.listing.named_images import NamedImages
from annotator.datasets.listing.options import FROM_FOLDER, PLAIN, ReadOptions
from annotator.datasets.listing.splits import note_split, split_beside_others
from annotator.errors import DataUnreadable
from annotator.shapes.drawn import Ellipse, Polygon, Rectangle, Shape
from annotator.shapes.limits import number_in_range, read_numbers, read_points
from db.imaging.files import ImageFile
from db.plain_text import counted
from db.records import Box

METADATA = "_via_img_metadata"
CSV_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
OUTLINES = frozenset({"polygon", "circle", "ellipse"})
DRAWN = OUTLINES | {"rect"}
NO_CLASS = frozenset({"caption", "public_domain", "image_url", "image_quality"})
"""Attributes of the project that VIA begins with, which are no classes."""

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Region:
    """Something drawn on an image."""

    shape: Attributes
    attributes: Attributes
    number: int = 0
    """Its place among those of the image, from 1."""

    @property
    def kind(self) -> str:
        """What it is: rect, polygon, circle, ellipse, or another."""
        return str(self.shape.get("name"))


@dataclass(frozen=True, slots=True)
class Listed:
    """An image with what VIA says of it."""

    name: str
    regions: tuple[Region, ...]
    attributes: Attributes


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a VIA file.

    Args:
        path: the file, or a folder that holds a single JSON or CSV file.
        options: where the images are (by default the file's folder or below), and which attribute is the class.

    Raises:
        DataUnreadable: no such file, or it is not VIA's.
    """
    place = only_file(path, "*.json", "*.csv", what="JSON or CSV file of VIA") if Path(path).is_dir() else path
    images = _images(place)
    listing = Listing()
    found = NamedImages(options.images or Folder(parent_of(place)), [[image.name] for image in images])
    of_region = _attribute((region.attributes for image in images for region in image.regions), options, listing)
    of_image = _attribute((image.attributes for image in images), options, listing)
    if options.class_from not in (None, FROM_FOLDER) and of_region is None and of_image is None:
        raise DataUnreadable(f"{place}: no image and no region has the attribute {options.class_from!r}")
    vocabulary = {name for image in images for name in _values(image.attributes, of_image)}
    file_of_all = PurePosixPath(str(place))
    split = split_beside_others(file_of_all)
    note_split(file_of_all, split, listing)
    silent = 0
    for at, image in enumerate(images):
        outlined = sum(region.kind in OUTLINES for region in image.regions)
        counts = Counts(found.images_at(at), len(image.regions), outlined, int(split is not None))
        listing.found(counts)
        try:
            file, drawn = found.of(at), _drawn(image)
            kept = without_twins(drawn, lambda region: place_of(_shape(region)))
            entry = _entry(image, file, (of_image, of_region), kept, vocabulary, options, listing)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(image.name, exc, counts)
            continue
        twins, left = len(drawn) - len(kept), sum(region.kind in OUTLINES for region in kept)
        listing.leave(Part.LABELS, image.name, REPEATED, twins)
        listing.leave(Part.MASKS, image.name, REPEATED_OUTLINE, outlined - left)
        for region in image.regions:
            if region.kind not in DRAWN:
                listing.leave(Part.LABELS, image.name, f"a {region.kind} is neither a box nor an area; it was not used")
        silent += not drawn
        masks = used_outlines(left, len(kept), image.name, listing)
        listing.entries.append(replace(entry, labels=len(kept), masks=masks, split=split))
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image has', 'images have')} no region; VIA does not record whether anyone looked, so "
            "their location counts as unknown"
        )
    found.leave_unlisted(listing, file_of_all.name)
    return listing


def _images(place: str | Path) -> list[Listed]:
    if str(place).lower().endswith(".csv"):
        return _from_csv(place, read_data_file(place))
    document = read_json(place)
    if isinstance(document, dict) and {"project", "metadata", "file"} <= set(document):
        raise DataUnreadable(f"{place}: is a VIA 3 project; export its annotations as COCO, and import those")
    listed = document.get(METADATA, document) if isinstance(document, dict) else None
    if not looks_like_via(document) or not isinstance(listed, dict):
        raise DataUnreadable(f"{place}: expected a VIA file, images with `filename` and `regions`")
    return [_listed(key, item) for key, item in listed.items()]


def looks_like_via(document: Any) -> bool:
    """Say whether a JSON document is VIA's."""
    listed = document.get(METADATA, document) if isinstance(document, dict) else None
    return (
        isinstance(listed, dict)
        and bool(listed)
        and any(isinstance(item, dict) and "filename" in item and "regions" in item for item in listed.values())
    )


def _listed(key: str, item: Any) -> Listed:
    if not isinstance(item, dict) or not isinstance(item.get("regions"), list | dict):
        # What cannot be read is nothing known; the image is refused, the others are read.
        return Listed(str(key), (Region({"name": "its list of regions cannot be read", "bad": True}, {}),), {})
    regions = item["regions"]
    # VIA 1 numbers regions, VIA 2 lists them.
    each = regions.values() if isinstance(regions, dict) else regions if isinstance(regions, list) else []
    return Listed(
        str(item.get("filename") or key),
        tuple(
            Region(_mapping(region.get("shape_attributes")), _mapping(region.get("region_attributes")))
            if isinstance(region, dict) and _mapping(region.get("shape_attributes"))
            else Region({"name": f"region {number} cannot be read: it has no shape_attributes", "bad": True}, {})
            for number, region in enumerate(each, start=1)
        ),
        _mapping(item.get("file_attributes")),
    )


def _mapping(value: Any) -> Attributes:
    return value if isinstance(value, dict) else {}


def _from_csv(place: str | Path, data: bytes) -> list[Listed]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), restval="")
        reader.fieldnames = [title.strip().lstrip("#") for title in reader.fieldnames or ()]
        if not set(CSV_COLUMNS) <= set(reader.fieldnames):
            raise DataUnreadable(f"{place}: expected the columns of VIA: {', '.join(CSV_COLUMNS)}")
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise DataUnreadable(f"{place}: cannot be read as a UTF-8 CSV file ({exc})") from exc
    images: dict[str, Listed] = {}
    for number, row in enumerate(rows, start=2):
        try:
            shape, region, file = (
                _mapping(json.loads(row.get(title) or "{}"))
                for title in ("region_shape_attributes", "region_attributes", "file_attributes")
            )
        except (ValueError, RecursionError):
            # What cannot be read is nothing known; the image is refused, the others are read.
            shape, region, file = (
                {"name": f"line {number} cannot be read: it contains invalid JSON", "bad": True},
                {},
                {},
            )
        known = images.get(row["filename"], Listed(row["filename"], (), file))
        more = (Region(shape, region),) if shape else ()
        images[row["filename"]] = replace(known, regions=(*known.regions, *more))
    return list(images.values())


def _attribute(found: Iterable[Attributes], options: ReadOptions, listing: Listing) -> str | None:
    """Return the attribute that holds classes: the one that was named, or the only one in use."""
    used = Counter(name for attributes in found for name in attributes if _values(attributes, name))
    if options.class_from not in (None, FROM_FOLDER):
        return options.class_from if options.class_from in used else None
    names = sorted(set(used) - NO_CLASS)
    if len(names) > 1:
        listing.warnings.append(
            f"the attributes {', '.join(names)} are in use, but none of them is taken as the class; name one: "
            "--class-from NAME"
        )
    return names[0] if len(names) == 1 else None


def _values(attributes: Attributes, name: str | None) -> list[str]:
    """Return what an attribute says: its text, or the boxes that are ticked."""
    value = attributes.get(name) if name is not None else None
    if isinstance(value, dict):
        return [str(option) for option, ticked in value.items() if ticked]
    return [str(value).strip()] if value is not None and str(value).strip() else []


def _drawn(image: Listed) -> list[Region]:
    """Return the regions that are boxes or outlines, numbered."""
    for region in image.regions:
        if region.shape.get("bad"):
            raise BadEntry(f"{region.kind}; correct or delete it in VIA, and export again")
    numbered = [replace(region, number=number) for number, region in enumerate(image.regions, start=1)]
    return [region for region in numbered if region.kind in DRAWN]


def _entry(
    image: Listed,
    file: ImageFile,
    attributes: tuple[str | None, str | None],
    kept: Sequence[Region],
    vocabulary: set[str],
    options: ReadOptions,
    listing: Listing,
) -> Entry:
    of_image, of_region = attributes
    said = set(_values(image.attributes, of_image))
    # Of two regions in one place, both classes count: they may contradict each other.
    drawn = [region for region in image.regions if region.kind in DRAWN]
    named = [name for region in drawn for name in _values(region.attributes, of_region)]

    def draw(width: int, height: int) -> Drawing:
        return drawing_of(map(_shape, kept), width, height, note=functools.partial(listing.note, image.name))

    return Entry(
        name=image.name,
        path=file,
        class_name=class_beside(
            said, named, name=image.name, options=options, vocabulary=vocabulary, note=listing.note
        ),
        draw=draw if kept else None,
    )


def _shape(region: Region) -> Shape:
    read = functools.partial(_shape_of, region.kind, region.shape)
    return shape_or_refusal(read, f"region {region.number} ({region.kind})", program="VIA")


def _shape_of(kind: str, shape: Attributes) -> Shape:
    """Read a region.

    Raises:
        ValueError: it has not the numbers that it needs.
    """
    if kind == "polygon":
        xs, ys = (_list_of(shape, name) for name in ("all_points_x", "all_points_y"))
        if len(xs) != len(ys):
            raise ValueError(f"it has {counted(len(xs), 'number')} in all_points_x and {len(ys)} in all_points_y")
        return Polygon(read_points(list(zip(xs, ys, strict=True))))
    if kind == "circle":
        x, y, radius = read_numbers(shape, ("cx", "cy", "r"))
        return Ellipse(x, y, radius, radius)
    if kind == "ellipse":
        degrees = math.degrees(number_in_range(shape.get("theta") or 0, "theta"))
        x, y, radius_x, radius_y = read_numbers(shape, ("cx", "cy", "rx", "ry"))
        return Ellipse(x, y, radius_x, radius_y, degrees)
    return Rectangle(Box(*read_numbers(shape, ("x", "y", "width", "height"))))


def _list_of(shape: Attributes, name: str) -> list[Any]:
    values = shape.get(name)
    if not isinstance(values, list):
        raise ValueError(f"{name} is missing" if values is None else f"{name} is not a list of numbers")
    return values
