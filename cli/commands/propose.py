"""propose: locations that a run suggests, for a person to review."""

from pathlib import Path
from typing import Annotated

import typer

from cli.command import command
from cli.context import Workspace
from cli.options import Confidence, Devices, DryRun, Nodes, Precision, Run, Tau
from learner.config import Gate

CERTIFIED = ("tau", "precision", "confidence", "accepted", "errors", "lower_bound", "needed")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "propose")(propose)


def propose(
    work: Workspace,
    run: Run = None,
    tau: Tau = None,
    precision: Precision = None,
    confidence: Confidence = None,
    gate: Annotated[Gate | None, typer.Option(help="Score that is compared with tau.")] = None,
    budget: Annotated[
        int | None, typer.Option(metavar="N", help="Maximum number of proposals, highest score first.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the proposals with the highest scores to this file.")
    ] = None,
    devices: Devices = None,
    num_nodes: Nodes = 1,
    dry_run: DryRun = False,
) -> None:
    """Propose locations for partly-labeled images. Those above tau are stored for review.

    --tau auto certifies tau on reviewed validation images; if none can be certified, nothing is proposed.
    """
    with work.processes("auto", devices, num_nodes) as processes:
        from learner.inference.gate import parse_promise, parse_tau
        from learner.inference.propose import ProposeRequest, propose_locations

        wanted = parse_tau(tau)
        request = ProposeRequest(run, wanted, gate, budget, parse_promise(wanted, precision, confidence))
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
