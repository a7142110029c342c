"""demo: the main job, from nothing to a retrained model."""

from pathlib import Path
from typing import Annotated

import typer

from cli.command import command
from cli.context import Workspace
from cli.documents import document_of
from cli.options import DryRun
from cli.settings import settings_of, write_project_file

METRICS = (
    ("classification", "accuracy"),
    ("classification", "auc"),
    ("localization", "iou"),
    ("localization", "dice"),
    ("localization", "ap50_all"),
    ("empty", "false_positive_rate"),
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "demo")(demo)


def demo(
    work: Workspace,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Use real images (csv layout) instead of phantoms.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the demo project; a number is appended if it exists.")
    ] = Path("partly-demo"),
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a training setting (repeatable).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    dry_run: DryRun = False,
) -> None:
    """Run the whole loop on images drawn by the program itself.

    Trains on a quarter of the boxes, proposes, has the images reviewed in Label Studio, retrains, and compares.
    """
    from cli.workflows.demo import run_demo
    from db.registry import create_registry
    from learner.config import parse_overrides

    root = fresh_folder(out)
    if dry_run:
        work.output.document({"dry_run": True, "project": str(root), "data": str(data) if data else "phantoms"})
        work.output.line(f"would work in {root}")
        return
    write_project_file(root)
    registry = create_registry(settings_of(root, database=work.options.database).database_url, root)
    result = run_demo(
        registry,
        work.studio,
        data=data.resolve() if data is not None else None,
        title=f"partly demo: {root.name}",
        overrides=parse_overrides(settings or []),
        seed=seed,
        progress=work.progress,
    )
    document = document_of(result) | {"project": str(root), "data": str(data) if data else "phantoms", "dry_run": False}
    before, after = result.before.summary, result.after.summary
    rows = [
        (f"{part} {name}", getattr(getattr(before, part), name), getattr(getattr(after, part), name))
        for part, name in METRICS
    ]
    titles = (f"{after.n} held-out images", "before review", "after review")
    work.output.document(document, (titles, rows))
    work.output.line(f"project      {root}")
    work.output.line(f"picture      {result.picture}")
    work.output.line(f"Label Studio {result.address}")
    work.output.line(f"             user {result.username}, password in {work.studio.account_file}")
    work.output.line("             stop it with: partly studio stop")


def fresh_folder(wanted: Path) -> Path:
    """Return the wanted folder if it is new or empty, else the first free name with a number behind it."""
    folder, number = wanted.resolve(), 2
    while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        folder = wanted.resolve().with_name(f"{wanted.name}-{number}")
        number += 1
    return folder
