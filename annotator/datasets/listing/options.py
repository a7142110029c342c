"""How a data set is to be read, where its files leave that open."""

from dataclasses import dataclass

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.listing.folder import Folder

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


PLAIN = ReadOptions()
"""As the data set says."""
