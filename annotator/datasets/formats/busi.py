"""The `busi` layout: class folders holding `benign (1).png` with `benign (1)_mask.png`, `benign (1)_mask_1.png`, ...

Several masks of an image are united. An all-zero mask says that there is nothing to find; without a mask the location
is not known. Source: the public Breast Ultrasound Images data set (Al-Dhabyani et al. 2020).
"""

import re
from pathlib import Path, PurePosixPath

from annotator.datasets.formats.folders import ignored, list_class_folders
from annotator.datasets.listing.entries import Listing
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.options import PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES

MASK = re.compile(r"(?P<image>.+)_mask(?:_(?P<number>\d+))?", re.IGNORECASE)


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of class folders with their masks.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    folder = options.images or Folder(path)
    listing = Listing()
    names = folder.names()
    list_class_folders(folder, names, options, listing, MASK)
    listing.warnings += ignored(
        [name for name in names if "/" in name and PurePosixPath(name).suffix.lower() not in SUFFIXES]
    )
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{folder}: no images found; expected {folder}/CLASS/IMAGE.png and IMAGE_mask.png")
    return listing
