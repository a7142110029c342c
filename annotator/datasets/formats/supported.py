"""Readers and writers by the name of their format; to add one, name it in `names` and here."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from annotator.datasets.formats import busi, coco, csv_table, folders, voc, yolo
from annotator.datasets.formats.entries import Folder, Listing
from annotator.datasets.formats.export_set import ExportSet
from annotator.datasets.formats.names import InputFormat, OutputFormat
from db.errors import InvalidArgument

READERS: MappingProxyType[str, Callable[[str | Path, Folder | None], Listing]] = MappingProxyType(
    {
        InputFormat.BUSI: busi.read,
        InputFormat.COCO: coco.read,
        InputFormat.CSV: csv_table.read,
        InputFormat.FOLDERS: folders.read,
        InputFormat.VOC: voc.read,
        InputFormat.YOLO: yolo.read,
    }
)
WRITERS: MappingProxyType[str, Callable[[ExportSet, Path], list[Path]]] = MappingProxyType(
    {
        OutputFormat.COCO: coco.write,
        OutputFormat.CSV: csv_table.write,
        OutputFormat.VOC: voc.write,
        OutputFormat.YOLO: yolo.write,
    }
)


def read_layout(
    layout: str, path: str | Path, *, images: str | Path | None = None, first_pixel: int | None = None
) -> Listing:
    """List a data set.

    Args:
        layout: the name of a reader.
        path: the data set; where the layout allows it, an fsspec URI.
        images: folder or URI that the names of images are relative to, where that is not the data file's own folder.
        first_pixel: number of an image's first pixel, 0 or 1, in layouts where programs differ; None to find out.

    Raises:
        InvalidArgument: there is no such layout, or it leaves no doubt about its pixels.
        DataUnreadable: the listing cannot be read at all.
    """
    if layout not in READERS:
        raise InvalidArgument(f"unknown layout {layout!r}; expected one of: {', '.join(READERS)}")
    if first_pixel is not None:
        if layout != InputFormat.VOC:
            raise InvalidArgument(f"--origin is for the voc layout; {layout} leaves no doubt where pixels begin")
        return voc.read(path, Folder(images) if images is not None else None, origin=first_pixel)
    return READERS[layout](path, Folder(images) if images is not None else None)
