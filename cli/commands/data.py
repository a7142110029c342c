"""init, import, status, split: what is registered."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.datasets.formats.names import InputFormat
from cli.command import command
from cli.context import Workspace
from cli.documents import document_of
from cli.exits import REGISTRY
from cli.options import ChangeTest, DryRun
from cli.settings import find_project, settings_of, write_project_file

if TYPE_CHECKING:
    from annotator.datasets.import_images import ImportReport


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "init")(init)
    command(app, "import")(import_)
    command(app, "status")(status)
    command(app, "split")(split)


def init(
    work: Workspace,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Project folder (default: the current one).")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Create a project: folder, settings file and registry. An existing registry is upgraded."""
    from db.errors import RegistryMissing
    from db.maintenance.backup import upgrade_registry
    from db.registry import create_registry

    root = (folder or work.options.project or find_project(Path.cwd()) or Path.cwd()).resolve()
    settings = settings_of(root, database=work.options.database)
    try:
        upgrade_registry(settings.database_url, root, dry_run=dry_run)
        created = False
    except RegistryMissing:
        created = True
    if not dry_run:
        write_project_file(root)
        if created:
            create_registry(settings.database_url, root).close()
    work.output.document({"project": str(root), "created": created, "dry_run": dry_run})
    would = "would create" if created and dry_run else "created" if created else "is there already:"
    work.output.line(f"{would} {root}; next: partly import PATH --layout csv")


def import_(
    work: Workspace,
    path: Annotated[str, typer.Argument(help="Data set: a folder, a labels.csv, a COCO file, or a URI (s3://).")],
    layout: Annotated[
        InputFormat, typer.Option(help="Layout of the data set (default: found out from its files).")
    ] = InputFormat.AUTO,
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR|URI", help="Folder that image names are relative to (default: the data set's own)."),
    ] = None,
    keep_locations: Annotated[
        float,
        typer.Option(
            metavar="F",
            help="Keep this share of the locations (stratified by class); the other images become partly labeled.",
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Random seed of --keep-locations.")] = 0,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Regular expression that extracts an image's group (patient, video) from its name."
        ),
    ] = None,
    origin: Annotated[
        int | None,
        typer.Option(
            min=0, max=1, help="With voc: number of the first pixel (default: found out from who wrote the files)."
        ),
    ] = None,
    mask_background: Annotated[
        int | None,
        typer.Option(metavar="N", help="Value of masks that means background (default: black or transparent pixels)."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Import even if the data set seems to be read in the wrong layout.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 4 after any warning too: something was not used.")
    ] = False,
    change_test: ChangeTest = False,
    dry_run: DryRun = False,
) -> None:
    """Register the images of a data set with their labels. Importing the same data again changes nothing."""
    from dataclasses import replace

    from annotator.datasets.import_images import ImportRequest, import_images
    from annotator.errors import DataSuspicious

    request = ImportRequest(
        path,
        layout.value,
        images=images,
        keep_locations=keep_locations,
        seed=seed,
        group_by=group_by,
        change_test=change_test,
        first_pixel=origin,
        mask_background=mask_background,
        force=force,
        author=work.user,
    )
    try:
        report = import_images(work.registry, request, dry_run=dry_run, progress=work.progress)
    except DataSuspicious as exc:
        answer = work.output.confirm(f"partly: {exc}\nImport it all the same?")
        if answer is None:
            raise
        if not answer:
            raise typer.Exit(REGISTRY) from None
        request = replace(request, force=True)
        report = import_images(work.registry, request, dry_run=dry_run, progress=work.progress)
    _print_import(work, report, dry_run=dry_run)
    if report.refused or (strict and report.warnings):
        raise typer.Exit(REGISTRY)


def _print_import(work: Workspace, report: "ImportReport", *, dry_run: bool) -> None:
    if report.recognised is not None:
        work.output.remark(report.recognised)
    for warning in report.warnings:
        work.output.remark(f"warning: {warning}")
    counts = {name: getattr(report, name) for name in ("registered", "updated", "moved", "unchanged")}
    refused = [{"file": refusal.file, "reason": refusal.reason} for refusal in report.refused]
    if report.near_duplicates:
        work.output.remark(
            f"{report.near_duplicates} pairs of near-duplicates; splits keep them together. List them: partly doctor"
        )
    counts["near_duplicates"] = report.near_duplicates
    work.output.document(
        {
            **counts,
            "refused": refused,
            "warnings": report.warnings,
            "operation": report.operation,
            "recognised": report.recognised,
            "dry_run": dry_run,
        },
        (("images", "count"), [*counts.items(), ("refused", len(refused))]),
        *([(("refused", "reason"), [(item["file"], item["reason"]) for item in refused])] if refused else []),
    )
    if report.operation is not None:
        work.output.line(f"to undo this import: partly undo {report.operation}")


def status(work: Workspace) -> None:
    """Count images by supervision, proposals by outcome, and runs."""
    with work.registry.read() as tx:
        counts = document_of(tx.status.count())
    rows = [(part, name, count) for part, values in counts.items() for name, count in values.items()]
    work.output.document(counts, (("", "", "count"), rows))


def split(
    work: Workspace,
    val: Annotated[float, typer.Option(metavar="F", help="Share of images for validation.")] = 0.15,
    test: Annotated[float, typer.Option(metavar="F", help="Share of images for test.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed and images give the same splits.")] = 0,
    dry_run: DryRun = False,
) -> None:
    """Split the images by group, stratified by class. A test image never leaves the test split."""
    from db.curation.splitting import explain_sizes, split_images

    counts = split_images(work.registry, val=val, test=test, seed=seed, author=work.user, dry_run=dry_run)
    notes = explain_sizes(work.registry, counts, val=val, test=test)
    for note in notes:
        work.output.remark(f"warning: {note}")
    work.output.document(
        {"splits": counts, "notes": notes, "dry_run": dry_run}, (("split", "images"), list(counts.items()))
    )
