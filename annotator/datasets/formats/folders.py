"""The `folders` layout: one folder per class, images anywhere below it.

Nothing is known of locations, but for masks in folders of their own (benign_mask/1.png is the mask of benign/1.png) and
for pictures that are called mask or the like beside one image (p1/mask.png is the mask of p1/image.png).

Source: the layout of torchvision's ImageFolder and of most image sets that carry classes only.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from annotator.datasets.listing.class_folders import FolderFacts, read_folders
from annotator.datasets.listing.companions import masks_beside, masks_in_folders
from annotator.datasets.listing.entries import Counts, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.options import FROM_FOLDER, PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.dicom import SUFFIXES as DICOM
from db.imaging.files import ImageFile
from db.plain_text import counted

OUTSIDE = "the link points outside the data set's folder"
MAY_NAME_CLASSES = frozenset({".csv", ".tsv", ".xml", ".yaml", ".yml"})
NO_FOLDER = "it is not in a class folder; it was not used"


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of a folder (or URI) that holds one folder per class.

    Raises:
        DataUnreadable: the folder is missing or holds no folder with images.
    """
    folder = options.images or Folder(path)
    listing = Listing()
    names = folder.names()
    list_class_folders(folder, names, options, listing)
    listing.warnings += ignored([name for name in names if PurePosixPath(name).suffix.lower() not in SUFFIXES])
    if not listing.entries and not listing.refusals:
        raise DataUnreadable(f"{folder}: no images found; expected {folder}/CLASS/IMAGE, one folder per class")
    return listing


@dataclass(slots=True)
class _Pictures:
    """Which pictures are images, and which are masks of which image."""

    images: list[str] = field(default_factory=list)
    masks: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """Number and name, by the image that is meant, without its ending."""


def list_class_folders(
    folder: Folder, names: Sequence[str], options: ReadOptions, listing: Listing, mask: re.Pattern[str] | None = None
) -> None:
    """List the images of class folders, with the masks that lie in folders of masks.

    Args:
        folder: the data set.
        names: the files in it.
        options: whether the innermost folder is the class, as a person says.
        listing: where to.
        mask: how masks are called that lie beside their images, with groups `image` and `number`; None without such.
    """
    found = _sorted(names, listing, mask)
    said = read_folders(found.images, innermost=options.class_from == FROM_FOLDER)
    listing.warnings += said.remarks
    listing.doubts += said.doubts
    labels = [name for name in names if PurePosixPath(name).suffix.lower() in MAY_NAME_CLASSES]
    if said.has_no_class and labels:
        listing.doubts.append(
            f"none of its folders is named like a class, and {labels[0]} beside them may name classes"
        )
    masks = _inside(folder, found, listing)
    owners: dict[str, list[str]] = defaultdict(list)
    for name in found.images:
        owners[_stem(name)].append(name)
    for name in found.images:
        facts, stem = said.facts[name], _stem(name)
        own = sorted(masks.pop(stem, []), key=lambda item: item[:2])
        counts = Counts(1, 0, len(own), int(facts.split is not None))
        listing.found(Counts(splits=counts.splits))
        file = folder.file(name)
        problem = _problem(facts, own, owners[stem] if stem in found.masks else [])
        if facts.class_name is None and not facts.is_unsaid and options.class_from != FROM_FOLDER:
            listing.leave(Part.IMAGES, name, NO_FOLDER)
            listing.leave(Part.SPLITS, name, "its image is not in a class folder", counts.splits)
            listing.leave(Part.MASKS, name, "its image is not in a class folder", counts.masks)
        elif file is None or problem is not None:
            listing.refuse(name, problem or OUTSIDE, counts)
        else:
            paths = tuple(path for _, _, path in own)
            # Of a DICOM file its own patient id is the group.
            group = None if PurePosixPath(name).suffix.lower() in DICOM else facts.group
            entry = Entry(name, file, facts.class_name, group, facts.split, paths, masks=len(paths))
            listing.entries.append(entry)
    for orphans in masks.values():
        for _, name, _ in orphans:
            listing.leave(Part.MASKS, name, "no image belongs to this mask; it was not used")


def _sorted(names: Sequence[str], listing: Listing, mask: re.Pattern[str] | None) -> _Pictures:
    """Tell images and masks apart; what lies in no folder is left."""
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    matches = {name: mask.fullmatch(PurePosixPath(name).stem) if mask else None for name in pictures}
    apart = masks_in_folders(pictures, {name for name, match in matches.items() if match is not None})
    listing.doubts += apart.doubts
    if apart.owners:
        places = ", ".join(apart.folders[:3]) + (" and others" if len(apart.folders) > 3 else "")
        listing.warnings.append(
            f"the pictures in {places} are used as masks of the images with the same names ({len(apart.owners):,})"
        )
    owners = apart.owners | _beside(
        [name for name in pictures if not matches[name] and name not in apart.owners | apart.lost], listing
    )
    found = _Pictures()
    for name in pictures:
        match, is_apart = matches[name], name in owners or name in apart.lost
        listing.found(Counts(masks=1) if match or is_apart else Counts(images=1))
        if name in apart.lost:
            listing.leave(Part.MASKS, name, apart.lost[name])
        elif name in owners:
            image, number = owners[name]
            found.masks[_stem(image)].append((number, name))
        elif "/" not in name:
            listing.leave(Part.MASKS if match else Part.IMAGES, name, NO_FOLDER)
        elif match:
            image = str(PurePosixPath(name).with_name(match["image"]))
            found.masks[image].append((int(match["number"] or 0), name))
        else:
            found.images.append(name)
    return found


def _beside(names: Sequence[str], listing: Listing) -> dict[str, tuple[str, int]]:
    """Return the images of masks that are called only so, each with the mask's number; doubt those that have none."""
    owners, doubtful = masks_beside(names)
    if owners:
        listing.warnings.append(
            f"{counted(len(owners), 'picture')}, such as {next(iter(owners))}, {'is' if len(owners) == 1 else 'are'} "
            "used as the mask of the only image in the same folder"
        )
    if doubtful:
        named = ", ".join(doubtful[:3]) + (f" and {counted(len(doubtful) - 3, 'other')}" if len(doubtful) > 3 else "")
        listing.doubts.append(
            f"named like masks, but not each in a folder with a single image: {named}; it is unclear which images "
            "they belong to; name each after its image (a_mask.png for a.png), or move it elsewhere"
        )
    return {mask: (image, 0) for mask, image in owners.items()}


def _inside(folder: Folder, found: _Pictures, listing: Listing) -> dict[str, list[tuple[int, str, ImageFile]]]:
    """Return the masks that lie in the folder, by their image without its ending."""
    inside: dict[str, list[tuple[int, str, ImageFile]]] = defaultdict(list)
    for image, masks in found.masks.items():
        for number, name in masks:
            if (file := folder.file(name)) is None:
                listing.refuse(name, OUTSIDE, Counts(masks=1))
            else:
                inside[image].append((number, name, file))
    return inside


def _problem(facts: FolderFacts, own: Sequence[tuple[int, str, ImageFile]], masked: Sequence[str]) -> str | None:
    """Say why an image cannot be used."""
    if facts.problem is not None:
        return facts.problem
    if len(masked) > 1:
        return f"its masks may belong to {' or '.join(masked)}; it is unclear which"
    if len({number for number, _, _ in own}) < len(own):
        return f"several masks with the same number belong to it: {', '.join(name for _, name, _ in own)}; keep one"
    return None


def _stem(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0] or last}"


def ignored(others: list[str]) -> list[str]:
    """Say that files which are no images by their names were not looked at."""
    if len(others) <= 1:
        return [f"{name}: not an image, judging by its name; ignored" for name in others]
    return [
        f"{counted(len(others), 'file')}, such as {', '.join(others[:3])}: not images, judging by their names; ignored"
    ]
