"""propose: locations that a run suggests, for a person to review."""

from pathlib import Path
from typing import Annotated

import typer

from cli.command import command
from cli.context import Workspace
from cli.options import Devices, DryRun, Nodes, Run, Tau
from learner.config import Gate


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "propose")(propose)


def propose(
    work: Workspace,
    run: Run = None,
    tau: Tau = None,
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
    """Propose locations for partly-labeled images. Those above tau are stored for review."""
    with work.processes("auto", devices, num_nodes) as processes:
        from learner.inference.gate import parse_tau
        from learner.inference.propose import ProposeRequest, propose_locations

        request = ProposeRequest(run, parse_tau(tau), gate, budget)
        result = propose_locations(work.registry, request, dry_run=dry_run, processes=processes, progress=work.progress)
    if picture is not None and result.items and processes.is_first and not dry_run:
        from learner.reporting.drawing import draw_proposals

        work.output.remark(f"drawn: {draw_proposals(result, picture)}")
    rows = [
        (Path(item.path).name, item.class_name, item.class_probability, item.score, len(item.boxes))
        for item in result.items[:20]
    ]
    summary = [(key, getattr(result, key)) for key in ("run", "tau", "gate", "considered", "proposed")]
    work.output.document(result, (("", ""), summary), (("image", "class", "probability", "score", "boxes"), rows))
