"""evaluate, report, explain: how good a run is, in numbers and pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace
from cli.options import Devices, Layout, Nodes, Run, ScoredSplit, Target


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "evaluate")(evaluate)
    command(app, "report")(report)
    command(app, "explain")(explain)


def evaluate(
    work: Workspace,
    run: Run = None,
    split: Annotated[ScoredSplit, typer.Option(help="Which registered images to score.")] = ScoredSplit.TEST,
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Score a data set that is not registered, and never will be by this."),
    ] = None,
    layout: Annotated[Layout, typer.Option(help="Layout of --data.")] = Layout.CSV,
    devices: Devices = None,
    num_nodes: Nodes = 1,
) -> None:
    """Score a run: classification, localization, and images that are known to be empty."""
    from db.records import Split

    images = None
    if data is not None:
        from annotator.datasets.decode import open_data_set

        images, refused = open_data_set(data, layout.value, progress=work.progress)
        for refusal in refused:
            work.output.remark(f"left out: {refusal.file}: {refusal.reason}")
    with work.processes("auto", devices, num_nodes) as processes:
        from learner.evaluation.evaluate import evaluate_run

        report = evaluate_run(
            work.registry,
            run=run,
            split=Split(split.value),
            images=images,
            processes=processes,
            progress=work.progress,
        )
    if report["left_out"]:
        work.output.remark(
            f"left out: {report['left_out']} test images that {report['run']} or a copy of them was shown"
        )
    if "leaks" in report:
        iou = report["leaks"]["without"]["localization"]["iou"]
        work.output.remark(
            f"{report['leaks']['n']} of the images are, or show the same as, what {report['run']} was shown, so these "
            f"numbers flatter; without them accuracy {report['leaks']['without']['classification']['accuracy']}, "
            f"box IoU {iou} (all of them: --json, under leaks)"
        )
    work.output.document(report, (("metric", "value"), [("run", report["run"]), *metric_rows(report)]))


def report(
    work: Workspace,
    run: Run = None,
    split: Annotated[
        ScoredSplit | None, typer.Option(help="Which images; by default test, or validation where there is none.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="R", help="Another run to compare it with, on the same images.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the page; by default reports/RUN.")
    ] = None,
) -> None:
    """Write an HTML page about a run: its numbers, curves, and the images it did best and worst on."""
    from db.records import Split
    from learner.reporting.report import write_report

    with work.registry.read() as tx:
        name = (tx.runs.get(run) if run is not None else tx.runs.latest()).name
    folder = out if out is not None else work.settings.root / "reports" / name
    chosen = Split(split.value) if split is not None else None
    written = write_report(work.registry, folder, run=name, split=chosen, against=against, progress=work.progress)
    document = {
        "page": str(written.page),
        "run": written.run,
        "split": written.split,
        "n": written.n,
        "figures": written.figures,
    }
    work.output.document(document, (("", ""), [(key, document[key]) for key in ("page", "run", "split", "n")]))


def explain(
    work: Workspace,
    run: Run = None,
    split: Annotated[
        ScoredSplit | None, typer.Option(help="Whose images; by default test, or validation where there is none.")
    ] = None,
    image: Annotated[list[int] | None, typer.Option(metavar="N", help="This image instead; may be repeated.")] = None,
    target: Annotated[Target, typer.Option(help="What to explain.")] = Target.CLASS,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="By default the encoder's last map.")] = None,
    list_layers: Annotated[bool, typer.Option("--list-layers", help="Print the layers there are.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", help="At most so many images.")] = 12,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the pictures; by default explanations/RUN.")
    ] = None,
) -> None:
    """Draw where a model looks (Grad-CAM) when it names a class or draws a lesion."""
    from db.records import Split
    from learner.reporting.explain import explain_images

    with work.registry.read() as tx:
        name = (tx.runs.get(run) if run is not None else tx.runs.latest()).name
    result = explain_images(
        work.registry,
        out if out is not None else work.settings.root / "explanations" / name,
        run=name,
        split=Split(split.value) if split is not None else None,
        image_ids=image or (),
        target=target.value,
        layer=layer,
        limit=0 if list_layers else limit,
        progress=work.progress,
    )
    pictures = [(item["image"], item["class"], item["predicted"], item["picture"]) for item in result["items"]]
    tables = ((("layer",), [(item,) for item in result["layers"]]),) if list_layers else (
        (("", ""), [(key, result[key]) for key in ("run", "target", "layer")]),
        (("image", "class", "predicted", "picture"), pictures),
    )  # fmt: skip
    work.output.document(result, *tables)


def metric_rows(report: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """List a report's metrics as rows of a table, their names after `prefix`."""
    rows: list[tuple[str, object]] = [(f"{prefix}images", report["n"])]
    for part in ("classification", "localization", "empty"):
        rows += [(f"{prefix}{part} {name}", value) for name, value in report[part].items()]
    return rows
