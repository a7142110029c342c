"""The `folders` layout: one folder per class, images anywhere below it. Nothing is known of locations.

Source: the layout of torchvision's ImageFolder and of most image sets that carry classes only.
"""

from pathlib import Path, PurePosixPath

from annotator.datasets.listing.entries import Counts, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.options import PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.plain_text import counted
from db.records import Split

SPLITS = {
    **{"train": Split.TRAIN, "training": Split.TRAIN, "test": Split.TEST, "testing": Split.TEST},
    **{"val": Split.VAL, "valid": Split.VAL, "validation": Split.VAL},
}
"""What folders of splits are called."""
OUTSIDE = "the link points outside the data set's folder"
NO_FOLDER = "it lies in no folder of a class; it was not used"


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a folder (or URI) that holds one folder per class.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    folder = options.images or Folder(path)
    listing = Listing()
    names = folder.names()
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    outer = _outer_folder(pictures)
    divided = outer > 0 or _is_divided([name for name in pictures if "/" in name])
    if divided:
        listing.warnings.append("the folders train, val and test are taken for splits, and those in them for classes")
    listing.found(Counts(images=len(pictures), splits=sum(divided and "/" in name for name in pictures)))
    for name in pictures:
        if "/" not in name:
            listing.leave(Part.IMAGES, name, NO_FOLDER)
        elif (file := folder.file(name)) is None:
            listing.refuse(name, OUTSIDE, Counts(images=1, splits=int(divided)))
        else:
            parts = PurePosixPath(name).parts
            split = SPLITS[parts[outer].lower()] if divided else None
            class_name = parts[outer + 1 if divided else 0]
            listing.entries.append(Entry(name=name, path=file, class_name=class_name, split=split))
    others = [name for name in names if PurePosixPath(name).suffix.lower() not in SUFFIXES]
    listing.warnings += ignored(others)
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{folder}: no images found; expected {folder}/CLASS/IMAGE, one folder per class")
    return listing


def ignored(others: list[str]) -> list[str]:
    """Say that files which are no images by their names were not looked at."""
    if len(others) <= 1:
        return [f"{name}: not an image by its name, ignored" for name in others]
    return [f"{counted(len(others), 'file')}, such as {', '.join(others[:3])}: not images by their names, ignored"]


def _outer_folder(pictures: list[str]) -> int:
    """Count the folders around those of splits, which all images lie in: of a set that was unpacked into its own."""
    paths = [PurePosixPath(name).parts[:-1] for name in pictures]
    depth = 0
    while paths and all(len(parts) > depth + 1 for parts in paths) and len({parts[depth] for parts in paths}) == 1:
        depth += 1
        if all(len(parts) > depth + 1 and parts[depth].lower() in SPLITS for parts in paths):
            return depth
    return 0


def _is_divided(pictures: list[str]) -> bool:
    """Say whether the outer folders are splits, with one folder a class in each."""
    paths = [PurePosixPath(name).parts for name in pictures]
    return bool(paths) and all(parts[0].lower() in SPLITS and len(parts) > 2 for parts in paths)
