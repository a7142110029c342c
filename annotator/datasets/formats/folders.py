"""The `folders` layout: one folder per class, images anywhere below it. Nothing is known of locations.

Source: the layout of torchvision's ImageFolder and of most image sets that carry classes only.
"""

from pathlib import Path, PurePosixPath

from annotator.datasets.formats.entries import Entry, Folder, Listing, Refusal
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.records import Split

SPLITS = {"train": Split.TRAIN, "val": Split.VAL, "valid": Split.VAL, "validation": Split.VAL, "test": Split.TEST}
"""What folders of splits are called."""
OUTSIDE = "the link points outside the data set's folder"


def read(path: str | Path, images: Folder | None = None) -> Listing:
    """List the images of a folder (or URI) that holds one folder per class.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    folder = images or Folder(path)
    listing = Listing()
    names = [name for name in folder.names() if "/" in name]
    divided = _is_divided(names)
    if divided:
        listing.warnings.append("the folders train, val and test are taken for splits, and those in them for classes")
    for name in names:
        if PurePosixPath(name).suffix.lower() not in SUFFIXES:
            listing.warnings.append(f"{name}: not an image by its name, ignored")
        elif (file := folder.file(name)) is None:
            listing.refusals.append(Refusal(name, OUTSIDE))
        else:
            parts = PurePosixPath(name).parts
            split = SPLITS[parts[0].lower()] if divided else None
            listing.entries.append(Entry(name=name, path=file, class_name=parts[1 if divided else 0], split=split))
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{folder}: no images found; expected {folder}/CLASS/IMAGE, one folder per class")
    return listing


def _is_divided(names: list[str]) -> bool:
    """Say whether the outer folders are splits, with one folder a class in each."""
    paths = [PurePosixPath(name).parts for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    return bool(paths) and all(parts[0].lower() in SPLITS and len(parts) > 2 for parts in paths)
