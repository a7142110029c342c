"""Registers the images of a data set with what is known of them.

One bad file never loses the good ones: it is listed with the reason. The same import twice changes nothing; what a
person has said about an image is never replaced by an import, and nothing about a test image is changed unless that
is asked for. Work is done in chunks, each in one short transaction, so that an import cut anywhere goes on where it
stopped.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.datasets.decode import open_entries
from annotator.datasets.formats.entries import Entry, Listing, Refusal
from annotator.datasets.formats.names import InputFormat
from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.plausibility import suspicions
from annotator.errors import DataSuspicious
from db.curation.duplicates import count_near_duplicates, find_near_duplicates
from db.curation.location_share import choose_located
from db.errors import InvalidArgument
from db.imaging.files import ImageFile
from db.imaging.paths import ProjectPaths
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Location, LocationSource, NewImage, NewLabel, OperationKind, Split
from db.registry import Registry, Transaction

CHUNK = 1000
KEPT_BY_PEOPLE = frozenset({LocationSource.DRAWN, LocationSource.ACCEPTED, LocationSource.EDITED})


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    registered: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    operation: int | None = None
    """Its number, for undoing it; None if nothing changed or on a dry run."""
    recognised: str | None = None
    """The layout that was found out, and why; None where it was named."""
    near_duplicates: int = 0
    """Pairs of images that show the same, at least one of them new."""
    refused: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Tally:
    """What an import under way has done so far."""

    refused: list[Refusal]
    warnings: list[str]
    registered: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    operation: int | None = None
    thumbnails: list[bytes] = field(default_factory=list)
    """Of new images, in a dry run."""

    def report(self, *, near_duplicates: int) -> ImportReport:
        return ImportReport(
            registered=self.registered,
            updated=self.updated,
            moved=self.moved,
            unchanged=self.unchanged,
            operation=self.operation,
            near_duplicates=near_duplicates,
            refused=self.refused,
            warnings=self.warnings,
        )


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Which data set is imported, and how."""

    path: str | Path
    """The data set; where the layout allows it, an fsspec URI."""
    layout: str
    """`busi`, `coco`, `csv`, `folders`, `voc` or `yolo`; `auto` to find out."""
    images: str | Path | None = None
    """Folder or URI that the names of images are relative to, where that is not the data set's own."""
    keep_locations: float = 1.0
    """Share of the known locations to register, 0 to 1, stratified by class and seeded; the other images become partly
    labeled. Images that the data set puts into test keep theirs."""
    seed: int = 0
    """Random seed of that choice."""
    group_by: str | None = None
    """Regular expression on an image's name; its first group (or the whole match) is the image's group."""
    change_test: bool = False
    """Allow changes of what is known of images that are in test already."""
    first_pixel: int | None = None
    """Number of an image's first pixel in `voc`, 0 or 1; None to find out."""
    mask_background: int | None = None
    """The value of masks (a grey level or a palette's index) that means "outside"; None for black or transparent."""
    force: bool = False
    """Import a data set even if it seems to be read in the wrong layout."""
    author: str | None = None
    """Who imports, for the history."""

    def __post_init__(self) -> None:
        if not 0 <= self.keep_locations <= 1:
            raise InvalidArgument(f"--keep-locations is a share from 0 to 1, got {self.keep_locations}")

    @property
    def origin(self) -> str:
        """What the history says about where labels come from."""
        return f"import of {self.path} as {self.layout}" + (f" by {self.author}" if self.author else "")


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
    listing = read_layout(request.layout, request.path, images=request.images, first_pixel=request.first_pixel)
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
    origin = request.origin
    if not request.force and (doubts := suspicions(listing.entries, request.layout)):
        raise DataSuspicious(
            f"{request.path}: {'; '.join(doubts)}. Nothing was registered. Choose another --layout, or import it as it "
            "is with --force"
        )
    entries = list(_grouped(listing.entries, request.group_by))
    entries = hide_locations(entries, keep=request.keep_locations, seed=request.seed)
    tally = _Tally(refused=list(listing.refusals), warnings=list(listing.warnings))
    writer = _Writer(registry, tally, request, dry_run=dry_run)
    cache = ProjectPaths(registry.root).cache
    opened: list[NewImage] = []
    with (progress or SilentProgress()).task("importing", len(entries)) as task:
        for images in open_entries(entries, cache=cache, origin=origin, mask_background=request.mask_background):
            if isinstance(images, Refusal):
                tally.refused.append(images)
            else:
                opened += images
            if len(opened) >= CHUNK:
                writer.write(opened)
                opened = []
            task.advance()
        writer.write(opened)
    if dry_run:
        return tally.report(near_duplicates=count_near_duplicates(registry, tally.thumbnails))
    return tally.report(near_duplicates=len(find_near_duplicates(registry, progress=progress)))


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
    located = [entry for entry in entries if entry.has_location and entry.split is not Split.TEST]
    kept = choose_located([(entry.name, entry.class_name or "") for entry in located], keep, seed)
    return [
        entry
        if entry.name in kept or entry.split is Split.TEST
        else replace(entry, mask_paths=(), boxes=(), is_empty=False, draw=None)
        for entry in entries
    ]


class _Writer:
    """Writes opened images into the registry, a chunk in a transaction."""

    def __init__(self, registry: Registry, tally: _Tally, request: ImportRequest, *, dry_run: bool) -> None:
        self._registry = registry
        self._tally = tally
        self._request = request
        self._origin = request.origin
        self._change_test = request.change_test
        self._dry_run = dry_run

    def write(self, images: Sequence[NewImage]) -> None:
        """Register new images, and what is new about known ones."""
        if not images:
            return
        self._tally.warnings += [f"{image.path.name}: {image.remark}" for image in images if image.remark]
        with self._registry.read() if self._dry_run else self._registry.begin() as tx:
            found = tx.images.find(images)
            at_path = {record.path: record for record in found}
            # Registered images whose file is gone: one of the same content elsewhere is the same image, moved.
            wanted = {image.path for image in images}
            gone = [record for record in found if record.path not in wanted and not record.path.exists()]
            new: dict[ImageFile, NewImage] = {}
            for image in images:
                same_place = at_path.get(image.path)
                known = same_place or _moved_from(gone, image)
                if known is not None and known.removed and same_place is None:
                    # It was taken out, and its file is gone: what lies elsewhere now is another image.
                    known = None
                if known is None:
                    if image.path in new:
                        self._tally.warnings.append(f"{image.path.name}: listed twice, the first one counts")
                    new.setdefault(image.path, image)
                    continue
                if same_place is None:
                    gone.remove(known)
                refusal = self._contradiction(known, image, same_path=same_place is not None)
                if refusal is not None:
                    self._tally.refused.append(Refusal(image.path.name, refusal))
                elif known.removed:
                    self._put_back(tx, known, image)
                else:
                    self._update(tx, known, image, moved=same_place is None)
            self._tally.registered += len(new)
            if self._dry_run:
                self._tally.thumbnails += [image.thumbnail for image in new.values() if image.thumbnail is not None]
            else:
                self._add(tx, list(new.values()))

    def _operation(self, tx: Transaction) -> int:
        """Return the number of this import, which is noted with its first change."""
        if self._tally.operation is None:
            author = self._request.author or "unknown"
            detail = f"import of {self._request.path} as {self._request.layout}"
            self._tally.operation = tx.operations.begin(OperationKind.IMPORT, detail, author=author)
        return self._tally.operation

    def _add(self, tx: Transaction, images: Sequence[NewImage]) -> None:
        if not images:
            return
        operation = self._operation(tx)
        images = [replace(image, operation_id=operation) for image in images]
        # A test image comes with its labels: that is what the data set is for.
        tx.labels.append_many(
            [
                NewLabel(
                    image_id,
                    image.location,
                    LocationSource.IMPORTED,
                    on_test=True,
                    origin=self._origin,
                    operation_id=operation,
                )
                for image_id, image in zip(tx.images.add(images), images, strict=True)
                if image.location is not None
            ]
        )

    def _contradiction(self, known: ImageRecord, image: NewImage, *, same_path: bool) -> str | None:
        if same_path and known.content_hash != image.content_hash:
            return "the file's content has changed since it was registered; give the new image a new name"
        classes = {known.class_name, image.class_name} - {None}
        if len(classes) > 1 and not known.removed:
            return f"it is registered as {known.class_name!r}, this data set says {image.class_name!r}"
        if known.split is not Split.TEST:
            return None
        if image.split not in (None, Split.TEST):
            return f"it is in the test split, which nothing ever leaves; this data set says {image.split!s}"
        new_class = image.class_name is not None and known.class_name is None
        new_location = image.location is not None and _location_differs(known, image.location)
        if known.removed:
            return None
        if (new_class or new_location) and not self._change_test:
            return "it is in the test split, whose labels change only on purpose: repeat with --change-test"
        return None

    def _put_back(self, tx: Transaction, known: ImageRecord, image: NewImage) -> None:
        """Register an image again that was removed, with what this data set says of it."""
        self._tally.registered += 1
        if self._dry_run:
            self._tally.thumbnails += [image.thumbnail] if image.thumbnail is not None else []
            return
        operation = self._operation(tx)
        split = known.split if known.split is Split.TEST else image.split
        tx.images.set_facts(
            known.id,
            class_name=image.class_name,
            group=image.group,
            split=split,
            origin=self._origin,
            operation_id=operation,
        )
        tx.images.set_removed([known.id], False, origin=self._origin, operation_id=operation)
        if image.location is not None and _location_differs(known, image.location):
            self._append(tx, known.id, image.location, on_test=True)

    def _append(self, tx: Transaction, image_id: int, location: Location, *, on_test: bool) -> None:
        tx.labels.append(
            NewLabel(
                image_id,
                location,
                LocationSource.IMPORTED,
                on_test=on_test,
                origin=self._origin,
                operation_id=self._operation(tx),
            )
        )

    def _update(self, tx: Transaction, known: ImageRecord, image: NewImage, *, moved: bool) -> None:
        tally = self._tally
        class_name = image.class_name or known.class_name
        group, split = image.group or known.group, image.split or known.split
        facts_change = (class_name, group, split) != (known.class_name, known.group, known.split)
        label_changes = image.location is not None and _location_differs(known, image.location)
        if label_changes and known.label is not None and known.label.source in KEPT_BY_PEOPLE:
            tally.warnings.append(f"{image.path.name}: a person has located it since; the imported location is ignored")
            label_changes = False
        tally.moved += moved
        tally.updated += facts_change or label_changes
        tally.unchanged += not (facts_change or label_changes or moved)
        if self._dry_run:
            return
        if moved:
            tx.images.move(known.id, replace(image, operation_id=self._operation(tx)))
        if facts_change:
            tx.images.set_facts(
                known.id,
                class_name=class_name,
                group=group,
                split=split,
                origin=self._origin,
                operation_id=self._operation(tx),
            )
        if label_changes and image.location is not None:
            self._append(tx, known.id, image.location, on_test=self._change_test)


def _moved_from(gone: Sequence[ImageRecord], image: NewImage) -> ImageRecord | None:
    """Find the registered image that this file was; of several with the same content the one of the same name."""
    same = [record for record in gone if record.content_hash == image.content_hash]
    return min(same, key=lambda record: (record.path.name != image.path.name, record.id), default=None)


def _location_differs(known: ImageRecord, location: Location) -> bool:
    return (
        known.location_status is not location.status
        or known.boxes != location.boxes
        or (location.mask_png is not None and known.label is not None and not known.label.has_mask)
    )
