"""Notices a data set that is being read in the wrong layout, before anything of it is registered; pure."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from annotator.datasets.import_report import shown_refusals
from annotator.datasets.listing.companions import MASK_FOLDERS, MASK_WORD
from annotator.datasets.listing.entries import Entry, Listing, Part, Refusal, Unused
from annotator.datasets.listing.image_class import NOT_CLASSES
from annotator.datasets.listing.options import FROM_FOLDER
from annotator.datasets.listing.splits import split_named
from db.plain_text import counted

HOLDS_IMAGES = re.compile(r"(^|[_\- ])(images?|imgs?|photos?)([_\- \d]|$)", re.IGNORECASE)
"""How folders are called that hold images, such as HAM10000_images_part_1."""
MASK_HINT = re.compile(r"mask|seg|gt|truth|label", re.IGNORECASE)
"""What such a name has somewhere: quicker to look for."""
NEED_LABELS = frozenset({"labelme", "yolo", "voc"})
"""Layouts in which every image that shows something has a label file of its own."""
CLASSES_ARE_FOLDERS = frozenset({"busi", "folders"})
"""Layouts in which classes are what folders are called; in others a file names them, and `train` is a vehicle."""
TAKE_EVERY_PICTURE = frozenset({"busi", "folders", "labelme", "voc", "yolo"})
FEW_MASKS = 3
NAMED = 4
"""How many refusals a message names."""
MASK_SHARE = 0.2


def suspicions(
    entries: Sequence[Entry],
    layout: str,
    masks: Sequence[str],
    unused: Sequence[Unused] = (),
    *,
    refusals: Sequence[Refusal] = (),
    class_from: str | None = None,
) -> list[str]:
    """Say what speaks for another layout than the one that the data set was read in.

    Args:
        entries: what the reader found.
        layout: the layout it was read in.
        masks: the entries that look like masks, see `masks_among`.
        unused: what it did not use.
        refusals: what it refused.
        class_from: where a person says that classes come from.

    Returns:
        One sentence each; none for a data set that looks as it should.
    """
    found = []
    from_folders = layout in CLASSES_ARE_FOLDERS or class_from == FROM_FOLDER
    classes = Counter(entry.class_name for entry in entries if entry.class_name is not None and from_folders)
    odd = [
        name
        for name in classes
        if name.strip().lower() in NOT_CLASSES or HOLDS_IMAGES.search(name) or split_named(name) is not None
    ]
    if odd:
        named = " and ".join(f"{name!r} ({counted(classes[name], 'image')})" for name in sorted(odd))
        found.append(f"read as {layout}, its classes would be {named}: those are names of folders, not of classes")
    if len(masks) >= FEW_MASKS and len(masks) >= MASK_SHARE * len(entries):
        found.append(
            f"{len(masks)} of {len(entries)} images look like the masks of others, such as {masks[0]}; they would be "
            "registered as images"
        )
    located = any(entry.has_location for entry in entries) or any(
        refusal.counts.labels or refusal.counts.masks for refusal in refusals
    )
    if layout in NEED_LABELS and entries and not located:
        images = len(entries) + sum(refusal.counts.images for refusal in refusals)
        none = f"none of its {images:,} images has" if images > 1 else "its only image does not have"
        found.append(f"read as {layout}, {none} a label file{_strays(unused)}")
    return found


def _strays(unused: Sequence[Unused]) -> str:
    others = [item.name for item in unused if item.part is Part.LABELS]
    if not others:
        return ""
    verb = "belongs" if len(others) == 1 else "belong"
    return f"; {counted(len(others), 'label file')} {verb} to no image, such as {others[0]}"


def refused_in_words(refusals: Sequence[Refusal]) -> str:
    """Name the first refusals of every kind in one sentence, nothing where there is none."""
    rows = "; ".join(f"{file}: {reason}" for file, reason in shown_refusals(refusals)[:NAMED])
    return f"; besides, {counted(len(refusals), 'file')} would be refused: {rows}" if refusals else ""


def drop_masks(listing: Listing, layout: str, masks: Collection[str]) -> None:
    """Take what looks like masks out of a listing, in layouts that take every picture for an image."""
    if layout not in TAKE_EVERY_PICTURE or not masks:
        return
    for entry in listing.entries:
        if entry.name in masks:
            listing.leave(Part.IMAGES, entry.name, "it looks like the mask of another image; it was not used")
            for part, count in ((Part.LABELS, entry.labels), (Part.SPLITS, entry.counts.splits)):
                listing.leave(part, entry.name, "it looks like the mask of another image; it was not used", count)
    listing.entries = [entry for entry in listing.entries if entry.name not in masks]


def masks_among(entries: Sequence[Entry]) -> list[str]:
    """Return the entries that look like the masks of others, by their names."""
    stems = {_stem(entry.name) for entry in entries}
    return [entry.name for entry in entries if _is_mask_of(entry.name, stems)]


def _stem(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0] or last}"


def _is_mask_of(name: str, stems: set[str]) -> bool:
    *folders, last = name.split("/")
    if any(part.lower() in MASK_FOLDERS for part in folders):
        return True
    if not MASK_HINT.search(last):
        return False
    stem = _stem(name)
    base = MASK_WORD.sub("", stem)
    return base != stem and base in stems
