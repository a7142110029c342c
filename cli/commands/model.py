"""model export, model card: a run's model for use without its project, and what to say about it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command import command
from cli.context import Workspace
from cli.help.pages import PlainGroup
from cli.options import DryRun
from learner.export.places import CARD, ExportFormat, check_installed, check_place

if TYPE_CHECKING:
    from learner.export.export_model import ModelExportReport
    from learner.export.source import RunSource

ModelRun = Annotated[
    str | None,
    typer.Option("--run", metavar="R", help="Run to use, or any run's folder (default: the newest run)."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an earlier export or card.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    model = typer.Typer(
        name="model",
        cls=PlainGroup,
        help="Use a run's model elsewhere: export it, or describe it in a model card.",
        no_args_is_help=True,
    )
    command(model, "export")(export)
    command(model, "card")(card)
    app.add_typer(model)


def export(
    work: Workspace,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write; with --format safetensors, a folder.")],
    layout: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="onnx and torchscript: one file, framing and normalization included. safetensors: a folder for "
            "partly predict --run FOLDER.",
        ),
    ] = ExportFormat.ONNX,
    run: ModelRun = None,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Export a run's model with a model card beside it. It is checked against the network before it is written.

    ONNX needs: pip install 'partly[onnx]'
    """
    check_place(out, layout, force=force)
    check_installed(layout)
    source = _source(work, run)
    from learner.export.places import card_beside, card_is_of

    card_is_of(card_beside(out.absolute(), layout), source.weights_sha256, force=force)
    from learner.export.export_model import ModelExportRequest, export_model

    report = export_model(source, ModelExportRequest(out, layout, force), dry_run=dry_run, progress=work.progress)
    checked = report.checked
    rows: list[tuple[str, object]] = [(key, getattr(report, key)) for key in ("run", "format", "out")]
    rows += [("files", ", ".join(report.files)), ("size", f"{report.bytes / 1e6:.1f} MB")]
    for kind, ports in (("input", report.inputs), ("output", report.outputs)):
        rows += [(kind, f"{name}: {one.dtype} {' x '.join(map(str, one.shape))}") for name, one in ports.items()]
    rows.append(("checked", f"{checked.images} images, largest difference {checked.largest_difference:.1e}"))
    work.output.document(report, (("", ""), rows))
    if report.card_kept:
        work.output.remark(f"{report.card} already describes this run, and is left as it is (--force rewrites it)")
    work.output.line(_next(report, dry_run=dry_run))


def card(
    work: Workspace,
    out: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help=f"File to write, or folder (default: reports/RUN/{CARD})."),
    ] = None,
    run: ModelRun = None,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Write a run's model card.

    It states what the model is for, how it was trained, its metrics, certificate and limitations.
    """
    source = _source(work, run)
    from learner.export.places import card_place

    target = card_place(work.settings.root / "reports" / source.name / CARD if out is None else out, force=force)
    from learner.export.model_card import write_card

    report = write_card(source, target, force=force, dry_run=dry_run)
    rows = [("run", report.run), ("card", report.card)]
    numbers = [(split, f"{n} images" if n is not None else "not evaluated") for split, n in report.evaluated.items()]
    work.output.document(report, (("", ""), [*rows, *numbers, ("certificate", "yes" if report.certified else "none")]))
    missing = [split for split, n in report.evaluated.items() if n is None]
    if missing and source.record is not None:
        work.output.line(
            f"next: partly evaluate --run {report.run} --split {missing[-1]} (the card has no results for it)"
        )


def _source(work: Workspace, run: str | None) -> "RunSource":
    """Find the run that is meant, before anything that takes long is loaded."""
    from learner.export.source import source_of_folder, source_of_run

    if run is not None and (Path(run).is_dir() or "/" in run):
        return source_of_folder(Path(run))
    return source_of_run(work.registry, run)


def _next(report: "ModelExportReport", *, dry_run: bool) -> str:
    if dry_run:
        return "nothing was written; to write it, leave out --dry-run"
    if report.format == ExportFormat.SAFETENSORS:
        return f"next: partly predict IMAGES found.csv --run {shlex.quote(str(report.out))}"
    return f"next: see {report.card} for the code that runs it"
