"""The `busi` layout: class folders holding `benign (1).png` with `benign (1)_mask.png`, `benign (1)_mask_1.png`, ...

Several masks of an image are united. An all-zero mask says that there is nothing to find; without a mask the location
is not known. Source: the public Breast Ultrasound Images data set (Al-Dhabyani et al. 2020).
"""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from annotator.datasets.formats.folders import NO_FOLDER, OUTSIDE, SPLITS, ignored
from annotator.datasets.listing.entries import Counts, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.options import PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile

MASK = re.compile(r"(?P<image>.+)_mask(?:_(?P<number>\d+))?", re.IGNORECASE)


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of class folders with their masks.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    folder = options.images or Folder(path)
    listing = Listing()
    images: dict[str, ImageFile] = {}
    masks: dict[str, list[tuple[int, str, ImageFile]]] = defaultdict(list)
    names = folder.names()
    for name in names:
        pure = PurePosixPath(name)
        if pure.suffix.lower() not in SUFFIXES:
            continue
        match = MASK.fullmatch(pure.stem)
        counts = Counts(masks=1) if match else Counts(images=1)
        listing.found(counts)
        if len(pure.parts) < 2:
            listing.leave(Part.MASKS if match else Part.IMAGES, name, NO_FOLDER)
        elif (file := folder.file(name)) is None:
            listing.refuse(name, OUTSIDE, counts)
        elif match:
            masks[str(pure.with_name(match["image"]))].append((int(match["number"] or 0), name, file))
        else:
            images[name] = file
    masked = set(masks)
    owners: dict[str, list[str]] = defaultdict(list)
    for name in images:
        owners[str(PurePosixPath(name).with_suffix(""))].append(name)
    for name, file in images.items():
        stem, pure = str(PurePosixPath(name).with_suffix("")), PurePosixPath(name)
        own = sorted(masks.pop(stem, []))
        split = SPLITS.get(pure.parts[0].lower()) if len(pure.parts) > 2 else None
        listing.found(Counts(splits=int(split is not None)))
        if len(owners[stem]) > 1 and stem in masked:
            reason = f"its masks may belong to {' or '.join(owners[stem])}; nobody can say which"
            listing.refuse(name, reason, Counts(1, 0, len(own), int(split is not None)))
            continue
        mask_paths = tuple(mask for _, _, mask in own)
        listing.entries.append(
            Entry(name, file, pure.parent.name, split=split, mask_paths=mask_paths, masks=len(mask_paths))
        )
    for orphans in masks.values():
        for _, name, _ in orphans:
            listing.leave(Part.MASKS, name, "no image belongs to this mask; it was not used")
    listing.warnings += ignored(
        [name for name in names if "/" in name and PurePosixPath(name).suffix.lower() not in SUFFIXES]
    )
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{folder}: no images found; expected {folder}/CLASS/IMAGE.png and IMAGE_mask.png")
    return listing
