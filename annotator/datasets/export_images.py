"""Writes what is known into a data set in another program's format, as of a snapshot: the same bytes every time.

Only labels that a person stands behind are written: imported, drawn, accepted, edited. A proposal that nobody has
reviewed is written only if that is asked for, and says so. Images known to be empty stay in the export, in a form that
differs from images that nobody has labeled, which are left out unless asked for.
"""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from annotator.datasets.export_folder import refuse_foreign, replacing_export
from annotator.datasets.export_names import reserve_stems
from annotator.datasets.export_set import MANIFEST, ExportImage, ExportSet, write_json, write_new
from annotator.datasets.formats.names import ImagesIn, OutputFormat
from annotator.datasets.formats.supported import WRITERS
from annotator.datasets.formats.voc import IMAGES as VOC_IMAGES
from annotator.datasets.formats.yolo import split_folder
from db.errors import ImageUnreadable, InvalidArgument
from db.imaging.decode import SUFFIXES, hash_content, is_stored_upright, read_image, suffix_of
from db.plain_text import counted
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, LocationStatus, ProposalRecord, Split, run_name
from db.registry import Registry, Transaction

CHUNK = 256


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that could not be exported, and why."""

    image: int
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote."""

    snapshot: str | None
    """Hash with which the same export can be repeated."""
    images: int = 0
    present: int = 0
    empty: int = 0
    unknown: int = 0
    boxes: int = 0
    proposed: int = 0
    """Images whose boxes are proposals that nobody has reviewed."""
    skipped: list[SkippedImage] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What the format cannot represent."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is written, where and in which format."""

    out: Path
    """Folder to create. An earlier export there is replaced, anything else refused."""
    layout: str
    """`coco`, `csv`, `voc` or `yolo`."""
    snapshot: str | None = None
    """State of the registry to write; None for what is known now."""
    splits: tuple[Split, ...] | None = None
    """Only images of these splits; None for all."""
    unlabeled: bool = False
    """Write images whose location is not known too, marked as such."""
    proposals: bool = False
    """Write pending proposals where there is no label, marked as such; they are not part of a snapshot."""
    images: str = ImagesIn.COPY
    """`copy` them upright into the export, or `none`: name the originals."""
    spreadsheet_safe: bool = False
    """Keep a spreadsheet from taking a text of a csv for a formula."""

    def __post_init__(self) -> None:
        if self.layout not in WRITERS:
            raise InvalidArgument(f"unknown format {self.layout!r}; expected one of: {', '.join(WRITERS)}")
        if self.images not in tuple(ImagesIn):
            raise InvalidArgument(f"--images is {' or '.join(ImagesIn)}, got {self.images!r}")
        if self.spreadsheet_safe and self.layout != OutputFormat.CSV:
            raise InvalidArgument(f"--spreadsheet-safe is for --format csv; {self.layout} is not read by spreadsheets")
        if self.proposals and self.snapshot is not None:
            raise InvalidArgument("--proposals and --snapshot cannot be combined: a snapshot contains no proposals")


def export_images(
    registry: Registry, request: ExportRequest, *, dry_run: bool = False, progress: Progress | None = None
) -> ExportReport:
    """Write labels (and images) in a format.

    Args:
        registry: what to write.
        request: what, where and in which format.
        dry_run: read everything, write nothing.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: the format needs images that are not copied; NotFound: there is no such snapshot.
        Conflict: the folder holds something else.
    """
    refuse_foreign(request.out)
    records, masks, waiting, digest = _read(
        registry, request.snapshot, with_proposals=request.proposals, dry_run=dry_run
    )
    if request.splits is not None:
        records = [record for record in records if record.split in request.splits]
    copied = request.images == ImagesIn.COPY
    entries = list(_entries(registry, records, masks, waiting, unlabeled=request.unlabeled, copied=copied))
    if not dry_run:
        report = _write(entries, request, digest, progress or SilentProgress())
        if registry.read_only and request.snapshot is None:
            report.warnings.append("the registry is read-only, so the exported state was not stored as a snapshot")
        return report
    skipped: list[SkippedImage] = []
    if copied:
        entries = _copy_images(entries, None, request.layout, skipped, progress or SilentProgress())
    return _report(digest, request.layout, [entry for _, entry in entries], skipped)


def _write(
    entries: list[tuple[ImageRecord, ExportImage]], request: ExportRequest, digest: str | None, progress: Progress
) -> ExportReport:
    """Write the export beside its place, then put it there."""
    skipped: list[SkippedImage] = []
    copied = request.images == ImagesIn.COPY
    with replacing_export(request.out) as draft:
        if copied:
            entries = _copy_images(entries, draft, request.layout, skipped, progress)
        written = [entry for _, entry in entries]
        classes = sorted({entry.class_name for entry in written if entry.class_name is not None})
        WRITERS[request.layout](ExportSet(written, classes, copied, request.spreadsheet_safe), draft)
        manifest = {"format": request.layout, "snapshot": digest, "images": len(written)}
        write_json(draft / MANIFEST, manifest)
        return _report(digest, request.layout, written, skipped)


def _read(
    registry: Registry, snapshot: str | None, *, with_proposals: bool, dry_run: bool
) -> tuple[list[ImageRecord], dict[int, bytes], dict[int, ProposalRecord], str]:
    only_reads = snapshot is not None or registry.read_only
    with registry.read() if only_reads else registry.begin(rehearsal=dry_run) as tx:
        found = tx.snapshots.take(store=not only_reads) if snapshot is None else tx.snapshots.get(snapshot)
    with registry.read() as tx:
        records = tx.snapshots.images_at(found.position)
        waiting = {item.image_id: item for item in tx.proposals.pending()} if with_proposals else {}
        return records, _masks(tx, records), waiting, found.hash


def _masks(tx: Transaction, records: Sequence[ImageRecord]) -> dict[int, bytes]:
    return tx.labels.mask_pngs([image.label.id for image in records if image.label and image.label.has_mask])


def _entries(
    registry: Registry,
    records: Sequence[ImageRecord],
    masks: dict[int, bytes],
    waiting: dict[int, ProposalRecord],
    *,
    unlabeled: bool,
    copied: bool,
) -> Iterator[tuple[ImageRecord, ExportImage]]:
    chosen = [
        record
        for record in records
        if unlabeled or record.location_status is not LocationStatus.UNKNOWN or record.id in waiting
    ]
    # By name, so that the order says nothing about when an image was registered.
    chosen.sort(key=lambda record: (str(record.path), record.id))
    stems = reserve_stems(chosen)
    for record in chosen:
        label = record.label
        known = record.location_status is not LocationStatus.UNKNOWN
        proposal = None if known else waiting.get(record.id)
        yield (
            record,
            ExportImage(
                # A copy has its name once it is known what kind of file it is.
                name=stems[record.id] if copied else _original(registry, record),
                stem=stems[record.id],
                width=record.width,
                height=record.height,
                class_name=record.class_name,
                group=record.group,
                split=record.split,
                status=LocationStatus.PRESENT if proposal else record.location_status,
                boxes=proposal.boxes if proposal else record.boxes,
                mask_png=masks.get(label.id) if label is not None else None,
                source="proposed" if proposal else str(label.source) if label is not None and known else None,
                reviewer=label.reviewer if label is not None and known else None,
                run=proposal.run_name if proposal else run_name(label.run_id) if label and label.run_id else None,
            ),
        )


def _original(registry: Registry, record: ImageRecord) -> str:
    text = str(record.path)
    prefix = f"{registry.root.as_posix()}/"
    return text.removeprefix(prefix)


def _copy_images(
    entries: Sequence[tuple[ImageRecord, ExportImage]],
    folder: Path | None,
    layout: str,
    skipped: list[SkippedImage],
    progress: Progress,
) -> list[tuple[ImageRecord, ExportImage]]:
    """Copy images into a folder; without one, only find out which can be copied."""
    written: list[tuple[ImageRecord, ExportImage]] = []
    with progress.task("copying images", len(entries)) as task, ThreadPoolExecutor() as pool:
        for start in range(0, len(entries), CHUNK):
            chunk = entries[start : start + CHUNK]
            results = pool.map(lambda item: _copy_image(item[0], item[1], folder, layout), chunk)
            for (record, _), result in zip(chunk, results, strict=True):
                if isinstance(result, ExportImage):
                    written.append((record, result))
                else:
                    skipped.append(SkippedImage(record.id, str(record.path), result))
                task.advance()
    return written


def _copy_image(record: ImageRecord, entry: ExportImage, folder: Path | None, layout: str) -> ExportImage | str:
    """Copy one image, upright; return its entry with the name it got, or why that cannot be done."""
    try:
        data = record.path.read_bytes()
        if hash_content(record.path, data) != record.content_hash:
            return "the file's content has changed since it was registered"
        suffix = record.path.suffix.lower()
        if suffix not in SUFFIXES:
            # The end of a name that says nothing is put right.
            suffix = suffix_of(record.path, data)
        if not is_stored_upright(record.path, data):
            # Other programs do not all turn images as their EXIF data say, and boxes belong to the upright one.
            buffer = io.BytesIO()
            Image.fromarray(read_image(record.path)).save(buffer, "PNG")
            data, suffix = buffer.getvalue(), ".png"
    except ImageUnreadable as exc:
        return exc.reason
    name = entry.stem + suffix
    if folder is not None:
        place = {"voc": VOC_IMAGES, "yolo": f"images/{split_folder(entry)}"}.get(layout, "images")
        write_new(folder / place / name, data)
    return replace(entry, name=name)


def _lost(layout: str, entries: Sequence[ExportImage]) -> list[str]:
    """Say what a format has no place for."""
    masked = sum(entry.mask_png is not None for entry in entries)
    if layout == OutputFormat.YOLO and masked:
        return [
            f"{counted(masked, 'image has', 'images have')} a mask, of which a yolo label file holds only the boxes; "
            "export to coco, csv or voc to keep them"
        ]
    return []


def _report(
    digest: str | None, layout: str, entries: Sequence[ExportImage], skipped: list[SkippedImage]
) -> ExportReport:
    statuses = Counter(entry.status for entry in entries)
    return ExportReport(
        snapshot=digest,
        images=len(entries),
        present=statuses[LocationStatus.PRESENT],
        empty=statuses[LocationStatus.EMPTY],
        unknown=statuses[LocationStatus.UNKNOWN],
        boxes=sum(len(entry.boxes) for entry in entries),
        proposed=sum(entry.source == "proposed" for entry in entries),
        skipped=skipped,
        warnings=_lost(layout, entries),
    )
