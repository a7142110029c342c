"""init, import, status, next, split: what is registered, and what to do about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command import command
from cli.commands.import_data import import_
from cli.context import Workspace
from cli.documents import document_of
from cli.options import DryRun
from cli.settings import find_project, settings_of, write_project_file

if TYPE_CHECKING:
    from db.records.certificates import CertificateKind, CertificateRecord


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "init")(init)
    command(app, "import")(import_)
    command(app, "status")(status)
    command(app, "next")(next_)
    command(app, "split")(split)


def init(
    work: Workspace,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Project folder (default: the current one).")
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
    would = "would create" if created and dry_run else "created" if created else "already exists:"
    work.output.line(f"{would} {root}; next: partly import PATH")


def status(work: Workspace) -> None:
    """Count images, locations, classes, splits, proposals and runs.

    Images are fully labeled (class and location known), partly labeled (class only) or unlabeled. What is certified for
    the newest run is shown below the counts.
    """
    from contextlib import suppress

    from db.errors import NotFound

    certificates: dict[CertificateKind, CertificateRecord] = {}
    with work.registry.read() as tx:
        counts = document_of(tx.status.count())
        with suppress(NotFound):
            certificates = tx.certificates.of_run(tx.runs.latest().id)
    rows = [(part, name, count) for part, values in counts.items() for name, count in values.items()]
    work.output.document(counts | {"certificates": document_of(certificates)}, (("", "", "count"), rows))
    for found in certificates.values():
        work.output.line(f"{found.run_name}: {found.promise}")


def next_(work: Workspace) -> None:
    """Say what to do next, with the command to type and the reason."""
    from cli.workflows.next_steps import next_steps

    steps = next_steps(work.registry, work.studio_runs)
    work.output.document({"steps": steps}, (("next", "why"), [(step.command, step.why) for step in steps]))


def split(
    work: Workspace,
    val: Annotated[float, typer.Option(metavar="F", help="Share of images for validation, 0 to 1.")] = 0.15,
    test: Annotated[float, typer.Option(metavar="F", help="Share of images for test, 0 to 1.")] = 0.0,
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
    work.say_next(dry_run=dry_run)
