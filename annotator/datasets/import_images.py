"""Registers the images of a data set with what is known of them.

One bad file never loses the good ones: it is listed with the reason. The same import twice changes nothing; what a
person has said about an image is never replaced by an import, and nothing about a test image is changed unless that
is asked for. Work is done in chunks, each in one short transaction, so that an import cut anywhere goes on where it
stopped.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from annotator.datasets.decode import Note, open_entries
from annotator.datasets.export_set import MANIFEST
from annotator.datasets.formats.names import InputFormat
from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_report import ImportReport, Tally
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.listing.entries import Entry, Listing, Part, Refusal, Unused
from annotator.datasets.plausibility import drop_masks, masks_among, refused_in_words, suspicions
from annotator.datasets.register import ImageWriter, Opened, opened_images
from annotator.errors import DataSuspicious
from db.curation.duplicates import count_near_duplicates, find_near_duplicates
from db.curation.location_share import choose_located
from db.errors import InvalidArgument
from db.imaging.files import is_uri
from db.imaging.paths import ProjectPaths
from db.progress import Progress, SilentProgress
from db.records import Split
from db.registry import Registry

CHUNK = 1000
LOOKED_INTO = 1000
"""Images that a dry run opens: enough to meet what befalls one image in 300, and a matter of seconds."""


def import_images(
    registry: Registry, request: ImportRequest, *, dry_run: bool = False, progress: Progress | None = None
) -> ImportReport:
    """Register the images of a data set.

    Args:
        registry: where to.
        request: the data set, and how it is read.
        dry_run: read and check everything, write nothing.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: the layout is unknown, or the group's expression is not one.
        DataUnreadable: the listing cannot be read at all; DataSuspicious: the layout seems to be the wrong one.
    """
    recognised = None
    if request.layout == InputFormat.AUTO:
        layout, why = recognise(request.path)
        recognised = f"read as {layout}: {why}"
        request = replace(request, layout=layout.value)
    listing = read_layout(
        request.layout,
        request.path,
        images=request.images,
        first_pixel=request.first_pixel,
        boxes_as=request.boxes_as,
        class_from=request.class_from,
    )
    report = import_listing(registry, listing, request, dry_run=dry_run, progress=progress)
    return replace(report, recognised=recognised)


def import_listing(
    registry: Registry,
    listing: Listing,
    request: ImportRequest,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Register what a reader listed; arguments as in `import_images`."""
    own = not is_uri(str(request.path)) and (Path(request.path) / MANIFEST).is_file()
    masks = [] if request.force else masks_among(listing.entries)
    odd = suspicions(
        listing.entries,
        request.layout,
        masks,
        listing.unused,
        refusals=listing.refusals,
        class_from=request.class_from,
    )
    doubts = [*listing.doubts, *odd]
    if doubts and not (request.force or own):
        raise DataSuspicious(
            f"{request.path}: {'; '.join(doubts)}, so nothing was registered; choose another --layout, move files "
            "that are not images of a class elsewhere, or import it as is with "
            f"--force{refused_in_words(listing.refusals)}"
        )
    drop_masks(listing, request.layout, set(masks))
    entries = list(_grouped(listing.entries, request.group_by))
    entries, hidden = hide_locations(entries, keep=request.keep_locations, seed=request.seed)
    tally = Tally(list(listing.refusals), [*listing.unused, *hidden], list(listing.warnings), listing.there)
    writer = ImageWriter(registry, tally, request, dry_run=dry_run)
    looked_into, others = _looked_into(entries) if dry_run else (entries, [])
    _open_and_write(registry, writer, looked_into, request, listing.note, progress or SilentProgress())
    tally.warnings += listing.notes_in_words()
    if dry_run:
        writer.assume(others)
        return tally.report(near_duplicates=count_near_duplicates(registry, tally.thumbnails))
    return tally.report(near_duplicates=len(find_near_duplicates(registry, progress=progress)))


def _open_and_write(
    registry: Registry,
    writer: ImageWriter,
    entries: Sequence[Entry],
    request: ImportRequest,
    note: Note,
    progress: Progress,
) -> None:
    opened: list[Opened] = []
    cache, background = ProjectPaths(registry.root).cache, request.mask_background
    with progress.task("importing", len(entries)) as task:
        each = open_entries(entries, cache=cache, origin=request.origin, mask_background=background, note=note)
        for entry, images in zip(entries, each, strict=True):
            if isinstance(images, Refusal):
                writer.refuse(images)
            else:
                opened += opened_images(entry, images)
            if len(opened) >= CHUNK:
                writer.write(opened)
                opened = []
            task.advance()
        writer.write(opened)


def _looked_into(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Choose the entries that a dry run opens, evenly over the list, and those of which it only looks for the file."""
    if len(entries) <= LOOKED_INTO:
        return list(entries), []
    chosen = {len(entries) * number // LOOKED_INTO for number in range(LOOKED_INTO)}
    return (
        [entry for place, entry in enumerate(entries) if place in chosen],
        [entry for place, entry in enumerate(entries) if place not in chosen],
    )


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


def hide_locations(entries: Sequence[Entry], *, keep: float, seed: int) -> tuple[list[Entry], list[Unused]]:
    """Drop the locations of all but a share of the entries, stratified by class; entries in test keep theirs.

    The choice depends on the seed and on the names of the images alone.

    Returns:
        The entries, and what is not used of them.
    """
    if keep >= 1:
        return list(entries), []
    located = [entry for entry in entries if entry.has_location and entry.split is not Split.TEST]
    kept = choose_located([(entry.name, entry.class_name or "") for entry in located], keep, seed)
    shown: list[Entry] = []
    unused: list[Unused] = []
    for entry in entries:
        if not entry.has_location or entry.name in kept or entry.split is Split.TEST:
            shown.append(entry)
            continue
        # A label that says the class too has been used for that.
        labels = 0 if entry.class_name is not None else entry.labels
        counted = ((Part.LABELS, labels), (Part.MASKS, entry.masks))
        unused += [Unused(part, entry.name, "left out by --keep-locations", count) for part, count in counted if count]
        bare = replace(entry, mask_paths=(), boxes=(), is_empty=False, draw=None)
        shown.append(replace(bare, labels=entry.labels - labels, masks=0, splits=entry.counts.splits))
    return shown, unused
