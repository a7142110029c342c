"""log, snapshots, diff, undo, retract, journal: the history of labels and syncs, and undoing parts of it."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.command import command
from cli.context import Workspace
from cli.documents import document_of
from cli.options import DryRun

EVENT_FIELDS = ("what", "by", "detail", "run", "tau", "score", "iou")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "journal")(journal)
    command(app, "log")(log)
    command(app, "snapshots")(snapshots)
    command(app, "diff")(diff)
    command(app, "undo")(undo)
    command(app, "retract")(retract)


def log(
    work: Workspace,
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="Image: its number, path, URI, or the end of its path.")
    ],
) -> None:
    """Show the history of an image.

    Shows who or what labeled it, when, and from which run's proposal at which tau.
    """
    with work.registry.read() as tx:
        record = tx.images.resolve(image)
        events = tx.history.of_image(record.id)
    document = {
        "image": record.id,
        "path": record.path,
        "key": record.key,
        "class": record.class_name,
        "split": record.split,
        "location": record.location_status,
        "events": events,
    }
    work.output.line(f"image {record.id}  {record.path}")
    table = [
        (event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"), *(getattr(event, name) for name in EVENT_FIELDS))
        for event in events
    ]
    work.output.document(document, (("when", "what", "by", "detail", "run", "tau", "score", "IoU"), table))


def snapshots(
    work: Workspace,
    take: Annotated[bool, typer.Option("--take", help="Take a snapshot now.")] = False,
    dry_run: DryRun = False,
) -> None:
    """List snapshots of the registry. Every training run and export takes one."""
    # Taken, in a dry run it is forgotten again.
    with work.registry.begin(rehearsal=dry_run) if take else work.registry.read() as tx:
        if take:
            tx.snapshots.take()
        found = tx.snapshots.all()
        runs = tx.runs.all()
    trained = {item.hash: [run.name for run in runs if run.snapshot == item.hash] for item in found}
    rows = [
        (item.hash[7:19], item.created_at.isoformat()[:19], item.num_images, ", ".join(trained[item.hash]))
        for item in found
    ]
    work.output.document(
        {"snapshots": [document_of(item) | {"runs": trained[item.hash]} for item in found]},
        (("snapshot", "taken", "images", "runs trained on it"), rows),
    )


def diff(
    work: Workspace,
    first: Annotated[
        str, typer.Argument(metavar="SNAPSHOT", help="Older snapshot: its hash or the start of its hash.")
    ],
    second: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Newer snapshot.")],
) -> None:
    """Show what changed between two snapshots, image by image."""
    from collections import Counter

    from db.history.snapshot_diff import compare_snapshots

    found = compare_snapshots(work.registry, first, second)
    counts = dict(Counter(change.what for change in found.changes))
    rows = [(item.image.id, item.image.path, item.what, item.before, item.after) for item in found.changes]
    work.output.document(
        {"from": found.old.hash, "to": found.new.hash, "counts": counts, "changes": found.changes},
        (("image", "path", "what", "before", "after"), rows),
    )
    said = ", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing"
    work.output.line(f"changed: {said}")


def undo(
    work: Workspace,
    number: Annotated[
        int | None, typer.Argument(metavar="N", help="Number of the operation to undo (default: the last one).")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the operations that can be undone.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Undo an import, pull, split, removal or correction as a whole.

    Nothing is deleted: images that an import registered leave the data set but keep their history, and an undo can
    itself be undone.
    """
    from db.history.undo import undo_operation

    if show:
        _list_operations(work)
        return
    report = undo_operation(work.registry, number, author=work.user, dry_run=dry_run)
    counts = [(name, getattr(report, name)) for name in ("changed", "removed", "restored", "labels", "reviews")]
    kept = [(item.image, item.reason) for item in report.kept]
    work.output.line(f"{'would undo' if dry_run else 'undone'}: {report.detail}")
    work.output.document(
        report,
        (("", "count"), [*counts, ("kept", len(kept))]),
        *([(("image", "left unchanged because"), kept[:20])] if kept else []),
    )
    if report.undo is not None:
        work.output.line(f"to take this back: partly undo {report.undo}")
    if report.retrain:
        work.output.line(f"trained on these labels: {', '.join(report.retrain)}; start a new run: partly train")


def _list_operations(work: Workspace) -> None:
    with work.registry.read() as tx:
        found = tx.operations.all()
    rows = [
        (
            item.id,
            item.kind,
            item.detail,
            item.author,
            item.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            "undone" if item.undone else "",
        )
        for item in found
    ]
    work.output.document({"operations": found}, (("", "kind", "what", "by", "at", ""), rows))


def retract(
    work: Workspace,
    run: Annotated[
        str | None, typer.Option(metavar="R", help="Retract the labels that came from this run's proposals.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option(metavar="NAME", help="Retract the labels of this reviewer.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Retract labels made since then, such as 2026-11-23 or 2026-11-23T14:30."),
    ] = None,
    undo: Annotated[int | None, typer.Option(metavar="N", help="Undo the retraction with this number.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List all retractions.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Retract all labels of a run, of a reviewer, or since a given time.

    Earlier labels apply again. Nothing is deleted, and it can be undone.
    """
    from db.errors import InvalidArgument
    from db.history.retraction import retract_labels, undo_retraction

    if show:
        _list_retractions(work)
        return
    if undo is not None:
        if run or reviewer or since:
            raise InvalidArgument("--undo cannot be combined with --run, --reviewer or --since")
        report = undo_retraction(work.registry, undo, author=work.user, dry_run=dry_run)
    else:
        report = retract_labels(
            work.registry,
            run=run,
            reviewer=reviewer,
            since=_time(since) if since else None,
            author=work.user,
            dry_run=dry_run,
        )
    document = document_of(report)
    work.output.document(document, (("", ""), [(name, str(value)) for name, value in document.items()]))
    if report.retraction is not None and undo is None:
        work.output.line(f"to undo this: partly retract --undo {report.retraction}")
    if report.retrain:
        work.output.line(f"trained on these labels: {', '.join(report.retrain)}; start a new run: partly train")


def _list_retractions(work: Workspace) -> None:
    with work.registry.read() as tx:
        found = tx.retractions.all()
    titles = ("retraction", "run", "reviewer", "since", "by", "at", "labels", "undone")
    rows = [tuple(document_of(item).values()) for item in found]
    work.output.document({"retractions": found}, (titles, rows))


def _time(text: str) -> datetime:
    from db.errors import InvalidArgument

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(f"--since {text!r}: expected a time such as 2026-11-23 or 2026-11-23T14:30") from None
    # A time without a zone is local time.
    return found.astimezone(UTC)


def journal(
    work: Workspace,
    limit: Annotated[int, typer.Option(metavar="N", help="Number of entries, newest first.")] = 10,
) -> None:
    """List recent pushes and pulls, and how they ended.

    Shows what each did and, if it was interrupted, how many of its steps are left.
    """
    from db.records.sync import StepState

    with work.registry.read() as tx:
        syncs = tx.journal.all(limit=max(limit, 1))
        left = {sync.id: len(tx.journal.steps(sync.id, states=[StepState.PLANNED, StepState.SENT])) for sync in syncs}
    rows = [
        (
            sync.id,
            sync.kind,
            sync.status,
            sync.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            ", ".join(f"{count} {name}" for name, count in sync.counts.items() if count and count is not True),
            left[sync.id],
            sync.detail,
        )
        for sync in syncs
    ]
    titles = ("", "kind", "status", "begun", "did", "steps left", "ended with")
    work.output.document({"syncs": [document_of(sync) | {"left": left[sync.id]} for sync in syncs]}, (titles, rows))
