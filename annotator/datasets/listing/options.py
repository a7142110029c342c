"""How a data set is to be read, where its files leave that open."""

from dataclasses import dataclass
from pathlib import Path

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.listing.folder import Folder
from annotator.errors import DataUnreadable

FROM_FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person says beside the data set itself."""

    images: Folder | None = None
    """What the names of images are relative to, where that is not the data set's own folder."""
    origin: int | None = None
    """Number of an image's first pixel, 0 or 1; None to find out."""
    boxes_as: BoxesAs = BoxesAs.CLASS
    class_from: str | None = None
    """Where an image's class comes from: `folder`, or the name of a column or attribute; None for the format's own."""


def own_folder(root: Path, options: ReadOptions, *, layout: str, holding: str) -> Folder:
    """Return the folder of a data set whose files are found by their places, and nowhere else.

    Raises:
        DataUnreadable: it is remote, or another folder of images is named.
    """
    folder = Folder(root)
    if folder.is_remote or options.images is not None:
        raise DataUnreadable(f"the {layout} layout is read from a local folder with {holding} in it")
    return folder


PLAIN = ReadOptions()
"""As the data set says."""
