"""bench, simulate: experiments. The paper's on the registered data, and the loop replayed on a labeled data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace
from cli.documents import document_of
from cli.options import DryRun, Pairs, Weights
from db.plain_text import counted
from learner.config import Preset

if TYPE_CHECKING:
    from learner.bench.bench import BenchPlan, BenchResult
    from learner.evaluation.estimates import Estimate
    from learner.simulation.simulate import Mean, SimulationResult

STARS = ((0.001, " ***"), (0.01, " **"), (0.05, " *"))
"""What a p-value below each limit is marked with."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "bench")(bench)
    command(app, "simulate")(simulate)


def bench(
    work: Workspace,
    table: Annotated[
        str,
        typer.Argument(metavar="TABLE", help="Table or figure: table3-table10, fig6-fig11, overview, modules, shares."),
    ],
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs per stage (default: the preset's).")] = None,
    size: Annotated[
        int | None, typer.Option(metavar="N", help="Side of the framed images in pixels (default: the preset's).")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Random seeds (training runs) per method and fold.")] = 3,
    folds: Annotated[
        int, typer.Option(metavar="K", help="Cross-validation folds over the images outside the test split; 0: none.")
    ] = 0,
    weights: Weights = None,
    preset: Annotated[Preset, typer.Option(help="Preset that the settings are based on.")] = "paper",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of every method (repeatable)."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Repeat a table or figure from the paper on the registered images.

    Trains and tests every method in it. Finished training runs are shared between tables and never repeated.
    """
    from learner.bench.checks import check_bench
    from learner.config import make_config, parse_overrides

    overrides: dict[str, Any] = dict(parse_overrides(settings or []))
    overrides |= {name: value for name, value in (("epochs", epochs), ("size", size)) if value is not None}
    if weights is not None:
        overrides["weights"] = weights
    make_config(preset, overrides)
    check_bench(work.registry, table)
    from learner.bench.bench import Budget, plan_table, run_table

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
    work.output.line(f"{table.title}: {table.trainings.done} of {counted(table.trainings.total, 'training run')} done")


def _cell(value: "Estimate") -> str:
    """Write a mean with its interval over trainings, stars for p against the last row, [the paper's number]."""
    if value.mean is None:
        return "-"
    text = f"{value.mean:.3f}" + (f" ± {value.ci95:.3f}" if value.ci95 is not None else "")
    p = getattr(value, "p", None)
    text += next((stars for limit, stars in STARS if p is not None and p < limit), "")
    return text + (f" [{value.paper:.3f}]" if value.paper is not None else "")


def simulate(
    work: Workspace,
    data: Annotated[Path, typer.Option(metavar="PATH", help="Data set whose locations are all known.")],
    layout: Annotated[str, typer.Option(metavar="LAYOUT", help="Layout of the data set; see partly import.")] = "auto",
    strategy: Annotated[
        list[str] | None,
        typer.Option(metavar="S", help="Query strategy to compare with random (repeatable; default: all)."),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", help="Queries per replay.")] = 5,
    budget: Annotated[int, typer.Option(metavar="N", help="Images per query.")] = 30,
    start: Annotated[
        float, typer.Option(metavar="F", help="Share of the locations known at the start; 0: a cold start.")
    ] = 0.1,
    seeds: Annotated[int, typer.Option(metavar="N", help="Replays per strategy.")] = 8,
    confirm_share: Annotated[float, typer.Option(metavar="F", help="Share of each query to confirm, 0 to 1.")] = 0.6,
    draw_share: Annotated[float, typer.Option(metavar="F", help="Share of each query to draw on, 0 to 1.")] = 0.3,
    audit_share: Annotated[
        float, typer.Option(metavar="F", help="Share of each query chosen at random, 0 to 1.")
    ] = 0.1,
    tau: Annotated[float | None, typer.Option(metavar="T", help="Tau for proposals (default: the preset's).")] = None,
    warm: Annotated[
        bool, typer.Option("--warm", help="Start each training run from the previous one's network.")
    ] = False,
    accept_s: Annotated[float, typer.Option(metavar="S", help="Seconds to accept a box.")] = 1.8,
    edit_s: Annotated[float, typer.Option(metavar="S", help="Seconds to correct a box.")] = 25.5,
    draw_s: Annotated[float, typer.Option(metavar="S", help="Seconds to draw a box.")] = 25.5,
    nothing_s: Annotated[float, typer.Option(metavar="S", help='Seconds to say "no lesion".')] = 1.8,
    wrong_accepts: Annotated[float, typer.Option(metavar="F", help="Share of wrong proposals accepted.")] = 0.0,
    misses: Annotated[float, typer.Option(metavar="F", help="Share of lesions overlooked.")] = 0.0,
    preset: Annotated[Preset, typer.Option(help="Preset that the training settings are based on.")] = "default",
    settings: Pairs = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Number of processes that share the replays.")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for replays and figure.")] = Path("simulation"),
    dry_run: DryRun = False,
) -> None:
    """Compare query strategies by replaying the loop on labeled data.

    Every strategy starts with the same locations. Finished work is kept in --out: an interrupted simulation can be
    resumed, and another strategy or more seeds can be added.
    """
    from learner.query.batch import Shares
    from learner.query.strategies import STRATEGIES

    overrides = _checked(preset, settings, strategy, data)
    from cli.workflows.simulate import DataSet, register_truth
    from learner.reporting.plots import plot_learning
    from learner.simulation.replay import ReplayPlan
    from learner.simulation.reviewer import Reviewer
    from learner.simulation.simulate import Work, plan_replays
    from learner.simulation.simulate import simulate as run_simulation

    first = ReplayPlan(
        strategy="",
        seed=0,
        rounds=rounds,
        budget=budget,
        start=start,
        shares=Shares(confirm_share, draw_share, audit_share),
        reviewer=Reviewer(accept_s, draw_s, edit_s, nothing_s, wrong_accepts=wrong_accepts, misses=misses),
        preset=preset,
        settings=overrides,
        tau=tau,
        warm=warm,
    )
    plans = plan_replays(first, strategy or list(STRATEGIES), seeds)
    place = Work(out.absolute(), jobs)
    if dry_run:
        listed = [{"strategy": plan.strategy, "seed": plan.seed, "trainings": plan.rounds + 1} for plan in plans]
        rows = [tuple(item.values()) for item in listed]
        work.output.document({"replays": listed, "dry_run": True}, (("strategy", "seed", "training runs"), rows))
        return
    truth = register_truth(DataSet(data, layout), place.out, work.progress)
    try:
        result = run_simulation(truth, plans, place, progress=work.progress)
    finally:
        truth.close()
    figure = plot_learning(*_curves(result), place.out / "simulation.svg")
    work.output.document(
        document_of(result) | {"figure": str(figure), "dry_run": False},
        (("strategy", "rounds", "locations", "minutes", "of all", "IoU", "AP50", "AUC"), _reached(result)),
        (("IoU lead over random", "same boxes", "same minutes", "below all boxes"), _leads(result)),
    )
    work.output.line(f"drawn: {figure}")


def _curves(
    result: "SimulationResult",
) -> tuple[list[tuple[str, list[tuple[float, float, float, float | None]]]], float | None]:
    curves = [
        (
            item.strategy,
            [
                (found.located, found.minutes, found.iou.mean, found.iou.ci95)
                for found in item.rounds
                if found.iou is not None
            ],
        )
        for item in result.strategies
    ]
    of_all = result.all_boxes.iou if result.all_boxes is not None else None
    return curves, of_all.mean if of_all is not None else None


def _reached(result: "SimulationResult") -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    if result.all_boxes is not None:
        found = result.all_boxes
        values = [_mean(getattr(found, name)) for name in ("iou", "ap50_all", "auc")]
        rows.append(("all boxes", 0, found.located, found.minutes, 1.0, *values))
    for item in result.strategies:
        last = item.rounds[-1]
        values = [_mean(getattr(last, name)) for name in ("iou", "ap50_all", "auc")]
        rows.append((item.strategy, last.round, last.located, last.minutes, item.minutes_share, *values))
    return rows


def _leads(result: "SimulationResult") -> list[tuple[object, ...]]:
    return [
        (item.strategy, _mean(item.same_boxes), _mean(item.same_minutes), _mean(item.short_of_all))
        for item in result.strategies
    ]


def _mean(found: "Mean | None") -> str | None:
    if found is None:
        return None
    return f"{found.mean:.3f}" + (f" ± {found.ci95:.3f}" if found.ci95 is not None else "")


def _checked(preset: Preset, settings: list[str] | None, strategies: list[str] | None, data: Path) -> dict[str, str]:
    """Refuse what is mistyped before torch is loaded, and return the settings of the trainings."""
    from annotator.errors import DataUnreadable
    from learner.config import make_config, parse_overrides
    from learner.query.strategies import find_strategy

    overrides = parse_overrides(settings or [])
    make_config(preset, overrides)
    for name in strategies or ():
        find_strategy(name)
    if not data.exists():
        raise DataUnreadable(f"{data}: there is no such file or folder")
    return overrides
