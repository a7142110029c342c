"""Writes opened images into the registry: new ones, and what is new about known ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from annotator.datasets.import_report import Tally
from annotator.datasets.import_request import ImportRequest, plain_text
from annotator.datasets.listing.entries import NOTHING, Counts, Entry, Part, Refusal, Unused, total
from annotator.datasets.listing.folder import missing_files
from db.imaging.decode import mask_from_png
from db.imaging.files import ImageFile
from db.records import ImageRecord, Location, LocationSource, NewImage, NewLabel, OperationKind, Split
from db.registry import Registry, Transaction

KEPT_BY_PEOPLE = frozenset({LocationSource.DRAWN, LocationSource.ACCEPTED, LocationSource.EDITED})


@dataclass(frozen=True, slots=True)
class Opened:
    """A new image, and what of the data set it accounts for."""

    image: NewImage
    counts: Counts


def opened_images(entry: Entry, images: Sequence[NewImage]) -> Iterator[Opened]:
    """Pair the images of an entry with what it counts, which the first of several frames stands for."""
    for number, image in enumerate(images):
        yield Opened(image, entry.counts if number == 0 else NOTHING)


class ImageWriter:
    """Writes opened images into the registry, a chunk in a transaction."""

    def __init__(self, registry: Registry, tally: Tally, request: ImportRequest, *, dry_run: bool) -> None:
        self._registry = registry
        self._tally = tally
        self._request = request
        self._origin = request.origin
        self._change_test = request.change_test
        self._dry_run = dry_run

    def refuse(self, refusal: Refusal) -> None:
        """Note an image that cannot be registered."""
        self._tally.refused.append(refusal)

    def assume(self, entries: Sequence[Entry]) -> None:
        """Count images that nobody has opened, as far as their names tell; for dry runs."""
        if not entries:
            return
        missing = missing_files([entry.path for entry in entries])
        there: list[Entry] = []
        for entry in entries:
            if entry.path.location in missing:
                self.refuse(Refusal(entry.name, "no such file", entry.counts))
            else:
                there.append(entry)
        with self._registry.read() as tx:
            known = tx.images.count_at([entry.path for entry in there])
        self._tally.used += total(entry.counts for entry in there)
        self._tally.registered += len(there) - known
        self._tally.unchanged += known
        self._tally.not_opened += len(there)

    def write(self, opened: Sequence[Opened]) -> None:
        """Register new images, and what is new about known ones."""
        if not opened:
            return
        images = [item.image for item in opened]
        self._tally.warnings += [f"{image.path.name}: {image.remark}" for image in images if image.remark]
        with self._registry.read() if self._dry_run else self._registry.begin() as tx:
            found = tx.images.find(images)
            at_path = {record.path: record for record in found}
            # Registered images whose file is gone: one of the same content elsewhere is the same image, moved.
            wanted = {image.path for image in images}
            gone = [record for record in found if record.path not in wanted and not record.path.exists()]
            new: dict[ImageFile, NewImage] = {}
            for item in opened:
                same_place = at_path.get(item.image.path)
                known = same_place or _moved_from(gone, item.image)
                if known is not None and known.removed and same_place is None:
                    # It was taken out, and its file is gone: what lies elsewhere now is another image.
                    known = None
                if known is not None:
                    if same_place is None:
                        gone.remove(known)
                    self._write_known(tx, known, item, moved=same_place is None)
                elif item.image.path in new:
                    self._leave(item, item.counts, "listed twice; the first one counts")
                else:
                    new[item.image.path] = item.image
                    self._tally.used += item.counts
            self._tally.registered += len(new)
            if self._dry_run:
                self._tally.thumbnails += [image.thumbnail for image in new.values() if image.thumbnail is not None]
            else:
                self._add(tx, list(new.values()))

    def _write_known(self, tx: Transaction, known: ImageRecord, item: Opened, *, moved: bool) -> None:
        refusal = self._contradiction(known, item.image, same_path=not moved)
        if refusal is not None:
            self._tally.refused.append(Refusal(item.image.path.name, refusal, item.counts))
            return
        self._tally.used += item.counts
        if known.removed:
            self._put_back(tx, known, item.image)
        else:
            self._update(tx, known, item, moved=moved)

    def _leave(self, item: Opened, counts: Counts, reason: str) -> None:
        """Note what an image brought and what is not used."""
        self._tally.unused += [
            Unused(part, item.image.path.name, reason, count) for part in Part if (count := getattr(counts, part))
        ]

    def _operation(self, tx: Transaction) -> int:
        """Return the number of this import, which is noted with its first change."""
        if self._tally.operation is None:
            author = plain_text(self._request.author or "unknown")
            self._tally.operation = tx.operations.begin(OperationKind.IMPORT, self._request.operation, author=author)
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
            return f"it is registered as {known.class_name!r}, but this data set says {image.class_name!r}"
        if known.split is not Split.TEST:
            return None
        if image.split not in (None, Split.TEST):
            return f"it is in the test split, which no image ever leaves; this data set says {image.split!s}"
        new_class = image.class_name is not None and known.class_name is None
        new_location = image.location is not None and _location_differs(known, image.location)
        if known.removed:
            return None
        if (new_class or new_location) and not self._change_test:
            return "it is in the test split, whose labels change only on request: repeat with --change-test"
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

    def _update(self, tx: Transaction, known: ImageRecord, item: Opened, *, moved: bool) -> None:
        tally, image = self._tally, item.image
        class_name = image.class_name or known.class_name
        group, split = image.group or known.group, image.split or known.split
        facts_change = (class_name, group, split) != (known.class_name, known.group, known.split)
        label_changes = image.location is not None and (
            _location_differs(known, image.location) or _mask_differs(tx, known, image.location)
        )
        if label_changes and known.label is not None and known.label.source in KEPT_BY_PEOPLE:
            location = Counts(labels=item.counts.labels, masks=item.counts.masks)
            self._leave(item, location, "a person has located it since; the imported location is ignored")
            tally.used = tally.used.without(location)
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


def _mask_differs(tx: Transaction, known: ImageRecord, location: Location) -> bool:
    """Say whether a mask of the same boxes shows something else."""
    if location.mask_png is None or known.label is None or not known.label.has_mask:
        return False
    before = tx.labels.mask_pngs([known.label.id])[known.label.id]
    return before != location.mask_png and bool((mask_from_png(before) != mask_from_png(location.mask_png)).any())
