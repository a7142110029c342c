"""Undoes an import, a pull, a split or a change by hand as a whole. Nothing is deleted: an undoing is one more change.

An image that the operation registered is removed from the data set (its history stays), facts go back to what they
were, and labels are retracted. What has been changed again since is left as it is, and named. An undoing can be undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from db.errors import Conflict
from db.history.retraction import runs_trained_on
from db.records import ImageChange, ImageFacts, OperationKind, OperationRecord, Split
from db.registry import Registry, Transaction

TRAINED = "it is in the test split, which an image never leaves once a model has been trained"
CHANGED = "it has been changed again since"


@dataclass(frozen=True, slots=True)
class Kept:
    """An image that an undo leaves as it is."""

    image: int
    reason: str


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What an undo did."""

    operation: int
    """The operation that was undone."""
    kind: OperationKind
    detail: str
    undo: int | None = None
    """Number of the undo, for undoing it in turn; None on a dry run."""
    changed: int = 0
    """Images whose class, group or split was restored."""
    removed: int = 0
    """Images removed from the data set because the operation had registered them."""
    restored: int = 0
    """Images that are part of the data set again."""
    labels: int = 0
    """Labels retracted or restored."""
    reviews: int = 0
    """Reviews that the next pull will store again."""
    kept: list[Kept] = field(default_factory=list)
    retrain: list[str] = field(default_factory=list)
    """Runs trained on at least one of these labels."""
    dry_run: bool = False


def last_operation(tx: Transaction) -> OperationRecord:
    """Return the operation that an undo without a number means: the last one that is neither undone nor an undoing.

    Raises:
        Conflict: there is none.
    """
    for record in reversed(tx.operations.all()):
        if record.kind is not OperationKind.UNDO and not record.undone:
            return record
    raise Conflict("there is nothing to undo; list all operations: partly undo --list")


def undo_operation(
    registry: Registry, number: int | None = None, *, author: str = "unknown", dry_run: bool = False
) -> UndoReport:
    """Undo an operation, in one transaction.

    Args:
        registry: where it was done.
        number: the operation; None for the last one.
        author: the person who undoes it.
        dry_run: return what would change without storing anything.

    Raises:
        NotFound: there is no such operation; Conflict: it is undone already, or there is none.
    """
    with registry.begin(rehearsal=dry_run) as tx:
        record = tx.operations.get(number) if number is not None else last_operation(tx)
        if record.undone:
            raise Conflict(f"operation {record.id} ({record.detail}) has already been undone")
        wanted, kept = _plan(tx, tx.operations.changes(record.id))
        report = UndoReport(
            operation=record.id,
            kind=record.kind,
            detail=record.detail,
            changed=sum(_facts_differ(change.now, facts) for change, facts in wanted),
            removed=sum(facts.removed and not change.now.removed for change, facts in wanted),
            restored=sum(change.now.removed and not facts.removed for change, facts in wanted),
            reviews=tx.operations.reviews(record.id),
            kept=kept,
            dry_run=dry_run,
        )
        labels, retraction = _labels(tx, record)
        ids, images = {label for label, _ in labels}, {image for _, image in labels}
        count = tx.retractions.get(retraction).labels if retraction is not None else len(labels)
        report = replace(report, labels=count, retrain=runs_trained_on(tx, ids, images))
        undo = tx.operations.begin(OperationKind.UNDO, f"undo of {record.detail}", author=author, undoes=record.id)
        _apply(tx, wanted, undo, origin=f"undo of {record.detail} by {author}")
        tx.operations.close_undo(undo, retraction=_take_back(tx, labels, retraction, author))
        # The number of a rehearsal is not taken.
        return replace(report, undo=None if dry_run else undo)


def _plan(tx: Transaction, changes: Sequence[ImageChange]) -> tuple[list[tuple[ImageChange, ImageFacts]], list[Kept]]:
    """Work out what images go back to, and which stay as they are."""
    trained = bool(tx.runs.all())
    wanted: list[tuple[ImageChange, ImageFacts]] = []
    kept: list[Kept] = []
    for change in changes:
        before = change.before or replace(change.after, removed=True)
        facts, reason = change.now, None
        for name in ("class_name", "group", "split", "removed"):
            old, new, now = (getattr(item, name) for item in (before, change.after, change.now))
            if old == new or now == old:
                continue
            if now != new:
                reason = CHANGED
            elif name == "split" and now is Split.TEST and trained:
                reason = TRAINED
            else:
                facts = replace(facts, **{name: old})
        if reason is not None:
            kept.append(Kept(change.image_id, reason))
        if facts != change.now:
            wanted.append((change, facts))
    return wanted, kept


def _facts_differ(first: ImageFacts, second: ImageFacts) -> bool:
    return replace(first, removed=False) != replace(second, removed=False)


def _apply(tx: Transaction, wanted: Sequence[tuple[ImageChange, ImageFacts]], undo: int, *, origin: str) -> None:
    for change, facts in wanted:
        if _facts_differ(change.now, facts):
            tx.images.set_facts(
                change.image_id,
                class_name=facts.class_name,
                group=facts.group,
                split=facts.split,
                origin=origin,
                operation_id=undo,
            )
    for removed in (True, False):
        moved = [change.image_id for change, facts in wanted if facts.removed is removed is not change.now.removed]
        tx.images.set_removed(moved, removed, origin=origin, operation_id=undo)


def _labels(tx: Transaction, record: OperationRecord) -> tuple[list[tuple[int, int]], int | None]:
    """Return the labels to retract, as (label, image), or the retraction to undo.

    To undo an undoing is to do again what it undid, and to undo that is to undo the first operation once more.
    """
    first, does = record, True
    while first.undoes_id is not None:
        first, does = tx.operations.get(first.undoes_id), not does
    if not does:
        return [], record.retraction_id
    labels = tx.operations.labels(first.id)
    standing = tx.retractions.standing([label for label, _ in labels])
    return [item for item in labels if item[0] in standing], None


def _take_back(tx: Transaction, labels: Sequence[tuple[int, int]], retraction: int | None, author: str) -> int | None:
    if retraction is not None:
        images = tx.retractions.images_of(retraction)
        number = tx.retractions.undo(retraction, author=author)
    elif labels:
        images = sorted({image for _, image in labels})
        number = tx.retractions.add([label for label, _ in labels], author=author)
    else:
        return None
    tx.retractions.settle(images, retraction_id=number)
    return number
