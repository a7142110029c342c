"""The `folders` layout: one folder per class, images anywhere below it. Nothing is known of locations.

Source: the layout of torchvision's ImageFolder and of most image sets that carry classes only.
"""

from pathlib import Path, PurePosixPath

from annotator.datasets.formats.entries import Entry, Folder, Listing, Refusal
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES

OUTSIDE = "the link points outside the data set's folder"


def read(path: str | Path, images: Folder | None = None) -> Listing:
    """List the images of a folder (or URI) that holds one folder per class.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    folder = images or Folder(path)
    listing = Listing()
    for name in folder.names():
        if "/" not in name:
            continue
        if PurePosixPath(name).suffix.lower() not in SUFFIXES:
            listing.warnings.append(f"{name}: not an image by its name, ignored")
        elif (file := folder.file(name)) is None:
            listing.refusals.append(Refusal(name, OUTSIDE))
        else:
            listing.entries.append(Entry(name=name, path=file, class_name=name.partition("/")[0]))
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{folder}: no images found; expected {folder}/CLASS/IMAGE, one folder per class")
    return listing
