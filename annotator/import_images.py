"""Registers the images of a data set with what is known of them.

One bad file never loses the good ones: it is listed with the reason. The same import twice changes nothing; what a
person has said about an image is never replaced by an import. Work is done in chunks, each in one short transaction,
so that an import cut anywhere goes on where it stopped.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.formats.layouts import read_layout
from annotator.formats.listing import Entry, Listing, Refusal
from db.errors import ImageUnreadable, InvalidArgument
from db.images import png_from_mask, read_facts, read_mask
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Location, LocationSource, LocationStatus, NewImage, Split
from db.regions import boxes_from_mask, clip_box, is_within
from db.registry import Registry, Transaction

CHUNK = 256
KEPT_BY_PEOPLE = frozenset({LocationSource.DRAWN, LocationSource.ACCEPTED, LocationSource.EDITED})


@dataclass(slots=True)
class ImportReport:
    """What an import did."""

    registered: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    refused: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def import_images(
    registry: Registry,
    path: Path,
    layout: str,
    *,
    keep_locations: float = 1.0,
    seed: int = 0,
    group_by: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Register the images of a data set.

    Args:
        registry: where to.
        path: the data set.
        layout: `csv` or `folders`.
        keep_locations: share of the known locations to register, 0 to 1, stratified by class and seeded; the other
            images become partly labeled. Images that the data set puts into test keep theirs.
        seed: of the choice above.
        group_by: regular expression on the image's name; its first group (or the whole match) is the image's group.
        dry_run: read and check everything, write nothing.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: an argument is out of range, or the layout unknown.
        DataUnreadable: the listing cannot be read at all.
    """
    listing = read_layout(layout, path)
    return import_listing(
        registry,
        listing,
        keep_locations=keep_locations,
        seed=seed,
        group_by=group_by,
        dry_run=dry_run,
        progress=progress,
    )


def import_listing(
    registry: Registry,
    listing: Listing,
    *,
    keep_locations: float = 1.0,
    seed: int = 0,
    group_by: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Register what a reader listed; arguments as in `import_images`."""
    if not 0 <= keep_locations <= 1:
        raise InvalidArgument(f"--keep-locations is a share from 0 to 1, got {keep_locations}")
    entries = list(_grouped(listing.entries, group_by))
    entries = hide_locations(entries, keep=keep_locations, seed=seed)
    report = ImportReport(refused=list(listing.refusals), warnings=list(listing.warnings))
    with (progress or SilentProgress()).task("importing", len(entries)) as task, ThreadPoolExecutor() as pool:
        for start in range(0, len(entries), CHUNK):
            chunk = entries[start : start + CHUNK]
            images: list[tuple[Entry, NewImage]] = []
            for entry, image in zip(chunk, pool.map(open_entry, chunk), strict=True):
                if isinstance(image, Refusal):
                    report.refused.append(image)
                else:
                    images.append((entry, image))
                task.advance()
            _write(registry, images, report, dry_run=dry_run)
    return report


def _grouped(entries: Sequence[Entry], pattern: str | None) -> Iterator[Entry]:
    if pattern is None:
        yield from entries
        return
    try:
        regex = re.compile(pattern)
    except re.error as exc:
        raise InvalidArgument(f"--group-by {pattern!r} is not a regular expression: {exc}") from exc
    for entry in entries:
        match = regex.search(entry.name)
        group = (match[1] if regex.groups else match[0]) if match else None
        yield replace(entry, group=group or entry.group)


def hide_locations(entries: Sequence[Entry], *, keep: float, seed: int) -> list[Entry]:
    """Drop the locations of all but a share of the entries, stratified by class; entries in test keep theirs.

    The choice depends on the seed and on the names of the images alone.
    """
    if keep >= 1:
        return list(entries)
    by_class: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.has_location and entry.split is not Split.TEST:
            by_class[entry.class_name or ""].append(entry.name)
    kept: set[str] = set()
    for class_name, names in by_class.items():
        rng = random.Random(f"{seed}/{class_name}")
        kept.update(rng.sample(sorted(names), round(keep * len(names))))
    return [
        entry
        if entry.name in kept or entry.split is Split.TEST
        else replace(entry, mask_path=None, boxes=(), is_empty=False)
        for entry in entries
    ]


def open_entry(entry: Entry) -> NewImage | Refusal:
    """Open an entry's files and check that they fit together."""
    try:
        facts = read_facts(entry.path)
    except ImageUnreadable as exc:
        return Refusal(entry.name, exc.reason)
    location = Location(LocationStatus.EMPTY) if entry.is_empty else None
    if entry.boxes:
        for box in entry.boxes:
            if not is_within(box, facts.width, facts.height):
                return Refusal(
                    entry.name,
                    f"the box x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g} is empty or beyond "
                    f"the edge of the {facts.width}x{facts.height} image",
                )
        clipped = (clip_box(box, facts.width, facts.height) for box in entry.boxes)
        location = Location(LocationStatus.PRESENT, tuple(box for box in clipped if box is not None))
    if entry.mask_path is not None:
        try:
            mask_HW = read_mask(entry.mask_path)
        except ImageUnreadable as exc:
            return Refusal(entry.name, f"its mask {entry.mask_path.name} cannot be used: {exc.reason}")
        if mask_HW.shape != (facts.height, facts.width):
            return Refusal(
                entry.name,
                f"its mask {entry.mask_path.name} is {mask_HW.shape[1]}x{mask_HW.shape[0]}, "
                f"the image {facts.width}x{facts.height}; masks must have the image's upright size",
            )
        boxes = (entry.boxes and location and location.boxes) or boxes_from_mask(mask_HW)
        if entry.boxes and not mask_HW.any():
            return Refusal(entry.name, f"its mask {entry.mask_path.name} is empty, but boxes are given too")
        location = (
            Location(LocationStatus.PRESENT, boxes, png_from_mask(mask_HW)) if boxes else Location(LocationStatus.EMPTY)
        )
    return NewImage(
        path=entry.path,
        content_hash=facts.content_hash,
        width=facts.width,
        height=facts.height,
        class_name=entry.class_name,
        group=entry.group,
        split=entry.split,
        location=location,
    )


def open_data_set(path: Path, layout: str, *, progress: Progress | None = None) -> tuple[list[NewImage], list[Refusal]]:
    """Open a data set without registering it.

    Returns:
        The good images, and what was refused with the reason.

    Raises:
        InvalidArgument: the layout is unknown; DataUnreadable: the listing cannot be read at all.
    """
    listing = read_layout(layout, path)
    images: list[NewImage] = []
    refused = list(listing.refusals)
    with (progress or SilentProgress()).task("opening", len(listing.entries)) as task, ThreadPoolExecutor() as pool:
        for image in pool.map(open_entry, listing.entries):
            if isinstance(image, Refusal):
                refused.append(image)
            else:
                images.append(image)
            task.advance()
    return images, refused


def _write(
    registry: Registry, images: Sequence[tuple[Entry, NewImage]], report: ImportReport, *, dry_run: bool
) -> None:
    with registry.read() if dry_run else registry.begin() as tx:
        found = tx.images.find([image for _, image in images])
        at_path = {record.path: record for record in found}
        # Registered images whose file is gone: one of the same content elsewhere is the same image, moved.
        gone = [record for record in found if not record.path.exists()]
        new: list[NewImage] = []
        for entry, image in images:
            same_place = at_path.get(tx.images.named(image.path))
            known = same_place or _moved_from(gone, image)
            if known is None:
                new.append(image)
                continue
            if same_place is None:
                gone.remove(known)
            refusal = _contradiction(known, image, same_path=same_place is not None)
            if refusal is not None:
                report.refused.append(Refusal(entry.name, refusal))
            else:
                _update(tx, known, image, report, moved=same_place is None, dry_run=dry_run)
        report.registered += len(new)
        if not dry_run:
            for image_id, image in zip(tx.images.add(new), new, strict=True):
                if image.location is not None:
                    tx.labels.append(image_id, image.location, source=LocationSource.IMPORTED)


def _moved_from(gone: Sequence[ImageRecord], image: NewImage) -> ImageRecord | None:
    """Find the registered image that this file was; of several with the same content the one of the same name."""
    same = [record for record in gone if record.content_hash == image.content_hash]
    return min(same, key=lambda record: (record.path.name != image.path.name, record.id), default=None)


def _contradiction(known: ImageRecord, image: NewImage, *, same_path: bool) -> str | None:
    if same_path and known.content_hash != image.content_hash:
        return "the file's content has changed since it was registered; give the new image a new name"
    if None not in (known.class_name, image.class_name) and known.class_name != image.class_name:
        return f"it is registered as {known.class_name!r}, this data set says {image.class_name!r}"
    if known.split is Split.TEST and image.split not in (None, Split.TEST):
        return f"it is in the test split, which nothing ever leaves; this data set says {image.split!s}"
    return None


def _update(
    tx: Transaction, known: ImageRecord, image: NewImage, report: ImportReport, *, moved: bool, dry_run: bool
) -> None:
    class_name = image.class_name or known.class_name
    group, split = image.group or known.group, image.split or known.split
    facts_change = (class_name, group, split) != (known.class_name, known.group, known.split)
    label_changes = image.location is not None and _location_differs(known, image.location)
    if label_changes and known.label is not None and known.label.source in KEPT_BY_PEOPLE:
        report.warnings.append(f"{image.path.name}: a person has located it since; the imported location is ignored")
        label_changes = False
    report.moved += moved
    report.updated += facts_change or label_changes
    report.unchanged += not (facts_change or label_changes or moved)
    if dry_run:
        return
    if moved:
        tx.images.move(known.id, image)
    if facts_change:
        tx.images.set_facts(known.id, class_name=class_name, group=group, split=split)
    if label_changes and image.location is not None:
        tx.labels.append(known.id, image.location, source=LocationSource.IMPORTED)


def _location_differs(known: ImageRecord, location: Location) -> bool:
    return (
        known.location_status is not location.status
        or known.boxes != location.boxes
        or (location.mask_png is not None and known.label is not None and not known.label.has_mask)
    )
