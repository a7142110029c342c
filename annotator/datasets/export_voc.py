"""Writes the `voc` layout, as `formats/voc.py` reads it.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html.
"""

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from annotator.datasets.export_set import (
    NO_CLASS,
    ExportImage,
    ExportSet,
    number,
    write_new,
    write_sidecar,
)
from annotator.datasets.formats.voc import ANNOTATIONS, IMAGES, MASKS
from annotator.datasets.listing.image_class import plain
from db.errors import InvalidArgument
from db.records import LocationStatus, Split

SETS = "ImageSets"


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
            file = folder / SETS / "Main" / f"{split}.txt"
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
        _add(item, "name", plain(image.class_name or NO_CLASS))
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
    write_new(file, ElementTree.tostring(root, encoding="utf-8") + b"\n")
    return file


def _add(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)


def _write_mask(image: ExportImage, folder: Path, classes: Any) -> Path:
    mask_HW = image.mask()
    # An index of a palette has 8 bits; beyond that the mask still says what is inside.
    index = list(classes).index(image.class_name) % 254 + 1 if image.class_name in classes else 255
    picture = Image.fromarray(np.asarray(mask_HW, dtype=np.uint8) * index, mode="P")
    picture.putpalette([0, 0, 0, *([255, 255, 255] * 255)])
    file = folder / MASKS / f"{image.stem}.png"
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    write_new(file, buffer.getvalue())
    return file
