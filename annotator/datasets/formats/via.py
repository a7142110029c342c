"""The `via` layout: annotations of the VGG Image Annotator 1 and 2, a JSON file, a project, or a CSV file.

Rectangles are boxes; polygons, circles and ellipses are outlines too. A region's class is its only attribute (of
several, --class-from names one). VIA lists every image that was opened, so the location of one without a region counts
as unknown.

Source: https://www.robots.ox.ac.uk/~vgg/software/via/.
"""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.datasets.listing.drawing import drawing_of, used_outlines
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder, only_file, parent_of, read_data_file, read_json
from annotator.datasets.listing.image_class import class_beside
from annotator.datasets.listing.named_images import NamedImages
from annotator.datasets.listing.options import FROM_FOLDER, PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from annotator.shapes.drawn import Ellipse, Polygon, Rectangle, Shape
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
    silent = 0
    for at, image in enumerate(images):
        outlined = sum(region.kind in OUTLINES for region in image.regions)
        counts = Counts(1, len(image.regions), outlined)
        listing.found(counts)
        try:
            entry = _entry(image, found.of(at), (of_image, of_region), vocabulary, options)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(image.name, exc, counts)
            continue
        drawn = sum(region.kind in DRAWN for region in image.regions)
        for region in image.regions:
            if region.kind not in DRAWN:
                listing.leave(Part.LABELS, image.name, f"a {region.kind} is neither a box nor an area; it was not used")
        silent += not drawn
        masks = used_outlines(outlined, drawn, image.name, listing)
        listing.entries.append(replace(entry, labels=drawn, masks=masks))
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image has', 'images have')} no region; VIA does not say whether somebody "
            f"looked, so their location counts as "
            "unknown"
        )
    found.leave_unlisted(listing, PurePosixPath(str(place)).name)
    return listing


def _images(place: str | Path) -> list[Listed]:
    if str(place).lower().endswith(".csv"):
        return _from_csv(place, read_data_file(place))
    document = read_json(place)
    if isinstance(document, dict) and {"project", "metadata", "file"} <= set(document):
        raise DataUnreadable(f"{place}: is a project of VIA 3; export its annotations as COCO, and import those")
    listed = document.get(METADATA, document) if isinstance(document, dict) else None
    if not looks_like_via(document) or not isinstance(listed, dict):
        raise DataUnreadable(f"{place}: expected a file of VIA, images with `filename` and `regions`")
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
        return Listed(str(key), (Region({"name": "list of regions that cannot be read", "bad": True}, {}),), {})
    regions = item["regions"]
    # VIA 1 numbers regions, VIA 2 lists them.
    each = regions.values() if isinstance(regions, dict) else regions if isinstance(regions, list) else []
    return Listed(
        str(item.get("filename") or key),
        tuple(
            Region(_mapping(region.get("shape_attributes")), _mapping(region.get("region_attributes")))
            if isinstance(region, dict)
            else Region({"name": "region that cannot be read", "bad": True}, {})
            for region in each
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
            shape, region, file = {"name": f"region of line {number} that cannot be read", "bad": True}, {}, {}
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
            f"the attributes {', '.join(names)} are in use, and none of them is taken for the class; name one: "
            "--class-from NAME"
        )
    return names[0] if len(names) == 1 else None


def _values(attributes: Attributes, name: str | None) -> list[str]:
    """Return what an attribute says: its text, or the boxes that are ticked."""
    value = attributes.get(name) if name is not None else None
    if isinstance(value, dict):
        return [str(option) for option, ticked in value.items() if ticked]
    return [str(value).strip()] if value is not None and str(value).strip() else []


def _entry(
    image: Listed,
    file: ImageFile,
    attributes: tuple[str | None, str | None],
    vocabulary: set[str],
    options: ReadOptions,
) -> Entry:
    of_image, of_region = attributes
    for region in image.regions:
        if region.shape.get("bad"):
            raise BadEntry(f"a {region.kind}")
    drawn = [region for region in image.regions if region.kind in DRAWN]
    said = set(_values(image.attributes, of_image))
    named = [name for region in drawn for name in _values(region.attributes, of_region)]

    def draw(width: int, height: int) -> Drawing:
        return drawing_of((_shape(region.shape) for region in drawn), width, height)

    return Entry(
        name=image.name,
        path=file,
        class_name=class_beside(said, named, name=image.name, options=options, vocabulary=vocabulary),
        draw=draw if drawn else None,
    )


def _shape(shape: Attributes) -> Shape:
    kind = shape.get("name")
    try:
        if kind == "polygon":
            xs, ys = shape["all_points_x"], shape["all_points_y"]
            return Polygon([(float(x), float(y)) for x, y in zip(xs, ys, strict=True)])
        if kind == "circle":
            x, y, radius = _numbers(shape, ("cx", "cy", "r"))
            return Ellipse(x, y, radius, radius)
        if kind == "ellipse":
            degrees = math.degrees(float(shape.get("theta") or 0))
            x, y, radius_x, radius_y = _numbers(shape, ("cx", "cy", "rx", "ry"))
            return Ellipse(x, y, radius_x, radius_y, degrees)
        return Rectangle(Box(*_numbers(shape, ("x", "y", "width", "height"))))
    except (KeyError, TypeError, ValueError) as exc:
        raise BadEntry(f"a {kind} cannot be read ({exc})") from None


def _numbers(shape: Attributes, names: Sequence[str]) -> list[float]:
    values = [float(shape[name]) for name in names]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"it needs the numbers {', '.join(names)}")
    return values
