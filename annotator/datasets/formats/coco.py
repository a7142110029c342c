"""The `coco` layout: one JSON file with images, annotations and categories.

An image's class is the category of its annotations; images whose annotations disagree are refused, since an image has
one class here. COCO cannot say that somebody looked and found nothing: such an image simply has no annotation. So
each image carries a `partly` object with its class, `location` (present, empty or unknown), group, split and where the
label comes from, which other readers ignore. Masks are read and written by pycocotools.

Source: the COCO data format, https://cocodataset.org/#format-data.
"""

import functools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np

from annotator.datasets.export_set import NO_CLASS, ExportImage, ExportSet, facts_of, masks_by_box, number, write_json
from annotator.datasets.listing.canvas import check_pixels
from annotator.datasets.listing.coco.document import Categories, CocoImages, id_of, known_id, parse_coco
from annotator.datasets.listing.coco.segmentation import draw_annotations
from annotator.datasets.listing.drawing import check_size, read_number, used_outlines
from annotator.datasets.listing.entries import (
    BadEntry,
    Counts,
    Drawing,
    Entry,
    Listing,
    Part,
    refuse_shared_files,
)
from annotator.datasets.listing.folder import images_beside, only_file
from annotator.datasets.listing.image_class import image_class
from annotator.datasets.listing.options import PLAIN, ReadOptions
from annotator.datasets.listing.splits import note_split
from annotator.errors import DataUnreadable
from db.imaging.geometry import upright_around
from db.plain_text import counted
from db.records import Box, LocationStatus, Split

FILE_NAME = "annotations.json"


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a COCO JSON file.

    Args:
        path: the file, or a folder that holds annotations.json or a single JSON file.
        options: what file names are relative to (by default the file's folder, or `images` in it where that is), and
            what categories mean.

    Raises:
        DataUnreadable: no such file, or it is not COCO.
    """
    file = _listing_file(path)
    document = parse_coco(file)
    categories = Categories(document["categories"])
    listing = Listing()
    for part, kind in (("images", Part.IMAGES), ("annotations", Part.LABELS)):
        odd = [n for n, item in enumerate(document[part]) if not isinstance(item, dict)]
        document[part] = [item for item in document[part] if isinstance(item, dict)]
        listing.found(Counts(**{kind.value: len(odd)}))
        for place in odd:
            listing.leave(kind, f"{part} {place + 1}", "it is not an object")
    images = CocoImages(file, document["images"], options.images)
    claimed = Counter(number for item in document["images"] if (number := id_of(item.get("id"))) is not None)
    annotations: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in document["annotations"]:
        annotations[known_id(annotation.get("image_id"), claimed)].append(annotation)
    splits = sum(_split(item, images) is not None for item in document["images"])
    listing.found(Counts(len(document["images"]), len(document["annotations"]), 0, splits))
    if any("partly" not in item for item in document["images"]):
        note_split(PurePosixPath(str(file)), images.split, listing, by="its name")
    silent = 0
    listed: set[Any] = set()
    for item in document["images"]:
        number = id_of(item.get("id"))
        # Of several images with one id, the first takes the annotations into its refusal.
        own = annotations.get(number, []) if number not in listed and number is not None else []
        listed.add(number)
        entry = _read_image(item, own, claimed[number], categories, images, options, listing)
        silent += entry is not None and not entry.has_location and "partly" not in item
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image has', 'images have')} no annotation; COCO does not record whether anyone "
            "looked, so their location counts as unknown"
        )
    refuse_shared_files(listing)
    for image_id, orphans in annotations.items():
        if image_id not in claimed:
            reason = "it does not say which image it belongs to"
            if image_id is not None:
                reason = "it belongs to an image that is not listed"
            for annotation in orphans:
                listing.leave(Part.LABELS, f"annotation {annotation.get('id')} of image {image_id}", reason)
            listing.found(Counts(masks=_outlines(orphans)))
            listing.leave(Part.MASKS, f"image {image_id}", reason, _outlines(orphans))
    unlisted = images_beside(images.folder, images.files())
    listing.found(Counts(images=len(unlisted)))
    for name in unlisted:
        listing.leave(Part.IMAGES, name, f"not listed in {PurePosixPath(str(file)).name}")
    return listing


def _read_image(
    item: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    same_id: int,
    categories: Categories,
    images: CocoImages,
    options: ReadOptions,
    listing: Listing,
) -> Entry | None:
    """Read one image into the listing; returns its entry, None if it is refused."""
    name = str(item.get("file_name") or "")
    said = int(_split(item, images) is not None)
    counts = Counts(1, len(annotations), _outlines(annotations, item), said)
    listing.found(Counts(masks=counts.masks))
    try:
        if same_id > 1:
            raise BadEntry(
                f"{same_id} images have the id {item.get('id')!r}; it is unclear which one the annotations belong to"
            )
        kept = _without_twins(annotations, name, listing)
        entry = _entry(item, kept, categories, images, options, listing)
    except Exception as exc:
        # Whatever one item holds, the others are read.
        listing.refuse(name or f"image {item.get('id')}", exc, counts)
        return None
    outlined = _outlines(kept, item)
    used = outlined if _facts(item) else used_outlines(outlined, len(kept), name, listing)
    twins = len(annotations) - len(kept)
    listing.leave(Part.MASKS, name, "it repeats an earlier outline", counts.masks - outlined)
    entry = replace(entry, labels=counts.labels - twins, masks=used)
    listing.entries.append(entry)
    return entry


def _outlines(annotations: Sequence[Mapping[str, Any]], item: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Count the outlines of an image; beside one that is no rectangle, rectangles are outlines too."""
    real = sum(map(_is_outlined, annotations))
    return real if not real or _facts(item) else sum(bool(_segmentation(annotation)) for annotation in annotations)


def _is_outlined(annotation: Mapping[str, Any]) -> bool:
    """Say whether an annotation has a segmentation that says more than its box."""
    try:
        return bool(_shape(annotation)[1])
    except (BadEntry, TypeError):
        return bool(annotation.get("segmentation"))


def _facts(item: Mapping[str, Any]) -> Mapping[str, Any]:
    said = item.get("partly")
    return said if isinstance(said, dict) else {}


def _without_twins(annotations: Sequence[Mapping[str, Any]], name: str, listing: Listing) -> list[Mapping[str, Any]]:
    """Drop annotations that repeat an earlier one of the image, and say so; of two, one has its outline too."""
    kept: dict[str, Mapping[str, Any]] = {}
    boxed: dict[str, str] = {}
    for annotation in annotations:
        box, outline = _said(annotation)
        of_box = json.dumps([str(annotation.get("category_id")), box])
        key = f"{of_box} {json.dumps(outline, sort_keys=True)}"
        if box is not None and outline is None and of_box in boxed:
            key = boxed[of_box]
        elif box is not None and outline is not None and boxed.get(of_box) == f"{of_box} null":
            del kept[boxed.pop(of_box)]
        kept.setdefault(key, annotation)
        boxed.setdefault(of_box, key)
    if len(kept) < len(annotations):
        repeated = len(annotations) - len(kept)
        listing.leave(Part.LABELS, name, "an annotation repeats an earlier one; each counts once", repeated)
    return list(kept.values())


def _said(annotation: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return box and outline of an annotation in one spelling: 8 and 8.0 are one number, [] is no outline."""
    try:
        box, outline = _shape(annotation)
    except (BadEntry, TypeError):
        return _numbers(annotation.get("bbox")), _numbers(annotation.get("segmentation"))
    return None if box is None else [box.x, box.y, box.width, box.height], _numbers(outline or None)


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value


def _listing_file(path: str | Path) -> str | Path:
    if str(path).endswith(".json") or not Path(path).is_dir():
        return path
    if (Path(path) / FILE_NAME).is_file():
        return Path(path) / FILE_NAME
    places = ("*.json", "annotations/*.json")
    found = [file for place in places for file in sorted(Path(path).glob(place))]
    ours = [file for file in found if _is_coco(file)] if len(found) > 1 else []
    return ours[0] if len(ours) == 1 else only_file(path, *places, what="COCO JSON file")


def _is_coco(file: Path) -> bool:
    try:
        parse_coco(file)
    except DataUnreadable:
        return False
    return True


def _entry(
    item: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    categories: Categories,
    images: CocoImages,
    options: ReadOptions,
    listing: Listing,
) -> Entry:
    name = str(item.get("file_name") or "")
    file = images.of(item)
    facts = _facts(item)
    classes = categories.of(annotations) - {NO_CLASS}
    class_name = image_class(classes, name=name, options=options, said=_text(facts, "class"), what="annotations")
    shapes = [_shape(annotation) for annotation in annotations]
    if not facts:
        for box, _ in shapes:
            if box is not None:
                check_pixels(box, by="COCO")
        if any(outline for _, outline in shapes):
            whole = zip(shapes, map(_segmentation, annotations), strict=True)
            shapes = [(box, outline or said) for (box, outline), said in whole]
    size = [read_number(item.get(side)) for side in ("width", "height")]

    def draw(width: int, height: int) -> Drawing:
        # 0 x 0 is how some programs say that they do not know.
        check_size(size, width, height, by="the COCO file")
        # In a set that partly wrote, a box without an outline has nothing of the mask in it.
        note = functools.partial(listing.note, name)
        return draw_annotations(shapes, width, height, some_do=bool(facts), note=note)

    return Entry(
        name=name,
        path=file,
        class_name=class_name,
        group=_text(facts, "group"),
        split=_split(item, images),
        is_empty=not annotations and facts.get("location") == LocationStatus.EMPTY,
        draw=draw if annotations else None,
    )


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    return str(facts[key]) if facts.get(key) else None


def _split(item: Mapping[str, Any], images: CocoImages) -> Split | None:
    """Return the split that an image itself says, or in a set of another program the one that the file is for."""
    value = _text(_facts(item), "split")
    return images.split if "partly" not in item else Split(value) if value in set(Split) else None


def _segmentation(annotation: Mapping[str, Any]) -> Any:
    """Return an annotation's segmentation, None where it says nothing, as [[]] does."""
    said = annotation.get("segmentation")
    if not isinstance(said, list):
        return said
    if said and all(isinstance(value, int | float) for value in said):
        # One polygon that is not in a list of polygons.
        return [said]
    return [part for part in said if part != []] or None


def _shape(annotation: Mapping[str, Any]) -> tuple[Box | None, Any]:
    values, segmentation = annotation.get("bbox"), _segmentation(annotation)
    if not values and segmentation:
        return None, segmentation
    try:
        x, y, width, height = (float(value) for value in values or ())
    except (TypeError, ValueError, OverflowError):
        raise BadEntry(f"annotation {annotation.get('id')}: bbox is {values!r}, expected four numbers") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise BadEntry(f"annotation {annotation.get('id')}: bbox has a value that is not finite")
    if not any((x, y, width, height)) and segmentation:
        # Some programs write zeros where they have not worked the box out.
        return None, segmentation
    if segmentation and not _is_the_box(segmentation, x, y, width, height):
        return Box(x, y, width, height), segmentation
    return upright_around(Box(x, y, width, height), _rotation(annotation)), None


def _rotation(annotation: Mapping[str, Any]) -> float:
    """Return by how many degrees a box is turned clockwise, as CVAT says it; the bbox is that before the turn."""
    attributes = annotation.get("attributes")
    degrees = read_number(attributes.get("rotation")) if isinstance(attributes, dict) else None
    return degrees if degrees is not None and math.isfinite(degrees) else 0.0


def _is_the_box(segmentation: Any, x: float, y: float, width: float, height: float) -> bool:
    if not isinstance(segmentation, list) or len(segmentation) != 1 or not isinstance(segmentation[0], list):
        return False
    corners = {(x, y), (x + width, y), (x + width, y + height), (x, y + height)}
    values = segmentation[0]
    return len(values) in (8, 10) and set(zip(values[::2], values[1::2], strict=False)) == corners


def write(export: ExportSet, folder: Path) -> list[Path]:
    """Write annotations.json; images belong into `images` beside it.

    Returns:
        The files written.
    """
    categories = {name: n for n, name in enumerate(export.classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(export.images, start=1):
        images.append(
            {
                "id": image_id,
                "file_name": image.name,
                "width": image.width,
                "height": image.height,
                "partly": facts_of(image),
            }
        )
        for shape in _shapes_of(image):
            category = categories[image.class_name] if image.class_name is not None else 0
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": category, "iscrowd": 0, **shape}
            )
    listed = [{"id": n, "name": name, "supercategory": ""} for name, n in categories.items()]
    if any(annotation["category_id"] == 0 for annotation in annotations):
        listed.insert(0, {"id": 0, "name": NO_CLASS, "supercategory": ""})
    write_json(folder / FILE_NAME, {"images": images, "annotations": annotations, "categories": listed})
    return [folder / FILE_NAME]


def _shapes_of(image: ExportImage) -> list[dict[str, Any]]:
    from pycocotools import mask as codec

    mask_HW = image.mask()
    parts = masks_by_box(mask_HW, image.boxes) if mask_HW is not None else [None] * len(image.boxes)
    shapes = []
    for box, part_HW in zip(image.boxes, parts, strict=True):
        x, y, width, height = (number(value) for value in (box.x, box.y, box.width, box.height))
        segmentation: Any = [[x, y, x + width, y, x + width, y + height, x, y + height]]
        area = number(box.area)
        if part_HW is not None and part_HW.any():
            encoded = codec.encode(np.asfortranarray(part_HW, dtype=np.uint8))
            segmentation = {"size": [image.height, image.width], "counts": encoded["counts"].decode()}
            area = int(part_HW.sum())
        shapes.append({"bbox": [x, y, width, height], "area": area, "segmentation": segmentation})
    return shapes
