"""What changed between two snapshots, image by image."""

from collections.abc import Iterable
from dataclasses import dataclass

from db.records import ImageRecord, SnapshotRecord
from db.registry import Registry


@dataclass(frozen=True, slots=True)
class Change:
    """One thing about one image that differs between two snapshots."""

    image: ImageRecord
    what: str
    """registered, file, class, group, split, location."""
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class SnapshotDiff:
    """Two snapshots, and everything that differs between them."""

    old: SnapshotRecord
    new: SnapshotRecord
    changes: list[Change]


def compare_snapshots(registry: Registry, first: str, second: str) -> SnapshotDiff:
    """List what changed from one snapshot to another, in time proportional to the changes.

    Args:
        registry: the registry that holds them.
        first: hash of a snapshot, or the start of one.
        second: hash of the other snapshot, or the start of it.

    Raises:
        NotFound: there is no such snapshot.
    """
    with registry.read() as tx:
        old, new = tx.snapshots.get(first), tx.snapshots.get(second)
        ids = tx.snapshots.changed_between(old, new)
        before = {image.id: image for image in tx.snapshots.images_at(old.position, ids)}
        after = {image.id: image for image in tx.snapshots.images_at(new.position, ids)}
    changes = [change for key in ids for change in _changes(before.get(key), after.get(key))]
    return SnapshotDiff(old, new, changes)


def _changes(before: ImageRecord | None, after: ImageRecord | None) -> Iterable[Change]:
    if before is None or after is None:
        if after is not None:
            yield Change(after, "registered", None, describe(after))
        elif before is not None:
            yield Change(before, "registered", describe(before), None)
        return
    facts = {
        "file": (str(before.path), str(after.path)),
        "class": (before.class_name, after.class_name),
        "group": (before.group, after.group),
        "split": (before.split, after.split),
        "location": (_location(before), _location(after)),
    }
    for what, (old, new) in facts.items():
        if old != new:
            yield Change(after, what, old, new)


def describe(image: ImageRecord) -> str:
    """Summarize what is known about an image."""
    parts = [image.class_name or "no class", _location(image), image.split or "no split"]
    return ", ".join(parts)


def _location(image: ImageRecord) -> str:
    label = image.label
    if label is None or not label.boxes:
        said = f" ({label.source})" if label is not None else ""
        return f"{image.location_status}{said}"
    boxes = "; ".join(f"{box.x:g},{box.y:g} {box.width:g}x{box.height:g}" for box in label.boxes)
    who = f", {label.reviewer}" if label.reviewer else ""
    return f"{boxes}{' with mask' if label.has_mask else ''} ({label.source}{who})"
