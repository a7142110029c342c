"""train, evaluate, propose, runs: what machines do."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.command import command
from cli.commands.data import DryRun, Layout
from cli.context import Workspace

Run = Annotated[str | None, typer.Option("--run", metavar="R", help="A run such as run-1; by default the newest.")]


Devices = Annotated[
    int | None, typer.Option(metavar="N", help="Processes on this machine, one a GPU where there are GPUs.")
]
Nodes = Annotated[int, typer.Option(metavar="M", help="Machines that share the work; each runs the same command.")]


class Preset(StrEnum):
    """Starting points of a configuration."""

    DEFAULT = "default"
    PAPER = "paper"


class ScoredSplit(StrEnum):
    """Splits that can be scored."""

    TEST = "test"
    VAL = "val"


class Target(StrEnum):
    """What Grad-CAM can be asked about."""

    CLASS = "class"
    LESION = "lesion"


Weights = Annotated[
    str | None, typer.Option("--weights", metavar="imagenet|none|FILE", help="Encoder weights to start from.")
]
Pairs = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; may be repeated.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A TOML file of settings.")]
Tau = Annotated[
    str | None,
    typer.Option("--tau", metavar="0.8|auto", help="The score must be above it; auto: certified on validation."),
]


class Gate(StrEnum):
    """What proposals are gated by."""

    CLASS = "class"
    AGREEMENT = "agreement"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "train")(train)
    command(app, "evaluate")(evaluate)
    command(app, "propose")(propose)
    command(app, "runs")(runs)
    command(app, "report")(report)
    command(app, "explain")(explain)


def train(
    work: Workspace,
    preset: Annotated[Preset, typer.Option(help="Where the settings start from.")] = Preset.DEFAULT,
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest interrupted run.")] = False,
    devices: Devices = None,
    num_nodes: Nodes = 1,
    dry_run: DryRun = False,
) -> None:
    """Train in two stages on everything outside test, and keep the best epoch on validation."""
    configured = work.training_config(preset.value, config, settings, weights)
    if dry_run:
        work.output.document(
            {"dry_run": True, "config": configured.to_dict()},
            (("setting", "value"), list(configured.to_dict().items())),
        )
        return
    with work.processes(configured.device, devices, num_nodes) as processes:
        from learner.training.train import train_model

        result = train_model(work.registry, configured, resume=resume, processes=processes, progress=work.progress)
    work.output.document(result, (("", ""), _training_rows(result)))


def _training_rows(result: dict[str, Any]) -> list[tuple[str, object]]:
    rows = [(key, result[key]) for key in ("run", "epochs", "seconds", "images_per_second", "checkpoint")]
    return [*rows, ("best epoch", result["best"]["epoch"]), *_report_rows(result["val"], "validation ")]


def _report_rows(report: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [(f"{prefix}images", report["n"])]
    for part in ("classification", "localization", "empty"):
        rows += [(f"{prefix}{part} {name}", value) for name, value in report[part].items()]
    return rows


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
    work.output.document(report, (("metric", "value"), [("run", report["run"]), *_report_rows(report)]))


def propose(
    work: Workspace,
    run: Run = None,
    tau: Tau = None,
    gate: Annotated[Gate | None, typer.Option(help="What is compared with tau.")] = None,
    budget: Annotated[int | None, typer.Option(metavar="N", help="At most so many, surest first.")] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the surest proposals over their images.")
    ] = None,
    devices: Devices = None,
    num_nodes: Nodes = 1,
    dry_run: DryRun = False,
) -> None:
    """Suggest locations for partly-labeled images; only those above tau are stored, for a person to review."""
    with work.processes("auto", devices, num_nodes) as processes:
        from learner.inference.propose import parse_tau, propose_locations

        result = propose_locations(
            work.registry,
            run=run,
            tau=parse_tau(tau),
            gate=gate.value if gate is not None else None,
            budget=budget,
            dry_run=dry_run,
            processes=processes,
            progress=work.progress,
        )
    if picture is not None and result["items"] and processes.is_first:
        from learner.reporting.drawing import draw_proposals

        work.output.remark(f"drawn: {draw_proposals(result, picture)}")
    rows = [
        (Path(item["path"]).name, item["class"], item["class_probability"], item["score"], len(item["boxes"]))
        for item in result["items"][:20]
    ]
    summary = [(key, result[key]) for key in ("run", "tau", "gate", "considered", "proposed")]
    work.output.document(result, (("", ""), summary), (("image", "class", "probability", "score", "boxes"), rows))


def runs(work: Workspace) -> None:
    """List all trainings."""
    with work.registry.read() as tx:
        records = tx.runs.all()
    rows = []
    for record in records:
        val = record.metrics.get("val") or {}
        auc = val.get("classification", {}).get("auc")
        iou = val.get("localization", {}).get("iou")
        begun, snapshot = f"{record.created_at:%Y-%m-%d %H:%M}", record.snapshot.removeprefix("sha256:")
        rows.append((record.name, record.preset, str(record.status), begun, auc, iou, snapshot[:12]))
    titles = ("run", "preset", "status", "begun", "auc", "iou", "snapshot")
    work.output.document({"runs": [dict(zip(titles, row, strict=True)) for row in rows]}, (titles, rows))


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
