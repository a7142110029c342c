"""The `coco` layout: one JSON file with images, annotations and categories.

An image's class is the category of its annotations; images whose annotations disagree are refused, since an image has
one class here. COCO cannot say that somebody looked and found nothing: such an image simply has no annotation. So
each image carries a `partly` object with its class, `location` (present, empty or unknown), group, split and where the
label comes from, which other readers ignore. Masks are read and written by pycocotools.

Source: the COCO data format, https://cocodataset.org/#format-data.
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.datasets.formats.entries import (
    BadEntry,
    Drawing,
    Entry,
    Folder,
    Listing,
    Refusal,
    parent_of,
    read_data_file,
)
from annotator.datasets.formats.export_set import ExportImage, ExportSet, facts_of, masks_by_box, number, write_json
from annotator.errors import DataUnreadable
from db.records import Box, LocationStatus, Split

FILE_NAME = "annotations.json"
IMAGES = "images"


def read(path: str | Path, images: Folder | None = None) -> Listing:
    """List the images of a COCO JSON file.

    Args:
        path: the file, or a folder that holds annotations.json or a single JSON file.
        images: what file names are relative to; by default the file's folder, or `images` in it where that is.

    Raises:
        DataUnreadable: no such file, or it is not COCO.
    """
    file = _listing_file(path)
    document = _parse(file)
    folder = images or _image_folder(parent_of(file), document)
    categories = {item["id"]: str(item["name"]) for item in document["categories"] if "id" in item and "name" in item}
    annotations: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in document["annotations"]:
        annotations[annotation.get("image_id")].append(annotation)
    listing = Listing()
    silent = 0
    for item in document["images"]:
        name = str(item.get("file_name") or "")
        own = annotations.pop(item.get("id"), [])
        try:
            entry = _entry(item, own, categories, folder)
        except BadEntry as exc:
            listing.refusals.append(Refusal(name or f"image {item.get('id')}", str(exc)))
            continue
        listing.entries.append(entry)
        silent += not entry.has_location and "partly" not in item
    if silent:
        listing.warnings.append(
            f"{silent} images have no annotation; COCO does not say whether somebody looked, so their location counts "
            "as unknown"
        )
    for image_id, orphans in annotations.items():
        listing.warnings.append(f"{len(orphans)} annotations of image {image_id}, which is not listed, are ignored")
    return listing


def _listing_file(path: str | Path) -> str | Path:
    if str(path).endswith(".json") or not Path(path).is_dir():
        return path
    if (Path(path) / FILE_NAME).is_file():
        return Path(path) / FILE_NAME
    found = sorted([*Path(path).glob("*.json"), *Path(path).glob("annotations/*.json")])
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or "none"
        raise DataUnreadable(f"{path}: expected one COCO JSON file, found {names}; name the file itself")
    return found[0]


def _parse(file: str | Path) -> dict[str, Any]:
    try:
        document = json.loads(read_data_file(file))
    except (ValueError, RecursionError) as exc:
        raise DataUnreadable(f"{file}: is not JSON ({exc})") from exc
    parts = ("images", "annotations", "categories")
    if not isinstance(document, dict) or not all(
        isinstance(document.get(part), list) and all(isinstance(item, dict) for item in document[part])
        for part in parts
    ):
        raise DataUnreadable(f"{file}: expected a COCO file, an object with the lists {', '.join(parts)}")
    return document


def _image_folder(folder: str | Path, document: Mapping[str, Any]) -> Folder:
    beside = Folder(folder)
    names = [str(item.get("file_name") or "") for item in document["images"][:20]]
    if isinstance(folder, Path):
        for candidate in (IMAGES, f"../{IMAGES}", "."):
            inner = Folder(folder / candidate)
            if any((file := inner.file(name)) is not None and file.exists() for name in names):
                return inner
    return beside


def _entry(
    item: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], categories: Mapping[Any, str], folder: Folder
) -> Entry:
    name = str(item.get("file_name") or "")
    file = folder.file(name)
    if file is None:
        raise BadEntry("its file_name points outside the data set's folder" if name else "it has no file_name")
    said = item.get("partly")
    facts: Mapping[str, Any] = said if isinstance(said, dict) else {}
    unknown = {annotation.get("category_id") for annotation in annotations} - set(categories)
    if unknown:
        raise BadEntry(f"an annotation has category_id {unknown.pop()!r}, which is not in the list of categories")
    classes = {categories[annotation["category_id"]] for annotation in annotations}
    if len(classes) > 1:
        raise BadEntry(f"its annotations name several classes ({', '.join(sorted(classes))}); an image has one class")
    shapes = [_shape(annotation) for annotation in annotations]
    size = (item.get("width"), item.get("height"))

    def draw(width: int, height: int) -> Drawing:
        if None not in size and size != (width, height):
            raise BadEntry(
                f"the COCO file says {size[0]}x{size[1]}, the upright image is {width}x{height}; its boxes may belong "
                "to another file or to the image before it was rotated"
            )
        masks = [mask for _, segmentation in shapes if (mask := _mask(segmentation, width, height)) is not None]
        whole = np.logical_or.reduce(masks) if len(masks) == len(shapes) else None
        return Drawing(tuple(box for box, _ in shapes), whole)

    return Entry(
        name=name,
        path=file,
        class_name=classes.pop() if classes else _text(facts, "class"),
        group=_text(facts, "group"),
        split=_split(_text(facts, "split")),
        is_empty=not annotations and facts.get("location") == LocationStatus.EMPTY,
        draw=draw if annotations else None,
    )


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    return str(facts[key]) if facts.get(key) else None


def _split(value: str | None) -> Split | None:
    return Split(value) if value in set(Split) else None


def _shape(annotation: Mapping[str, Any]) -> tuple[Box, Any]:
    values = annotation.get("bbox")
    try:
        x, y, width, height = (float(value) for value in values or ())
    except (TypeError, ValueError):
        raise BadEntry(f"annotation {annotation.get('id')}: bbox is {values!r}, expected four numbers") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise BadEntry(f"annotation {annotation.get('id')}: bbox has a value that is not finite")
    segmentation = annotation.get("segmentation")
    return Box(x, y, width, height), None if _is_the_box(segmentation, x, y, width, height) else segmentation


def _is_the_box(segmentation: Any, x: float, y: float, width: float, height: float) -> bool:
    if not isinstance(segmentation, list) or len(segmentation) != 1 or not isinstance(segmentation[0], list):
        return False
    corners = {(x, y), (x + width, y), (x + width, y + height), (x, y + height)}
    values = segmentation[0]
    return len(values) in (8, 10) and set(zip(values[::2], values[1::2], strict=False)) == corners


def _mask(segmentation: Any, width: int, height: int) -> NDArray[np.bool_] | None:
    from pycocotools import mask as codec

    if not segmentation:
        return None
    try:
        if isinstance(segmentation, list):
            encoded = codec.merge(codec.frPyObjects(segmentation, height, width))
        elif isinstance(segmentation.get("counts"), list):
            encoded = codec.frPyObjects(segmentation, height, width)
        else:
            encoded = {"size": segmentation["size"], "counts": str(segmentation["counts"]).encode()}
        if list(encoded["size"]) != [height, width]:
            raise BadEntry(f"a mask is {encoded['size'][1]}x{encoded['size'][0]}, the image {width}x{height}")
        decoded: NDArray[np.bool_] = codec.decode(encoded).astype(bool)
    except BadEntry:
        raise
    except Exception as exc:
        # The C library raises bare exceptions of many kinds for a segmentation that makes no sense.
        raise BadEntry(f"a segmentation cannot be read ({exc})") from exc
    return decoded


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
        listed.insert(0, {"id": 0, "name": "class not known", "supercategory": ""})
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
        if part_HW is not None:
            encoded = codec.encode(np.asfortranarray(part_HW, dtype=np.uint8))
            segmentation = {"size": [image.height, image.width], "counts": encoded["counts"].decode()}
            area = int(part_HW.sum())
        shapes.append({"bbox": [x, y, width, height], "area": area, "segmentation": segmentation})
    return shapes
