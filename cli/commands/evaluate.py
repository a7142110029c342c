"""evaluate, report, explain: how good a run is, in numbers and pictures."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.datasets.formats.names import InputFormat
from cli.command import command
from cli.context import Workspace
from cli.documents import document_of
from cli.options import Devices, Nodes, Run
from db.plain_text import counted
from learner.config import ExplainTarget, ScoredSplit

if TYPE_CHECKING:
    from learner.evaluation.aggregate import Summary


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "evaluate")(evaluate)
    command(app, "report")(report)
    command(app, "explain")(explain)


def evaluate(
    work: Workspace,
    run: Run = None,
    split: Annotated[ScoredSplit, typer.Option(help="Split to score.")] = "test",
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Score an unregistered data set, without adding it to the registry."),
    ] = None,
    layout: Annotated[InputFormat, typer.Option(help="Layout of --data.")] = InputFormat.CSV,
    devices: Devices = None,
    num_nodes: Nodes = 1,
) -> None:
    """Score a run on held-back images.

    Reports classification, localization, and false positives on images known to be empty.
    """
    from db.records import Split

    work.check_run(run)
    images = None
    if data is not None:
        from annotator.datasets.decode import open_data_set

        images, refused = open_data_set(data, layout.value, say=work.output.remark, progress=work.progress)
        for refusal in refused:
            work.output.remark(f"left out: {refusal.file}: {refusal.reason}")
    with work.processes("auto", devices, num_nodes) as processes:
        from learner.evaluation.evaluate import evaluate_run

        evaluation = evaluate_run(
            work.registry,
            run=run,
            split=Split(split),
            images=images,
            processes=processes,
            progress=work.progress,
        )
    if evaluation.left_out:
        work.output.remark(
            f"left out: {counted(evaluation.left_out, 'test image')} that {evaluation.run} was trained on, or copies "
            "of its training images"
        )
    if evaluation.leaks is not None:
        without = evaluation.leaks.without
        work.output.remark(
            f"{evaluation.leaks.n} of the images are training images of {evaluation.run} or copies of them, so these "
            f"numbers are too high; without them: accuracy {without.classification.accuracy}, box IoU "
            f"{without.localization.iou} (all numbers: --json, key leaks)"
        )
    if not processes.is_first:
        return
    from learner.evaluation.few import metric_intervals, warn_of_few

    rows: list[tuple[object, ...]] = [("run", evaluation.run), *metric_rows(evaluation.summary)]
    few = warn_of_few(evaluation.summary)
    if few is None:
        work.output.document(evaluation, (("metric", "value"), rows))
        work.say_next()
        return
    groups = None
    if images is None:
        from db.curation.leakage import group_names

        with work.registry.read() as tx:
            groups = group_names(tx)
    ends = metric_intervals(evaluation.rows, evaluation.classes, groups)
    told = [(*row, f"{ends[row[0]][0]:.3f} to {ends[row[0]][1]:.3f}" if row[0] in ends else "") for row in rows]
    work.output.document(
        document_of(evaluation) | {"intervals": ends, "warning": few}, (("metric", "value", "95% interval"), told)
    )
    work.output.line(f"warning: {few}")
    work.say_next()


def report(
    work: Workspace,
    run: Run = None,
    split: Annotated[
        ScoredSplit | None,
        typer.Option(help="Split to report on (default: test, or validation if there is no test split)."),
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="R", help="Compare with this run on the same images.")] = None,
    rounds: Annotated[
        bool,
        typer.Option("--rounds", help="Report on the rounds instead: learning curve, certificate, reviews, time."),
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Output folder (default: reports/RUN).")] = None,
) -> None:
    """Write an HTML report about a run.

    It shows metrics, curves, and the images with the best and worst results. With --rounds: one page about the loop,
    written for clinicians (default folder: reports/rounds).
    """
    if rounds:
        from cli.workflows.rounds_report import write_rounds_report

        folder = out if out is not None else work.settings.root / "reports" / "rounds"
        told = write_rounds_report(work.registry, folder, title=work.settings.title, progress=work.progress)
        work.output.document(told, (("", ""), [(key, getattr(told, key)) for key in ("page", "rounds", "reviews")]))
        return
    name = work.check_run(run)
    from db.records import Split
    from learner.reporting.report import write_report

    folder = out if out is not None else work.settings.root / "reports" / name
    chosen = Split(split) if split is not None else None
    written = write_report(work.registry, folder, run=name, split=chosen, against=against, progress=work.progress)
    rows = [(key, getattr(written, key)) for key in ("page", "run", "split", "n")]
    work.output.document(written, (("", ""), rows))


def explain(
    work: Workspace,
    run: Run = None,
    split: Annotated[
        ScoredSplit | None,
        typer.Option(help="Split to take images from (default: test, or validation if there is no test split)."),
    ] = None,
    image: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Explain the image with this number instead (repeatable).")
    ] = None,
    target: Annotated[ExplainTarget, typer.Option(help="Network output to explain.")] = "class",
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Layer to look at (default: the encoder's last feature map).")
    ] = None,
    list_layers: Annotated[bool, typer.Option("--list-layers", help="List the available layers.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", help="Maximum number of images.")] = 12,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Output folder (default: explanations/RUN).")] = None,
) -> None:
    """Draw Grad-CAM heat maps for a run's class or lesion output."""
    name = work.check_run(run)
    from db.records import Split
    from learner.reporting.explain import ExplainRequest, explain_images

    request = ExplainRequest(
        run=name,
        split=Split(split) if split is not None else None,
        image_ids=tuple(image or ()),
        target=target,
        layer=layer,
        limit=0 if list_layers else limit,
    )
    folder = out if out is not None else work.settings.root / "explanations" / name
    result = explain_images(work.registry, folder, request, progress=work.progress)
    if list_layers:
        work.output.document(result, (("layer",), [(item,) for item in result.layers]))
        return
    pictures = [(item.image, item.class_name, item.predicted, item.picture) for item in result.items]
    summary = [(key, getattr(result, key)) for key in ("run", "target", "layer")]
    work.output.document(result, (("", ""), summary), (("image", "class", "predicted", "picture"), pictures))


def metric_rows(summary: "Summary", prefix: str = "") -> list[tuple[str, object]]:
    """List the numbers of an evaluation as rows of a table, their names after `prefix`."""
    rows: list[tuple[str, object]] = [(f"{prefix}images", summary.n)]
    for part in ("classification", "localization", "empty"):
        record = getattr(summary, part)
        rows += [(f"{prefix}{part} {field.name}", getattr(record, field.name)) for field in fields(record)]
    return rows
