"""The bench use-case: trains every method of a table over seeds, tests each once, and puts the numbers side by side.

A training that was done before with the same settings on the same data is not done again, whichever table asked for
it; one that was cut goes on. If an epoch is chosen, validation chooses it; test images are looked at once, after that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from db.curation.leakage import group_names
from db.errors import InvalidArgument
from db.progress import Progress, SilentProgress
from db.records import RunRecord, RunStatus, Split
from db.registry import Registry
from learner.bench.paper_tables import CLASSIFICATION, TABLES, Row, Table
from learner.config import TrainConfig, make_config
from learner.data.known_lesions import LEAST_ELSEWHERE_PX
from learner.early_checks import NO_TEST
from learner.errors import DataInvalid
from learner.evaluation.aggregate import mean
from learner.evaluation.comparison import METRICS, MethodRuns, adjust_table, against, interval
from learner.evaluation.estimates import ComparedEstimate, Estimate, half_width
from learner.evaluation.evaluate import evaluate_run
from learner.evaluation.per_image import read_results
from learner.reporting.plots import plot_table
from learner.training.train_once import current_snapshot, find_run, train_once

TEST = "test"
BENCH = "bench"
FIGURES = "bench"
"""Folder in the project for the tables' figures."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a bench may spend."""

    seeds: int = 3
    folds: int = 0
    """Parts that the images outside test are cut into; each chooses the epoch of one training a seed. 0: none."""
    preset: str = "paper"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings that hold for every method, over its own."""


@dataclass(frozen=True, slots=True)
class Trainings:
    """How many training runs a table needs, and how many of them are done."""

    total: int
    done: int


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """A method that would be trained."""

    method: str
    settings: Mapping[str, Any]
    """By their names in --set."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What running a table would mean."""

    table: str
    title: str
    trainings: Trainings
    rows: tuple[PlannedRow, ...]


@dataclass(frozen=True, slots=True)
class BenchRow:
    """A method with its results."""

    method: str
    runs: tuple[str, ...]
    estimates: Mapping[str, Estimate]
    """By metric; a `ComparedEstimate` where the metric can be tested."""
    strata: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    """Means by class and by lesion size, then by name and by metric."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """A table that was run."""

    table: str
    title: str
    trainings: Trainings
    reference: str
    """The method that the others are tested against: the last row."""
    figure: Path
    """SVG file showing all rows beside the paper's numbers."""
    rows: tuple[BenchRow, ...]


def plan_table(registry: Registry, name: str, budget: Budget) -> BenchPlan:
    """List the trainings of a table, and count those that are done.

    Raises:
        InvalidArgument: there is no such table, or no seed; DataInvalid: there is no test split.
    """
    table, configs = _table(registry, name, budget)
    wanted = [config for of_row in configs.values() for config in of_row]
    snapshot = current_snapshot(registry, dry_run=True)
    done = sum(find_run(registry, config, snapshot, RunStatus.FINISHED) is not None for config in wanted)
    rows = tuple(PlannedRow(row.method, dict(row.settings)) for row in table.rows)
    return BenchPlan(name, table.title, Trainings(len(wanted), done), rows)


def run_table(registry: Registry, name: str, budget: Budget, *, progress: Progress | None = None) -> BenchResult:
    """Train and test every method of a table.

    Args:
        registry: where the data is and the runs go.
        name: `table3` to `table10`, `fig6` to `fig11`, or one of `overview`, `modules`, `shares`.
        budget: seeds, folds, preset, and settings such as epochs and size.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: there is no such table, or no seed; DataInvalid: there is no test split.
        LearnerError: a training failed; what was done stays done.
    """
    progress = progress or SilentProgress()
    table, configs = _table(registry, name, budget)
    tested: dict[str, list[RunRecord]] = {}
    for row in table.rows:
        tested[row.method] = []
        for number, config in enumerate(configs[row.method], start=1):
            progress.say(f"{name}: {row.method}, training {number} of {len(configs[row.method])}")
            tested[row.method].append(_tested(registry, name, config, progress))
    rows = _compared(
        registry, [_summary(row, tested[row.method], table.metrics, budget.folds or 1) for row in table.rows], tested
    )
    figure = registry.root / FIGURES / f"{name}.svg"
    figure.parent.mkdir(exist_ok=True)
    plot_table(table.title, [(row.method, row.estimates) for row in rows], table.metrics, figure)
    total = sum(map(len, configs.values()))
    return BenchResult(name, table.title, Trainings(total, total), rows[-1].method, figure, tuple(rows))


def _table(registry: Registry, name: str, budget: Budget) -> tuple[Table, dict[str, list[TrainConfig]]]:
    """Return a table, and the trainings of each of its methods."""
    if name not in TABLES:
        raise InvalidArgument(f"there is no table or figure {name!r}; the paper has {', '.join(TABLES)}")
    if budget.seeds < 1:
        raise InvalidArgument(f"--seeds must be at least 1, got {budget.seeds}")
    _require_test_split(registry)
    return TABLES[name], {row.method: _configs(row, budget) for row in TABLES[name].rows}


def _compared(
    registry: Registry, rows: Sequence[BenchRow], tested: Mapping[str, Sequence[RunRecord]]
) -> list[BenchRow]:
    """Add intervals over groups of images, and tests against the last row."""
    with registry.read() as tx:
        groups = group_names(tx)
    methods = {
        method: MethodRuns(
            [read_results(run.checkpoint, TEST) or [] for run in runs if run.checkpoint is not None],
            runs[-1].metrics[TEST].get("classes", []),
        )
        for method, runs in tested.items()
    }
    estimates = {row.method: dict(row.estimates) for row in rows}
    wanted = [metric for metric in rows[-1].estimates if metric in METRICS]
    tests = {metric: against(methods, rows[-1].method, metric, groups) for metric in wanted}
    for metric, p_values in adjust_table(tests).items():
        for method, of_method in estimates.items():
            one, over_images = of_method[metric], interval(methods[method], metric, groups)
            of_method[metric] = ComparedEstimate(one.mean, one.ci95, one.n, one.paper, over_images, p_values[method])
    return [replace(row, estimates=estimates[row.method]) for row in rows]


def _configs(row: Row, budget: Budget) -> list[TrainConfig]:
    """List the trainings of a row: every seed, and of every seed every fold."""
    folds = range(budget.folds) if budget.folds else [0]
    return [_config(row, budget, seed, fold) for seed in range(budget.seeds) for fold in folds]


def _config(row: Row, budget: Budget, seed: int, fold: int) -> TrainConfig:
    settings = dict(row.settings)
    factor, preset = settings.pop("size_factor", 1), settings.pop("preset", budget.preset)
    # A share of locations is what a row is about; everything else that was asked for holds for every row.
    overrides = {key: value for key, value in budget.overrides.items() if key not in {"location_share"} & set(settings)}
    config = make_config(preset, settings | overrides | {"seed": seed, "folds": budget.folds, "fold": fold})
    return replace(config, size=(config.size or LEAST_ELSEWHERE_PX) * factor)


def _require_test_split(registry: Registry) -> None:
    with registry.read() as tx:
        held_back = tx.status.count().splits[Split.TEST]
    if not held_back:
        raise DataInvalid(NO_TEST)


def _tested(registry: Registry, table: str, config: TrainConfig, progress: Progress) -> RunRecord:
    """Return a training with these settings that was tested, done now or before."""
    run, trained = train_once(registry, config, progress)
    if trained:
        with registry.begin() as tx:
            tx.runs.add_metrics(run.id, {BENCH: table})
            run = tx.runs.get(run.name)
    written = run.checkpoint is not None and bool(read_results(run.checkpoint, TEST))
    # Earlier versions ranked boxes otherwise, and did not store the classes.
    if "classes" not in run.metrics.get(TEST, {}) or not written:
        report = evaluate_run(registry, run=run.name, split=Split.TEST, progress=progress)
        with registry.begin() as tx:
            tx.runs.add_metrics(run.id, {TEST: report.to_document()})
            run = tx.runs.get(run.name)
    return run


def _summary(row: Row, runs: Sequence[RunRecord], metrics: Sequence[str], folds: int) -> BenchRow:
    estimates: dict[str, Estimate] = {}
    for metric in metrics:
        part = "classification" if metric in CLASSIFICATION else "localization"
        values = [run.metrics[TEST][part].get(metric) for run in runs]
        known = [float(value) for value in values if value is not None]
        # Folds of a seed share most of what they learn from, so they count as one training.
        seeds = [mean(values[first : first + folds]) for first in range(0, len(values), folds)]
        spread = half_width([value for value in seeds if value is not None])
        estimates[metric] = Estimate(fmean(known) if known else None, spread, len(known), row.paper.get(metric))
    strata = _mean_strata([run.metrics[TEST]["strata"] for run in runs if "strata" in run.metrics[TEST]])
    return BenchRow(row.method, tuple(run.name for run in runs), estimates, strata)


def _mean_strata(strata: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Average every number of every stratum over trainings."""
    return {
        kind: {
            name: {key: mean(one[kind][name][key] for one in strata) for key in values}
            for name, values in members.items()
        }
        for kind, members in (strata[0] if strata else {}).items()
    }
