"""train, runs, settings: making models, the list of them, and what they are made with."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.command import command
from cli.commands.evaluate import metric_rows
from cli.context import Workspace
from cli.documents import document_of
from cli.help.completion import setting_keys
from cli.options import ConfigFile, Devices, DryRun, Nodes, Pairs, Weights
from learner.config import Preset

if TYPE_CHECKING:
    from learner.training.train import TrainResult

RUN_KEYS = ("run", "preset", "status", "begun", "auc", "iou", "snapshot")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "train")(train)
    command(app, "runs")(runs)
    command(app, "settings")(settings)


def train(
    work: Workspace,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings start from.")] = "default",
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the newest interrupted run.")] = False,
    devices: Devices = None,
    num_nodes: Nodes = 1,
    dry_run: DryRun = False,
) -> None:
    """Train in two stages on all images outside the test split."""
    from learner.early_checks import check_training

    configured = work.training_config(preset, config, settings, weights)
    if work.is_first_process:
        check_training(work.registry, configured, resume=resume)
    if dry_run:
        from learner.training.prepare import describe_plan, plan_training

        planned = describe_plan(
            plan_training(work.registry, configured, resume=resume, progress=work.progress, dry_run=True)
        )
        rows: list[tuple[str, object]] = [(f"images {name}", count) for name, count in planned.images.items()]
        work.output.document(
            document_of(planned) | {"dry_run": True},
            (("", ""), rows),
            (("setting", "value"), list(planned.config.items())),
        )
        return
    with work.processes(configured.device, devices, num_nodes) as processes:
        from learner.training.train import train_model

        result = train_model(work.registry, configured, resume=resume, processes=processes, progress=work.progress)
    work.output.document(document_of(result) | {"dry_run": False}, (("", ""), _training_rows(result)))
    work.say_next()


def runs(work: Workspace) -> None:
    """List all runs."""
    from cli.workflows.run_list import summarize_run

    with work.registry.read() as tx:
        found = [summarize_run(record) for record in tx.runs.all()]
    documents = [{key: getattr(run, key) for key in (*RUN_KEYS, "state")} for run in found]
    # A script reads what is stored; people see at once that nobody is training it any more.
    rows = [tuple((document | {"status": document["state"]}).values())[: len(RUN_KEYS)] for document in documents]
    work.output.document({"runs": documents}, (RUN_KEYS, rows))


def settings(
    work: Workspace,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY", help="Show this setting in full (default: list all).", autocompletion=setting_keys
        ),
    ] = None,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings start from.")] = "default",
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
) -> None:
    """Explain all settings, with the value in force and where it comes from.

    Settings of trainings count in this order: --set and --weights, --config, [train] in partly.toml, the preset. Then
    come the other settings of partly.toml, and environment variables. Outside of a project, defaults are shown.
    """
    from cli.help.settings_page import explain_settings

    page = explain_settings(work, key, training=(preset, config, settings, weights))
    work.output.document(page.document, *page.tables)


def _training_rows(result: "TrainResult") -> list[tuple[str, object]]:
    rows = [
        (key, getattr(result, key))
        for key in ("run", "weights", "epochs", "seconds", "images_per_second", "checkpoint")
    ]
    return [*rows, ("kept epoch", result.best.epoch), *metric_rows(result.val, "validation ")]
