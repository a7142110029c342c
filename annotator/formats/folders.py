"""The `folders` layout: one folder a class, images anywhere below it. Nothing is known of locations.

Source: the layout of torchvision's ImageFolder and of most image sets that carry classes only.
"""

from pathlib import Path

from annotator.errors import DataUnreadable
from annotator.formats.listing import Entry, Listing, Refusal, path_inside
from db.images import SUFFIXES


def read(path: Path) -> Listing:
    """List the images of a folder that holds one folder a class.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    if not path.is_dir():
        raise DataUnreadable(f"{path}: expected a folder that holds one folder a class")
    listing = Listing()
    for folder in sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")):
        for file in sorted(folder.rglob("*")):
            if not file.is_file() or file.name.startswith("."):
                continue
            name = file.relative_to(path).as_posix()
            if file.suffix.lower() not in SUFFIXES:
                listing.warnings.append(f"{name}: not an image by its name, ignored")
            elif path_inside(path, name) is None:
                listing.refusals.append(Refusal(name, "the link points outside the data set's folder"))
            else:
                listing.entries.append(Entry(name=name, path=file, class_name=folder.name))
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{path}: no images found; expected {path}/CLASS/IMAGE, one folder a class")
    return listing
