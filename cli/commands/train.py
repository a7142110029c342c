"""train, runs, settings: making models, the list of them, and what they are made with."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.command import command
from cli.commands.evaluate import metric_rows
from cli.context import Workspace
from cli.documents import document_of
from cli.help.completion import setting_keys
from cli.help.words import in_time
from cli.options import ConfigFile, Devices, DryRun, Nodes, Pairs, Weights
from db.plain_text import counted
from learner.config import Preset

if TYPE_CHECKING:
    from cli.training_settings import TrainingSettings
    from learner.training.train import TrainResult

FEW_IMAGES = 30
"""As in learner.evaluation.few, which loads slowly."""
RUN_KEYS = ("run", "preset", "status", "begun", "auc", "iou", "snapshot")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "train")(train)
    command(app, "runs")(runs)
    command(app, "settings")(settings)


def train(
    work: Workspace,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings are based on.")] = "default",
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the newest interrupted run.")] = False,
    devices: Devices = None,
    num_nodes: Nodes = 1,
    dry_run: DryRun = False,
) -> None:
    """Train in two stages on all images outside the test split.

    With --dry-run: show the settings that differ from the preset, the images, and the time and memory needed, estimated
    from a few real steps of each stage; nothing is written.
    """
    from learner.early_checks import check_training

    chosen = work.training_settings(preset, config, settings, weights)
    configured = chosen.config
    if work.is_first_process:
        check_training(work.registry, configured, resume=resume)
    if dry_run:
        if work.is_first_process:
            _rehearse(work, chosen, resume=resume)
            if (devices or 1) * num_nodes > 1:
                work.output.line("this is for one process; several would share the work of each step")
        return
    with work.processes(configured.device, devices, num_nodes) as processes:
        from learner.training.train import train_model

        result = train_model(work.registry, configured, resume=resume, processes=processes, progress=work.progress)
    work.output.document(document_of(result) | {"dry_run": False}, (("", ""), _training_rows(result)))
    from learner.evaluation.few import warn_of_few

    if (few := warn_of_few(result.val)) is not None:
        work.output.line(f"warning: validation has {few}")
    work.say_next()


def _rehearse(work: Workspace, chosen: "TrainingSettings", *, resume: bool) -> None:
    """Show what a training would see and take."""
    from db.imaging.limits import in_words
    from learner.training.prepare import describe_plan, plan_training
    from learner.training.rehearsal.measure import rehearse_training
    from learner.training.rehearsal.seen import count_seen

    plan = plan_training(work.registry, chosen.config, resume=resume, progress=work.progress, dry_run=True)
    planned, seen = describe_plan(plan), count_seen(plan)
    estimate = rehearse_training(work.registry, plan, work.progress)
    changed = chosen.differing(plan.config, resumed=planned.resumes)
    document = document_of(planned) | {"changed": changed, "seen": document_of(seen), "estimate": estimate}
    rows = [(item.split, item.class_name, item.located, item.empty, item.unknown, item.images) for item in seen]
    parts = [
        (item.part, item.epochs, item.count, item.measured, f"{item.seconds_each:.3g}", in_time(item.seconds))
        for item in estimate.parts
    ]
    work.output.document(
        document | {"dry_run": True},
        ((f"differs from preset {plan.config.preset}", "value", "from"), [tuple(item.values()) for item in changed]),
        (("split", "class", "located", "known to be empty", "location unknown", "images"), rows),
        (("part", "epochs", "count", "measured", "seconds each", "takes"), parts),
    )
    memory = f"{in_words(estimate.memory_bytes)} of {'GPU ' if estimate.memory_of == 'gpu' else ''}memory"
    work.output.line(
        f"takes about {in_time(estimate.seconds)} (likely {in_time(estimate.low)} to {in_time(estimate.high)}) and "
        f"{memory} on {estimate.device}, starting from weights: {estimate.weights}; nothing was written"
    )


def runs(work: Workspace) -> None:
    """List all runs."""
    from cli.workflows.run_list import summarize_run

    with work.registry.read() as tx:
        records = tx.runs.all()
    found = [summarize_run(record) for record in records]
    measured = [(record.name, (record.metrics.get("val") or {}).get("n", FEW_IMAGES)) for record in records]
    few = [f"{name} ({counted(n, 'image')})" for name, n in measured if 0 < n < FEW_IMAGES]
    documents = [{key: getattr(run, key) for key in (*RUN_KEYS, "state")} for run in found]
    # A script reads what is stored; people see at once that nobody is training it any more.
    rows = [tuple((document | {"status": document["state"]}).values())[: len(RUN_KEYS)] for document in documents]
    work.output.document({"runs": documents}, (RUN_KEYS, rows))
    if few:
        work.output.line(f"warning: few validation images, so the numbers are uncertain: {', '.join(few)}")


def settings(
    work: Workspace,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY", help="Show this setting in full (default: list all).", autocompletion=setting_keys
        ),
    ] = None,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings are based on.")] = "default",
    weights: Weights = None,
    settings: Pairs = None,
    config: ConfigFile = None,
) -> None:
    """Explain all settings, with the value in force and where it comes from.

    Training settings take precedence in this order: --set and --weights, --config, [train] in partly.toml, the preset.
    The other settings of partly.toml and environment variables follow. Outside a project, defaults are shown.
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
