"""bench: the paper's experiments on the registered data."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace
from cli.documents import document_of
from cli.options import DryRun, Weights
from learner.config import Preset

if TYPE_CHECKING:
    from learner.bench.bench import BenchPlan, BenchResult
    from learner.evaluation.estimates import Estimate

STARS = ((0.001, " ***"), (0.01, " **"), (0.05, " *"))
"""What a p-value below each limit is marked with."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "bench")(bench)


def bench(
    work: Workspace,
    table: Annotated[
        str,
        typer.Argument(metavar="TABLE", help="Table or figure: table3-table10, fig6-fig11, overview, modules, shares."),
    ],
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs per stage.")] = None,
    size: Annotated[int | None, typer.Option(metavar="N", help="Image size in pixels.")] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Random seeds (trainings) per method and fold.")] = 3,
    folds: Annotated[int, typer.Option(metavar="K", help="K-fold cross-validation over the images outside test.")] = 0,
    weights: Weights = None,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings start from.")] = "paper",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of every method (repeatable)."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Train and test every method of one of the paper's tables. Finished trainings are shared and never repeated."""
    from learner.bench.bench import Budget, plan_table, run_table
    from learner.config import parse_overrides

    overrides: dict[str, Any] = dict(parse_overrides(settings or []))
    overrides |= {name: value for name, value in (("epochs", epochs), ("size", size)) if value is not None}
    if weights is not None:
        overrides["weights"] = weights
    budget = Budget(seeds=seeds, folds=folds, preset=preset, overrides=overrides)
    if dry_run:
        plan = plan_table(work.registry, table, budget)
        _say_progress(work, plan)
        rows = [(row.method, ", ".join(f"{k}={v}" for k, v in row.settings.items())) for row in plan.rows]
        work.output.document(document_of(plan) | {"dry_run": True}, (("method", "settings"), rows))
        return
    result = run_table(work.registry, table, budget, progress=work.progress)
    _say_progress(work, result)
    metrics = list(result.rows[0].estimates)
    cells = [(row.method, *(_cell(row.estimates[metric]) for metric in metrics)) for row in result.rows]
    work.output.document(document_of(result) | {"dry_run": False}, (("method", *metrics), cells))
    work.output.line(f"figure: {result.figure}")


def _say_progress(work: Workspace, table: "BenchPlan | BenchResult") -> None:
    work.output.line(f"{table.title}: {table.trainings.done} of {table.trainings.total} trainings done")


def _cell(value: "Estimate") -> str:
    """Write a mean with its interval over trainings, stars for p against the last row, [the paper's number]."""
    if value.mean is None:
        return "-"
    text = f"{value.mean:.3f}" + (f" ± {value.ci95:.3f}" if value.ci95 is not None else "")
    p = getattr(value, "p", None)
    text += next((stars for limit, stars in STARS if p is not None and p < limit), "")
    return text + (f" [{value.paper:.3f}]" if value.paper is not None else "")
