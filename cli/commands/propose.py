"""propose, predict, query: what a run suggests, in the project and outside it, and what to ask people about."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.datasets.formats.names import PredictionFormat
from cli.command import command
from cli.context import Workspace
from cli.options import Confidence, Devices, DryRun, Nodes, Precision, Run, Tau
from learner.config import Gate

if TYPE_CHECKING:
    from learner.query.query_images import QueryResult

BUDGET = 50
"""Images of a query where nothing else is said."""
SHOWN = 20
CERTIFIED = ("tau", "precision", "confidence", "accepted", "errors", "lower_bound", "needed")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "propose")(propose)
    command(app, "predict")(predict)
    command(app, "query")(query)


def propose(
    work: Workspace,
    run: Run = None,
    tau: Tau = None,
    precision: Precision = None,
    confidence: Confidence = None,
    gate: Annotated[Gate | None, typer.Option(help="Score to compare with tau (default: the run's gate).")] = None,
    budget: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of proposals, highest score first (default: all).")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the proposals with the highest scores to this file.")
    ] = None,
    devices: Devices = None,
    num_nodes: Nodes = 1,
    dry_run: DryRun = False,
) -> None:
    """Propose locations for partly-labeled images.

    Proposals above tau are stored for review; none becomes a label without one.

    --tau auto certifies tau on reviewed validation images; if none can be certified, nothing is proposed.
    """
    from learner.inference.gate import parse_promise, parse_tau

    wanted = parse_tau(tau)
    promise = parse_promise(wanted, precision, confidence)
    work.check_run(run)
    with work.processes("auto", devices, num_nodes) as processes:
        from learner.inference.propose import ProposeRequest, propose_locations

        request = ProposeRequest(run, wanted, gate, budget, promise)
        result = propose_locations(work.registry, request, dry_run=dry_run, processes=processes, progress=work.progress)
    if picture is not None and result.items and processes.is_first and not dry_run:
        from learner.reporting.drawing import draw_proposals

        work.output.remark(f"drawn: {draw_proposals(result, picture)}")
    rows = [
        (Path(item.path).name, item.class_name, item.class_probability, item.score, len(item.boxes))
        for item in result.items[:20]
    ]
    summary = [(key, getattr(result, key)) for key in ("run", "tau", "gate", "considered", "proposed")]
    certified = [
        (kind, *(getattr(found, key) for key in CERTIFIED))
        for kind, found in (("boxes", result.calibration), ("nothing to find", result.nothing))
        if found is not None
    ]
    work.output.document(
        result,
        (("", ""), summary),
        *([(("certificate", *(key.replace("_", " ") for key in CERTIFIED)), certified)] if certified else []),
        (("image", "class", "probability", "score", "boxes"), rows),
    )
    work.say_next(dry_run=dry_run)


def predict(
    work: Workspace,
    sources: Annotated[
        list[str], typer.Argument(metavar="IMAGES", help="Image files, folders, or fsspec URIs of either.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write; with --format yolo, a folder.")],
    layout: Annotated[PredictionFormat, typer.Option("--format", help="Format of the output.")] = PredictionFormat.CSV,
    run: Annotated[
        str | None,
        typer.Option(metavar="R", help="Run to use, or any run's folder (default: the newest run)."),
    ] = None,
) -> None:
    """Predict classes and boxes for images that are not registered. Nothing is added to the registry.

    Repeat the command to resume after an interruption. Unreadable files are listed, and the others are scored.
    """
    from cli.workflows.predict import check_out, find_images, predict_to_file

    files, left_out = find_images(sources)
    place = check_out(out, layout, files)
    of_folder = run is not None and (Path(run).is_dir() or "/" in run)
    if not of_folder:
        work.check_run(run)
    from learner.inference.predict_files import open_run_folder
    from learner.inference.trained_model import open_run

    if of_folder and run is not None:
        model, name = open_run_folder(Path(run)), Path(run).resolve().name
    else:
        model = open_run(work.registry, run)
        name = model.run.name
    found = predict_to_file(model, name, files, place, layout, work.progress)
    report = replace(found, unreadable=(*found.unreadable, *left_out))
    for one in report.unreadable:
        work.output.remark(f"left out: {one.file}: {one.reason}")
    rows = [(key, getattr(report, key)) for key in ("run", "images", "found", "boxes", "resumed")]
    work.output.document(report, (("", ""), [*rows, ("unreadable", len(report.unreadable)), ("written", report.out)]))


def query(
    work: Workspace,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="Query strategy (default: typical before the first training run, disagreement after); see "
            "--strategies.",
        ),
    ] = None,
    budget: Annotated[int, typer.Option(metavar="N", help="Number of images to ask about.")] = BUDGET,
    confirm_share: Annotated[
        float, typer.Option(metavar="F", help="Share of confident proposals to confirm, 0 to 1.")
    ] = 0.6,
    draw_share: Annotated[
        float, typer.Option(metavar="F", help="Share of images to draw on, chosen by the strategy, 0 to 1.")
    ] = 0.3,
    audit_share: Annotated[
        float, typer.Option(metavar="F", help="Share of random images, shown without a proposal, 0 to 1.")
    ] = 0.1,
    run: Run = None,
    tau: Tau = None,
    precision: Precision = None,
    confidence: Confidence = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed.")] = 0,
    strategies: Annotated[bool, typer.Option("--strategies", help="List the query strategies and exit.")] = False,
    devices: Devices = None,
    num_nodes: Nodes = 1,
    dry_run: DryRun = False,
) -> None:
    """Choose the images to ask people about next.

    A query has three parts: confident proposals to confirm, images to draw on, and a random audit. It never includes
    two images of the same patient, video or picture. Send them with: partly push --query
    """
    if strategies:
        _list(work)
        return
    if run is not None:
        work.check_run(run)
    work.check_query(strategy)
    with work.processes("auto", devices, num_nodes) as processes:
        from learner.inference.gate import parse_promise, parse_tau
        from learner.inference.propose import ProposeRequest
        from learner.query.batch import Shares
        from learner.query.query_images import QueryRequest, query_images

        wanted = parse_tau(tau)
        request = QueryRequest(
            strategy=strategy,
            budget=budget,
            shares=Shares(confirm_share, draw_share, audit_share),
            propose=ProposeRequest(run=run, tau=wanted, promise=parse_promise(wanted, precision, confidence)),
            seed=seed,
        )
        result = query_images(work.registry, request, dry_run=dry_run, processes=processes, progress=work.progress)
    _print(work, result)
    if result.query is not None:
        work.output.line("next: partly push --query")


def make_query(work: Workspace, strategy: str | None, budget: int | None, shares: str | None, *, dry_run: bool) -> None:
    """Make a query with what else is the default, before it is pushed; a dry run shows it."""
    work.check_query(strategy)
    from learner.query.batch import Shares
    from learner.query.query_images import QueryRequest, query_images

    request = QueryRequest(strategy, BUDGET if budget is None else budget, Shares.parse(shares))
    result = query_images(work.registry, request, dry_run=dry_run, progress=work.progress)
    if dry_run:
        _print(work, result)
        return
    asked = ", ".join(
        f"{count} {'for the' if part == 'audit' else 'to'} {part}" for part, count in result.parts.items()
    )
    work.output.remark(f"query by {result.strategy}: {asked}")


def _list(work: Workspace) -> None:
    from learner.query.strategies import all_strategies

    found = [(item.name, item.about, ", ".join(sorted(item.needs)) or "nothing") for item in all_strategies()]
    document = [{"strategy": name, "about": about, "needs": needs} for name, about, needs in found]
    work.output.document({"strategies": document}, (("strategy", "order", "needs"), found))


def _print(work: Workspace, result: "QueryResult") -> None:
    rows = [
        (item.image, Path(item.path).name, item.class_name, item.part.value, item.score, item.reason)
        for item in result.items[:SHOWN]
    ]
    summary = [(key, getattr(result, key)) for key in ("query", "strategy", "run", "tau", "considered")]
    summary += [(f"to {part}" if part != "audit" else part, count) for part, count in result.parts.items()]
    work.output.document(result, (("", ""), summary), (("image", "file", "class", "part", "score", "why"), rows))
    if len(result.items) > SHOWN:
        work.output.line(f"and {len(result.items) - SHOWN} more; all of them: --json")
    if not result.items:
        work.output.line("there is no image to ask about: every image has a location or is waiting for review")
