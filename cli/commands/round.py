"""round: the whole loop in one command."""

from typing import Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace
from cli.options import ConfigFile, DryRun, Gate, Pairs, Preset, Tau, Weights


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    command(app, "round")(one_round)


def one_round(
    work: Workspace,
    preset: Annotated[Preset, typer.Option(help="Where the training's settings start from.")] = Preset.DEFAULT,
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
    tau: Tau = None,
    gate: Annotated[Gate | None, typer.Option(help="What is compared with tau.")] = None,
    budget: Annotated[int | None, typer.Option(metavar="N", help="At most so many proposals, surest first.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="At most so many new tasks.")] = None,
    resolve: Annotated[
        str, typer.Option(metavar="POLICY", help="What holds where several people have spoken: see partly pull.")
    ] = "latest",
    dry_run: DryRun = False,
) -> None:
    """Pull, train on all that is known, propose, and push the proposals; repeat it to go on where it was cut."""
    from cli.commands.label_studio import empty_means_none
    from cli.workflows.round import RoundOptions, run_round
    from learner.inference.gate import parse_tau

    options = RoundOptions(
        config=work.training_config(preset.value, config, settings, weights),
        tau=parse_tau(tau),
        gate=gate.value if gate is not None else None,
        budget=budget,
        limit=limit,
        policy=resolve,
        empty_is_none=empty_means_none(None, work.settings.empty_result),
    )
    with work.connected_client() as client:
        result = run_round(
            work.registry,
            client,
            options,
            media_folder=work.media_folder(client.url),
            dry_run=dry_run,
            progress=work.progress,
        )
    work.output.document(result, (("step", "did"), [(step, _words(value)) for step, value in result.items()]))


def _words(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    counts = {name: len(item) if isinstance(item, list) else item for name, item in value.items()}
    told = [f"{name} {count}" for name, count in counts.items() if count and not isinstance(count, dict)]
    return ", ".join(told) or "nothing"
