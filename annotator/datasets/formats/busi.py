"""The `busi` layout: class folders holding `benign (1).png` with `benign (1)_mask.png`, `benign (1)_mask_1.png`, ...

Several masks of an image are united. An all-zero mask says that there is nothing to find; without a mask the location
is not known. Source: the public Breast Ultrasound Images data set (Al-Dhabyani et al. 2020).
"""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from annotator.datasets.formats.entries import Entry, Folder, Listing, Refusal
from annotator.datasets.formats.folders import OUTSIDE
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile

MASK = re.compile(r"(?P<image>.+)_mask(?:_(?P<number>\d+))?")


def read(path: str | Path, images: Folder | None = None) -> Listing:
    """List the images of class folders with their masks.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    folder = images or Folder(path)
    listing = Listing()
    pictures: dict[str, ImageFile] = {}
    masks: dict[str, list[tuple[int, str, ImageFile]]] = defaultdict(list)
    for name in folder.names():
        pure = PurePosixPath(name)
        if len(pure.parts) < 2:
            continue
        if pure.suffix.lower() not in SUFFIXES:
            listing.warnings.append(f"{name}: not an image by its name, ignored")
            continue
        file = folder.file(name)
        if file is None:
            listing.refusals.append(Refusal(name, OUTSIDE))
        elif match := MASK.fullmatch(pure.stem):
            masks[str(pure.with_name(match["image"]))].append((int(match["number"] or 0), name, file))
        else:
            pictures[name] = file
    for name, file in pictures.items():
        own = sorted(masks.pop(str(PurePosixPath(name).with_suffix("")), []))
        mask_paths = tuple(mask for _, _, mask in own)
        listing.entries.append(
            Entry(name=name, path=file, class_name=PurePosixPath(name).parent.name, mask_paths=mask_paths)
        )
    for orphans in masks.values():
        listing.warnings.extend(f"{name}: a mask without an image, ignored" for _, name, _ in orphans)
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{folder}: no images found; expected {folder}/CLASS/IMAGE.png and IMAGE_mask.png")
    return listing
