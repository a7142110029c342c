"""Retracts the labels of a run, a reviewer or a period, and undoes retractions. Nothing is deleted."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from db.errors import InvalidArgument
from db.history.classes import SettledClasses, settle_classes
from db.records import LocationLabel, LocationStatus
from db.registry import Registry, Transaction


@dataclass(frozen=True, slots=True)
class RetractionReport:
    """What a retraction, or its undoing, did."""

    retraction: int | None = None
    """Its number, for undoing it; None if nothing matched or on a dry run."""
    labels: int = 0
    """Labels retracted."""
    images: int = 0
    """Images whose current label changed."""
    restored: int = 0
    """Of these, images for which an earlier (or the same) label is current again."""
    unknown: int = 0
    """Of these, images whose location is now unknown."""
    classes: int = 0
    """Images whose class changed: one stated by reviewers was retracted or restored with the labels."""
    retrain: list[str] = field(default_factory=list)
    """Runs trained on at least one of these labels."""
    dry_run: bool = False
    """Nothing was stored; the counts say what would change."""


def retract_labels(
    registry: Registry,
    *,
    run: str | None = None,
    reviewer: str | None = None,
    since: datetime | None = None,
    author: str = "unknown",
    dry_run: bool = False,
) -> RetractionReport:
    """Retract every label that matches all criteria; the previous label of each image becomes current again.

    Retracting a whole run also withdraws its proposals from review. Labels already retracted are skipped, so repeating
    a retraction changes nothing. Classes that reviewers stated are taken back by the same criteria: with a run, those
    that it had proposed.

    Args:
        registry: where the labels are.
        run: name of the run whose proposals were accepted or edited.
        reviewer: the person who made the label.
        since: timezone-aware; labels made at this time or later.
        author: the person who retracts.
        dry_run: return what would change without storing anything.

    Raises:
        InvalidArgument: no criterion is given; NotFound: there is no such run.
    """
    if run is None and reviewer is None and since is None:
        raise InvalidArgument("no labels selected: give --run R, --reviewer NAME or --since TIME, or several")
    with registry.begin(rehearsal=dry_run) as tx:
        run_id = tx.runs.get(run).id if run is not None else None
        found = tx.retractions.statements(run_id=run_id, reviewer=reviewer, since=since)
        whole_run = run_id is not None and reviewer is None and since is None
        in_force = tx.retractions.of_run(run_id) is not None if whole_run and run_id is not None else False
        stated = {label.image_id for label in tx.class_labels.matching(run_id=run_id, reviewer=reviewer, since=since)}
        if not found and not stated and (in_force or not whole_run):
            return RetractionReport(dry_run=dry_run)
        labels = {label_id for label_id, _ in found}
        images = {image_id for _, image_id in found}
        report = RetractionReport(labels=len(labels), retrain=runs_trained_on(tx, labels, images), dry_run=dry_run)
        number = tx.retractions.add(sorted(labels), run_id=run_id, reviewer=reviewer, since=since, author=author)
        origin = f"retraction {number}"
        classes = settle_classes(tx, stated, origin=origin, change_test=True) if stated else SettledClasses()
        report = replace(report, classes=len(classes.changed))
        return _settled(report, number, tx.retractions.settle(images, retraction_id=number))


def undo_retraction(
    registry: Registry, number: int, *, author: str = "unknown", dry_run: bool = False
) -> RetractionReport:
    """Undo a retraction: its labels become current again, unless a newer label has been made since.

    Undoing twice changes nothing.

    Raises:
        NotFound: there is no retraction with this number.
    """
    with registry.begin(rehearsal=dry_run) as tx:
        record = tx.retractions.get(number)
        if record.undone:
            return RetractionReport(dry_run=dry_run)
        images = tx.retractions.images_of(number)
        report = RetractionReport(labels=record.labels, dry_run=dry_run)
        undoing = tx.retractions.undo(number, author=author)
        stated = tx.class_labels.matching(run_id=record.run_id, reviewer=record.reviewer, since=record.since)
        if stated and (record.run_id, record.reviewer, record.since) != (None, None, None):
            origin = f"retraction {number}, undone"
            classes = settle_classes(tx, {label.image_id for label in stated}, origin=origin, change_test=True)
            report = replace(report, classes=len(classes.changed))
        return _settled(report, undoing, tx.retractions.settle(images, retraction_id=undoing))


def _settled(report: RetractionReport, number: int, changed: dict[int, LocationLabel | None]) -> RetractionReport:
    known = sum(label is not None and label.status is not LocationStatus.UNKNOWN for label in changed.values())
    # The number of a rehearsal is not taken.
    stored = None if report.dry_run else number
    return replace(report, retraction=stored, images=len(changed), restored=known, unknown=len(changed) - known)


def runs_trained_on(tx: Transaction, labels: set[int], images: set[int]) -> list[str]:
    """Return the names of runs whose data held at least one of these labels, among those of these images."""
    positions = {snapshot.hash: snapshot.position for snapshot in tx.snapshots.all()}
    names = []
    for run in tx.runs.all():
        if run.snapshot in positions:
            seen = tx.snapshots.images_at(positions[run.snapshot], images)
            if any(image.label is not None and image.label.statement_id in labels for image in seen):
                names.append(run.name)
    return names
