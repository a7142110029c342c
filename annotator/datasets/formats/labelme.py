"""The `labelme` layout: a JSON file beside each image, as labelme and X-AnyLabeling write it.

Rectangles are boxes; polygons, circles and masks are outlines too. A flag that is set is the image's class, and
without one the label of the shapes is. A file without a shape and without a flag says that there is nothing to find,
no file that nobody has said anything.

Source: https://github.com/wkentaro/labelme, labelme/_label_file.py.
"""

import base64
import binascii
import functools
import json
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.datasets.formats.folders import OUTSIDE
from annotator.datasets.listing.companions import Companions
from annotator.datasets.listing.drawing import (
    REPEATED,
    REPEATED_OUTLINE,
    check_size,
    drawing_of,
    place_of,
    read_number,
    used_outlines,
    without_twins,
)
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part, unexpected
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.image_class import class_beside
from annotator.datasets.listing.options import PLAIN, ReadOptions, own_folder
from annotator.datasets.listing.splits import splits_by_folder
from annotator.errors import DataUnreadable
from annotator.shapes.drawn import Ellipse, Painted, Polygon, Rectangle, Shape
from annotator.shapes.limits import read_points
from db.errors import ImageUnreadable
from db.imaging.decode import SUFFIXES, grey_from_png
from db.imaging.files import ImageFile
from db.plain_text import counted
from db.records import Box

OUTLINES = frozenset({"polygon", "circle", "mask"})
DRAWN = OUTLINES | {"rectangle"}

Labels = Mapping[str, Any]
"""A label file, without the image that labelme may have stored in it."""


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a folder with a labelme file beside them.

    Args:
        path: the folder.
        options: what labels mean; another folder of images is refused, since images are found by their place.

    Raises:
        DataUnreadable: the folder is missing or holds no image.
    """
    root = Path(path)
    folder = own_folder(root, options, layout="labelme", holding="images and JSON files")
    names = folder.names()
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    previews = [name for name in pictures if PurePosixPath(name).parent.name.endswith("_json")]
    wanted = [name for name in pictures if name not in previews]
    parsed = {name: _parsed(folder, name) for name in names if PurePosixPath(name).suffix.lower() == ".json"}
    labels = Companions(wanted, [name for name, found in parsed.items() if not _is_of_others(found)])
    listing, splits = Listing(), splits_by_folder(wanted)
    outlines = sum(_outlines(parsed[name]) for name in labels.names)
    listing.found(Counts(len(wanted), len(labels.names), outlines, len(splits)))
    listing.found(Counts(images=len(previews)))
    for name in previews:
        listing.leave(Part.IMAGES, name, "labelme exported it from a label file; ignored")
    said = {name: _image_path(parsed[name]) for name in labels.names}
    listing.warnings += labels.assign_by_content(said)
    classified = any(_flags(found) for found in parsed.values())
    vocabulary = {flag for found in parsed.values() for flag in _flags(found, among_all=True)} if classified else set()
    silent = 0
    for name in wanted:
        try:
            own = labels.of(name)
            if (file := folder.file(name)) is None:
                raise BadEntry(OUTSIDE)
            if own is not None and (remark := labels.check(name, own, said[own])):
                listing.warnings.append(remark)
            drawn = _drawn(parsed[own], own) if own is not None else []
            kept = without_twins(drawn, _place)
            entry = _entry(name, file, parsed[own] if own is not None else None, kept, vocabulary, options, listing)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            taken = labels.claimed_for(name)
            counts = Counts(1, len(taken), sum(_outlines(parsed[label]) for label in taken), int(name in splits))
            listing.refuse(name, exc, counts)
            continue
        silent += own is not None and not entry.has_location
        shapes = _shapes_in(parsed[own]) if own is not None else []
        for kind in sorted({_kind(shape) for shape in shapes} - DRAWN):
            listing.note(name, f"a shape of type {kind} is neither a box nor an area; it was not used")
        outlined, left = (sum(shape.kind in OUTLINES for shape in some) for some in (drawn, kept))
        if len(kept) < len(drawn):
            listing.note(name, REPEATED)
            listing.leave(Part.MASKS, name, REPEATED_OUTLINE, outlined - left)
        masks = used_outlines(left, len(kept), name, listing)
        listing.entries.append(replace(entry, labels=int(own is not None), masks=masks, split=splits.get(name)))
    _remarks(listing, labels, parsed, silent)
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{root}: no images found; expected NAME.jpg with NAME.json beside it")
    return listing


def _parsed(folder: Folder, name: str) -> Labels | BadEntry:
    file = PurePosixPath(name).name
    try:
        document = json.loads(folder.read(name))
    except (ValueError, RecursionError, ImageUnreadable) as exc:
        reason = exc.reason if isinstance(exc, ImageUnreadable) else exc
        return BadEntry(f"its label file {file} cannot be read ({reason})")
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        return BadEntry(f"its label file {file} is not a labelme file: it has no list of shapes")
    document.pop("imageData", None)
    return document


def _is_of_others(found: Labels | BadEntry) -> bool:
    """Say whether a JSON file is somebody else's, such as a COCO file among the images."""
    return isinstance(found, BadEntry) and "is not a labelme file" in str(found)


def _image_path(found: Labels | BadEntry) -> str:
    return "" if isinstance(found, BadEntry) else str(found.get("imagePath") or "")


def _flags(found: Labels | BadEntry, *, among_all: bool = False) -> list[str]:
    """Return the flags that are set for the image, or all that it might have."""
    flags = {} if isinstance(found, BadEntry) else found.get("flags")
    return [str(name) for name, value in flags.items() if value is True or among_all] if isinstance(flags, dict) else []


def _shapes_in(found: Labels | BadEntry) -> list[Labels]:
    return [] if isinstance(found, BadEntry) else [shape for shape in found["shapes"] if isinstance(shape, dict)]


def _kind(shape: Labels) -> str:
    return str(shape.get("shape_type") or "polygon")


def _outlines(found: Labels | BadEntry) -> int:
    return sum(_kind(shape) in OUTLINES for shape in _shapes_in(found))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A shape that is a box or an outline."""

    labels: Labels
    number: int
    """Its place in the file, from 1."""
    file: str

    @property
    def kind(self) -> str:
        """What it is: rectangle, polygon, circle or mask."""
        return _kind(self.labels)


def _drawn(found: Labels | BadEntry, file: str) -> list[Drawn]:
    if isinstance(found, BadEntry):
        raise found
    shapes = found["shapes"]
    for number, shape in enumerate(shapes, start=1):
        if not isinstance(shape, dict):
            raise BadEntry(f"shape {number} of its label file {PurePosixPath(file).name} is not a shape; delete it")
    drawn = [Drawn(shape, number, PurePosixPath(file).name) for number, shape in enumerate(shapes, start=1)]
    return [shape for shape in drawn if shape.kind in DRAWN]


def _entry(
    name: str,
    file: ImageFile,
    found: Labels | BadEntry | None,
    kept: list[Drawn],
    vocabulary: set[str],
    options: ReadOptions,
    listing: Listing,
) -> Entry:
    if isinstance(found, BadEntry) or found is None:
        return Entry(name=name, path=file)
    flags = set(_flags(found))
    size = [read_number(found.get(side)) for side in ("imageWidth", "imageHeight")]
    # Of two shapes in one place, both labels count: they may contradict each other.
    drawn = [shape for shape in found["shapes"] if _kind(shape) in DRAWN]
    named = [str(shape["label"]) if shape.get("label") else None for shape in drawn]

    def draw(width: int, height: int) -> Drawing:
        check_size(size, width, height, by="its label file")
        return drawing_of(map(_shape, kept), width, height, note=functools.partial(listing.note, name))

    return Entry(
        name=name,
        path=file,
        class_name=class_beside(flags, named, name=name, options=options, vocabulary=vocabulary, note=listing.note),
        is_empty=not found["shapes"] and not flags,
        draw=draw if kept else None,
    )


def _place(drawn: Drawn) -> Hashable:
    if drawn.kind != "mask":
        return place_of(_shape(drawn))
    try:
        points = read_points(drawn.labels.get("points"))
    except ValueError as exc:
        raise _unreadable(drawn, exc) from None
    # Text says as well whether two are the same, and is not to be unpacked twice.
    return "mask", tuple(points), str(drawn.labels.get("mask"))


def _shape(drawn: Drawn) -> Shape:
    try:
        return _shape_of(drawn.kind, drawn.labels)
    except ValueError as exc:
        raise _unreadable(drawn, exc) from None
    except Exception as exc:
        # Decoders raise what they like.
        raise _unreadable(drawn, unexpected(exc)) from None


def _unreadable(drawn: Drawn, reason: object) -> BadEntry:
    return BadEntry(
        f"shape {drawn.number} of {drawn.file} ({drawn.kind}) cannot be read: {reason}; correct or delete it in labelme"
    )


def _shape_of(kind: str, labels: Labels) -> Shape:
    """Read a shape.

    Raises:
        ValueError: it has not the points that it needs.
    """
    points = read_points(labels.get("points"))
    if kind == "polygon":
        return Polygon(points)
    wanted = 2 if kind in ("circle", "mask") else None
    if len(points) != wanted if wanted else len(points) < 2:
        raise ValueError(f"it has {counted(len(points), 'point')}, expected {wanted or 'at least 2'}")
    if kind == "circle":
        (x, y), (edge_x, edge_y) = points
        radius = math.hypot(edge_x - x, edge_y - y)
        return Ellipse(x, y, radius, radius)
    if kind == "mask":
        left, top = points[0]
        return Painted(_mask(str(labels.get("mask") or "")), round(left), round(top))
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Rectangle(Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)))


def _mask(encoded: str) -> Any:
    """Decode a mask of a part of the image, a PNG in base64."""
    try:
        return grey_from_png(base64.b64decode(encoded, validate=True)) > 0
    except (binascii.Error, ImageUnreadable) as exc:
        reason = exc.reason if isinstance(exc, ImageUnreadable) else exc
        raise ValueError(f"its mask is not a PNG in base64: {reason}") from exc


def _remarks(listing: Listing, labels: Companions, parsed: Mapping[str, Labels | BadEntry], silent: int) -> None:
    for name in labels.unused():
        listing.leave(Part.LABELS, name, "no image belongs to it; it was not used")
        listing.leave(Part.MASKS, name, "no image belongs to these outlines", _outlines(parsed[name]))
    others = [name for name in parsed if name not in labels.names]
    if others:
        listing.warnings.append(f"{', '.join(others[:3])}: not labelme files, ignored ({counted(len(others), 'file')})")
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image has', 'images have')} a class and no shape; whether anyone looked for one is "
            "not recorded, so their location counts as unknown"
        )
