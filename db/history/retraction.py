"""Takes back every label born from a run, a reviewer or a time, and takes that back again. Nothing is deleted."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from db.errors import InvalidArgument
from db.records import LocationLabel, LocationStatus
from db.registry import Registry, Transaction


@dataclass(frozen=True, slots=True)
class RetractionReport:
    """What a retraction, or its undoing, did."""

    retraction: int | None = None
    """Its number, by which it can be undone; None where there was nothing to do."""
    labels: int = 0
    """Statements taken back."""
    images: int = 0
    """Images of which something else is known now."""
    restored: int = 0
    """Of these, images for which an earlier (or the same) statement holds again."""
    unknown: int = 0
    """Of these, images whose location is not known any more."""
    retrain: list[str] = field(default_factory=list)
    """Runs that were trained on one of these statements."""
    dry_run: bool = False
    """Nothing was written; the rest is what would be."""


def retract_labels(
    registry: Registry,
    *,
    run: str | None = None,
    reviewer: str | None = None,
    since: datetime | None = None,
    author: str = "unknown",
    dry_run: bool = False,
) -> RetractionReport:
    """Take back every statement that fits all criteria; what was said before it holds again.

    A run's own proposals do not wait for a person any more either. Statements that are taken back already are left
    alone, so that the same retraction twice changes nothing.

    Args:
        registry: where the labels are.
        run: name of the run whose proposals were accepted or edited.
        reviewer: the person who said it.
        since: with a time zone; statements made then or later.
        author: who takes them back.
        dry_run: only say what would be done.

    Raises:
        InvalidArgument: no criterion is given; NotFound: there is no such run.
    """
    if run is None and reviewer is None and since is None:
        raise InvalidArgument("say what to take back: --run R, --reviewer NAME, --since TIME, or several of them")
    with registry.read() if dry_run else registry.begin() as tx:
        run_id = tx.runs.get(run).id if run is not None else None
        found = tx.retractions.statements(run_id=run_id, reviewer=reviewer, since=since)
        whole_run = run_id is not None and reviewer is None and since is None
        in_force = tx.retractions.of_run(run_id) is not None if whole_run and run_id is not None else False
        if not found and (in_force or not whole_run):
            return RetractionReport(dry_run=dry_run)
        labels = {label_id for label_id, _ in found}
        images = {image_id for _, image_id in found}
        report = RetractionReport(labels=len(labels), retrain=_trained_on(tx, labels, images), dry_run=dry_run)
        if dry_run:
            held = [image.label.statement_id for image in tx.images.select(ids=images) if image.label is not None]
            return replace(report, images=sum(statement in labels for statement in held))
        number = tx.retractions.add(sorted(labels), run_id=run_id, reviewer=reviewer, since=since, author=author)
        return _settled(report, number, tx.retractions.settle(images, retraction_id=number))


def undo_retraction(
    registry: Registry, number: int, *, author: str = "unknown", dry_run: bool = False
) -> RetractionReport:
    """Take a retraction back: what it took back holds again, unless something newer was said since.

    Undoing twice changes nothing.

    Raises:
        NotFound: there is no retraction with this number.
    """
    with registry.read() if dry_run else registry.begin() as tx:
        record = tx.retractions.get(number)
        if record.undone:
            return RetractionReport(dry_run=dry_run)
        images = tx.retractions.images_of(number)
        report = RetractionReport(labels=record.labels, dry_run=dry_run)
        if dry_run:
            return replace(report, images=len(images))
        undoing = tx.retractions.undo(number, author=author)
        return _settled(report, undoing, tx.retractions.settle(images, retraction_id=undoing))


def _settled(report: RetractionReport, number: int, changed: dict[int, LocationLabel | None]) -> RetractionReport:
    known = sum(label is not None and label.status is not LocationStatus.UNKNOWN for label in changed.values())
    return replace(report, retraction=number, images=len(changed), restored=known, unknown=len(changed) - known)


def _trained_on(tx: Transaction, labels: set[int], images: set[int]) -> list[str]:
    positions = {snapshot.hash: snapshot.position for snapshot in tx.snapshots.all()}
    names = []
    for run in tx.runs.all():
        if run.snapshot in positions:
            seen = tx.snapshots.images_at(positions[run.snapshot], images)
            if any(image.label is not None and image.label.statement_id in labels for image in seen):
                names.append(run.name)
    return names
