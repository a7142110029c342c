"""list, show, doctor, remove, set, export: looking over a set, correcting it, and handing it on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.datasets.formats.names import ImagesIn, OutputFormat
from cli.command import command
from cli.context import Workspace
from cli.documents import JSON_NAMES, document_of
from cli.exits import REGISTRY
from cli.options import ChangeTest, DryRun, Images, Pairs
from cli.output import Table
from db.plain_text import counted
from db.records import Split, Supervision

if TYPE_CHECKING:
    from db.curation.changes import ChangeReport


class ListedSplit(StrEnum):
    """Splits that images can be listed of."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    NONE = "none"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "list")(list_)
    command(app, "show")(show)
    command(app, "doctor")(doctor)
    command(app, "remove")(remove)
    command(app, "set")(set_)
    command(app, "export")(export)


def list_(
    work: Workspace,
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Only this class; '' for images without one.")
    ] = None,
    split: Annotated[ListedSplit | None, typer.Option(help="Only this split; none: images without one.")] = None,
    supervision: Annotated[
        Supervision | None,
        typer.Option(help="fully: class and location known; partly: class only; unlabeled: neither."),
    ] = None,
    located: Annotated[
        bool | None, typer.Option("--located/--unlocated", help="Only images whose location is known, or unknown.")
    ] = None,
    proposed: Annotated[
        bool | None,
        typer.Option("--proposed/--unproposed", help="Only images with a pending proposal, or without one."),
    ] = None,
    run: Annotated[str | None, typer.Option(metavar="R", help="Only pending proposals of this run.")] = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="S", help="Lowest score of a pending proposal, 0 to 1.")
    ] = None,
    max_score: Annotated[
        float | None, typer.Option(metavar="S", help="Highest score of a pending proposal, 0 to 1.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(metavar="WHO", help="Only locations drawn or confirmed by this person.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only images whose path contains this, ignoring case.")
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates", help="Only images that have near-duplicates.")
    ] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Maximum number of images (default: all).")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV table.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print only the paths, one per line.")] = False,
    null: Annotated[
        bool, typer.Option("--print0", help="Like --paths, but end each path with NUL, for xargs -0.")
    ] = False,
) -> None:
    """List images, filtered by what is known about them."""
    from db.curation.listing import ListedImage, list_images
    from db.errors import InvalidArgument
    from db.records.images import ImageFilter

    wanted = ImageFilter(
        class_name=class_name,
        split=split.value if split is not None else None,
        supervision=supervision,
        located=located,
        proposed=proposed,
        run=run,
        min_score=min_score,
        max_score=max_score,
        reviewer=reviewer,
        name=name,
        look_alikes=near_duplicates,
        limit=limit,
    )
    if (as_csv or paths or null) and (work.output.as_json or (as_csv and (paths or null))):
        raise InvalidArgument("--json, --csv and --paths cannot be combined; choose one")
    found = list_images(work.registry, wanted)
    if paths or null:
        work.output.paths((item.path for item in found), end="\0" if null else "\n")
        return
    if as_csv:
        titles = [JSON_NAMES.get(field.name, field.name) for field in fields(ListedImage)]
        work.output.csv_rows(titles, (_cells(row) for row in found))
        return
    items = list(found)
    shown = ("image", "path", "class", "split", "location", "boxes", "reviewer", "proposed", "score", "run")
    documents = [document_of(item) for item in items]
    work.output.document(
        {"images": documents, "total": len(items)}, (shown, [[one[name] for name in shown] for one in documents])
    )
    work.output.line(counted(len(items), "image"))


def show(
    work: Workspace,
    images: Images,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PNG", help="Draw to this file (default: shown.png)."),
    ] = None,
    size: Annotated[int, typer.Option(metavar="PX", help="Longer side of each image in the picture, in pixels.")] = 480,
) -> None:
    """Draw images with their known boxes and pending proposals.

    Known boxes are green, pending proposals orange. Draws in the terminal if it can show pictures (kitty, WezTerm,
    Ghostty, iTerm2, and those that show sixels: foot, mlterm, contour, Windows Terminal), else to a PNG file.
    PARTLY_PICTURES names another method: kitty, iterm, sixel or none.
    """
    import os
    import sys

    from cli.terminal_pictures import picture_protocol
    from learner.reporting.drawing import Panel, draw_page

    with work.registry.read() as tx:
        records = [tx.images.resolve(name) for name in images]
        waiting = {item.image_id: item for item in tx.proposals.pending_for([record.id for record in records])}
    panels, documents = [], []
    for record in records:
        proposal = waiting.get(record.id)
        known = str(record.label.source) if record.label is not None else "location unknown"
        said = "" if proposal is None else f"  {proposal.run_name}: {proposal.score:.2f}"
        proposed = proposal.boxes if proposal is not None else ()
        caption = f"{record.id} {record.path.name}  {record.class_name or 'no class'}, {known}{said}"
        panels.append(Panel(record.path, caption, proposed=proposed, truth=record.boxes))
        documents.append(
            {
                "image": record.id,
                "path": str(record.path),
                "class": record.class_name,
                "split": record.split,
                "location": record.location_status,
                "source": record.label.source if record.label is not None else None,
                "reviewer": record.label.reviewer if record.label is not None else None,
                "boxes": list(record.boxes),
                "proposal": None
                if proposal is None
                else {"run": proposal.run_name, "score": proposal.score, "boxes": list(proposal.boxes)},
            }
        )
    protocol = picture_protocol(os.environ) if out is None and sys.stdout.isatty() and not work.output.as_json else None
    place = draw_page(panels, out or work.settings.root / "shown.png", columns=3, cell_px=size)
    columns = ("image", "class", "split", "location", "source", "reviewer")
    rows = [[one[name] for name in columns] for one in documents]
    work.output.document({"images": documents, "picture": place}, (columns, rows))
    if protocol is not None:
        work.output.picture(protocol(place.read_bytes()))
    else:
        work.output.line(f"drawn: {place}")


def _cells(row: Any) -> list[str]:
    """Write a row of csv: nothing for what is not known, several numbers with blanks between them."""
    return [
        "" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for value in document_of(row).values()
    ]


def doctor(
    work: Workspace,
    verify: Annotated[bool, typer.Option("--verify", help="Read every file and check its content hash.")] = False,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Compare with the connected Label Studio project instead.")
    ] = False,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="List classes and boxes contradicted by a model that has not seen them (trains one per fold).",
        ),
    ] = False,
    folds: Annotated[int, typer.Option(metavar="K", help="With --labels: number of folds, one training run each.")] = 5,
    settings: Pairs = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="With --labels: turn the findings into a query, for partly push --query.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 4 if anything is found.")] = False,
) -> None:
    """Find what is wrong or suspicious in the data.

    Looks for duplicates and near-duplicates, class conflicts, leaks between splits, and missing files. With --labels:
    for labels that are probably wrong. With --label-studio: for duplicate or deleted tasks, and annotations that differ
    from the registry.
    """
    findings: Sequence[Any]
    if labels:
        from learner.early_checks import check_training

        configured = work.training_config("default", None, settings, None)
        check_training(work.registry, configured)
        from learner.query.label_errors import LabelCheck, ask_about, find_label_errors

        check = LabelCheck(configured, folds)
        findings = find_label_errors(work.registry, check, progress=work.progress)
        if ask and ask_about(work.registry, findings) is not None:
            work.output.line("next: partly push --query --known --ask-class")
    elif label_studio:
        from annotator.label_studio.reconcile import compare_with_studio

        with work.connected_client() as client:
            findings = compare_with_studio(work.registry, client)
    else:
        from db.curation.doctor import find_problems

        findings = find_problems(work.registry, verify_files=verify, progress=work.progress)
    rows = [
        (
            finding.kind,
            " ".join(str(image.id) for image in finding.images[:8]) + (" ..." if len(finding.images) > 8 else ""),
            ", ".join(image.path.name for image in finding.images[:3]) + (", ..." if len(finding.images) > 3 else ""),
            finding.detail,
        )
        for finding in findings
    ]
    work.output.document(
        {"findings": findings},
        *([(("kind", "images", "files", "detail"), rows)] if rows else []),
    )
    counts = Counter(finding.kind for finding in findings)
    work.output.line(", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no problems found")
    if strict and findings:
        raise typer.Exit(REGISTRY)


def remove(
    work: Workspace,
    images: Images,
    change_test: ChangeTest = False,
    dry_run: DryRun = False,
) -> None:
    """Remove images from the data set.

    Their files and their history are kept. Undo it with: partly undo
    """
    from db.curation.changes import remove_images

    report = remove_images(work.registry, images, change_test=change_test, author=work.user, dry_run=dry_run)
    _print_changes(work, report, "removed")


def set_(
    work: Workspace,
    images: Images,
    class_name: Annotated[str | None, typer.Option("--class", metavar="NAME", help="The correct class.")] = None,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="The correct group: a patient, a video.")] = None,
    change_test: ChangeTest = False,
    dry_run: DryRun = False,
) -> None:
    """Correct the class or group of images.

    The history records who did it. Undo it with: partly undo
    """
    from db.curation.changes import set_facts

    report = set_facts(
        work.registry,
        images,
        class_name=class_name,
        group=group,
        change_test=change_test,
        author=work.user,
        dry_run=dry_run,
    )
    _print_changes(work, report, "changed")


def _print_changes(work: Workspace, report: "ChangeReport", done: str) -> None:
    document = {
        "images": [{"image": image.id, "path": image.path} for image in report.images],
        "changed": len(report.images),
        "unchanged": report.unchanged,
        "operation": report.operation,
        "warnings": report.warnings,
        "dry_run": report.dry_run,
    }
    for warning in report.warnings:
        work.output.remark(f"warning: {warning}")
    rows = [(image.id, image.path, image.class_name, image.group, image.split) for image in report.images]
    tables: list[Table] = [(("image", "path", "class was", "group was", "split"), rows)] if rows else []
    work.output.document(document, *tables)
    count = len(report.images)
    would = "would be " if report.dry_run else ""
    work.output.line(
        f"{would}{done}: {counted(count, 'image')}" + (f"; {report.unchanged} already were" if report.unchanged else "")
    )
    if report.operation is not None:
        work.output.line(f"to undo this: partly undo {report.operation}")


def export(
    work: Workspace,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to create.")],
    layout: Annotated[OutputFormat, typer.Option("--format", help="Label format.")],
    snapshot: Annotated[
        str | None, typer.Option(metavar="S", help="Snapshot to export (default: the current state).")
    ] = None,
    split: Annotated[list[Split] | None, typer.Option(help="Only images of this split (repeatable).")] = None,
    unlabeled: Annotated[
        bool, typer.Option("--unlabeled", help="Include images whose location is unknown, marked as such.")
    ] = False,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Include unreviewed proposals, marked as such.")
    ] = False,
    images: Annotated[
        ImagesIn, typer.Option(help="Copy the images (upright), or only reference the originals.")
    ] = ImagesIn.COPY,
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe",
            help="With --format csv: put an apostrophe before texts that a spreadsheet would run as formulas. Such a "
            "file is only for reading; it cannot be imported again.",
        ),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Export reviewed and imported labels with their images. The same snapshot gives the same bytes."""
    from annotator.datasets.export_images import ExportRequest, export_images

    request = ExportRequest(
        out,
        layout.value,
        snapshot=snapshot,
        splits=tuple(split) if split else None,
        unlabeled=unlabeled,
        proposals=proposals,
        images=images.value,
        spreadsheet_safe=spreadsheet_safe,
    )
    report = export_images(work.registry, request, dry_run=dry_run, progress=work.progress)
    document = document_of(report) | {"out": str(out), "format": layout.value, "dry_run": dry_run}
    counts = [(name, getattr(report, name)) for name in ("images", "present", "empty", "unknown", "boxes", "proposed")]
    skipped = [(item.image, item.path, item.reason) for item in report.skipped]
    for warning in report.warnings:
        work.output.remark(f"warning: {warning}")
    work.output.document(
        document,
        (("", "count"), counts),
        *([(("image", "path", "skipped because"), skipped)] if skipped else []),
    )
    if not dry_run and report.snapshot is not None:
        work.output.line(
            f"to repeat this export: partly export --snapshot {report.snapshot[7:19]} --format {layout.value} OUT"
        )
    if report.skipped:
        raise typer.Exit(REGISTRY)
