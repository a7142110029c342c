"""Readers and writers by the name of their format; to add one, name it in `names` and here."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from annotator.datasets import export_csv, export_voc
from annotator.datasets.export_set import ExportSet
from annotator.datasets.formats import busi, coco, csv_table, cvat, folders, label_studio, labelme, via, voc, yolo
from annotator.datasets.formats.names import BoxesAs, InputFormat, OutputFormat
from annotator.datasets.listing.entries import Listing
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.options import FROM_FOLDER, ReadOptions
from db.errors import InvalidArgument

READERS: MappingProxyType[str, Callable[[str | Path, ReadOptions], Listing]] = MappingProxyType(
    {
        InputFormat.BUSI: busi.read,
        InputFormat.COCO: coco.read,
        InputFormat.CSV: csv_table.read,
        InputFormat.CVAT: cvat.read,
        InputFormat.FOLDERS: folders.read,
        InputFormat.LABELME: labelme.read,
        InputFormat.LABEL_STUDIO: label_studio.read,
        InputFormat.VIA: via.read,
        InputFormat.VOC: voc.read,
        InputFormat.YOLO: yolo.read,
    }
)
WRITERS: MappingProxyType[str, Callable[[ExportSet, Path], list[Path]]] = MappingProxyType(
    {
        OutputFormat.COCO: coco.write,
        OutputFormat.CSV: export_csv.write,
        OutputFormat.VOC: export_voc.write,
        OutputFormat.YOLO: yolo.write,
    }
)
HAVE_COLUMNS = (InputFormat.CSV, InputFormat.LABEL_STUDIO, InputFormat.VIA)
WITHOUT_NAMES = (InputFormat.BUSI, InputFormat.FOLDERS)


def read_layout(
    layout: str,
    path: str | Path,
    *,
    images: str | Path | None = None,
    first_pixel: int | None = None,
    boxes_as: BoxesAs = BoxesAs.CLASS,
    class_from: str | None = None,
) -> Listing:
    """List a data set.

    Args:
        layout: the name of a reader.
        path: the data set; where the layout allows it, an fsspec URI.
        images: folder or URI that the names of images are relative to, where that is not the data file's own folder.
        first_pixel: number of an image's first pixel, 0 or 1, in layouts where programs differ; None to find out.
        boxes_as: what the names beside boxes mean.
        class_from: where an image's class comes from: `folder`, or in layouts that have them the name of a column or
            attribute; None for the format's own place.

    Raises:
        InvalidArgument: there is no such layout, or it leaves no doubt about what an option says.
        DataUnreadable: the listing cannot be read at all.
    """
    if layout not in READERS:
        raise InvalidArgument(f"unknown layout {layout!r}; expected one of: {', '.join(READERS)}")
    if first_pixel is not None and layout != InputFormat.VOC:
        raise InvalidArgument(
            f"--origin applies only to the voc layout; {layout} leaves no doubt about where pixels begin"
        )
    if class_from not in (None, FROM_FOLDER) and layout not in HAVE_COLUMNS:
        raise InvalidArgument(
            f"--class-from can only be {FROM_FOLDER!r} for the {layout} layout; only {', '.join(HAVE_COLUMNS)} have "
            "columns or attributes"
        )
    if boxes_as is BoxesAs.LESION and layout in WITHOUT_NAMES:
        raise InvalidArgument(f"--boxes-as applies only to layouts whose boxes have names; {layout} has none")
    folder = Folder(images) if images is not None else None
    with _without_collector():
        return READERS[layout](path, ReadOptions(folder, first_pixel, boxes_as, class_from))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the cycle collector from walking, again and again, over a million records that all stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
