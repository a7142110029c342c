"""The simulation use-case: replays of several strategies over seeds, in parallel processes, and what they add up to.

Strategies are compared in pairs: a seed means the same first locations and the same images held back for all. The
intervals are over seeds (Student's t); they say how much a strategy differs on this set, not on other sets.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean

import numpy as np

from db.errors import InvalidArgument
from db.progress import Progress, SilentProgress
from db.records import Split
from db.registry import Registry, open_registry
from learner.errors import DataInvalid
from learner.evaluation.estimates import half_width
from learner.query.strategies import find_strategy
from learner.simulation.replay import BEGINNING, EVERYTHING, REGISTRY, ROWS, ReplayPlan, RoundRow, run_replay

BASELINE = "random"
"""What the other strategies are compared with; it is always among them."""
TRUTH = "truth"
"""Folder of the registry that knows every location."""
MEASURES = ("iou", "ap50_all", "auc")


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds."""

    mean: float
    ci95: float | None
    """Half the width of the 95% interval over seeds; None for a single seed."""
    n: int


@dataclass(frozen=True, slots=True)
class RoundMeans:
    """What a strategy achieved after a number of queries, over seeds."""

    round: int
    located: float
    minutes: float
    iou: Mean | None
    """None if nothing could be trained yet."""
    ap50_all: Mean | None
    auc: Mean | None


@dataclass(frozen=True, slots=True)
class StrategyResult:
    """The results of one strategy."""

    strategy: str
    rounds: tuple[RoundMeans, ...]
    same_boxes: Mean | None
    """Paired lead in IoU over the baseline after the last round; None for the baseline itself."""
    same_minutes: Mean | None
    """The same at equal time: what the quicker of the two took in total."""
    short_of_all: Mean | None
    """How far the last round falls short of having all boxes."""
    minutes_share: float | None
    """Minutes as a share of what drawing all boxes takes."""


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What a simulation found."""

    seeds: int
    held_back: int
    """Images that every training run is scored on."""
    all_boxes: RoundMeans | None
    strategies: tuple[StrategyResult, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """Where replays take place."""

    out: Path
    """A folder for each is made in it."""
    jobs: int = 1
    """Processes that share them."""

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InvalidArgument(f"--jobs must be at least 1, got {self.jobs}")


def plan_replays(first: ReplayPlan, strategies: Sequence[str], seeds: int) -> list[ReplayPlan]:
    """List the replays of a simulation: every strategy, the baseline and all boxes, with every seed.

    Raises:
        InvalidArgument: no round, budget or seed, or a share out of range; StrategyUnknown: there is no such strategy.
    """
    for name, value in (("--rounds", first.rounds), ("--budget", first.budget), ("--seeds", seeds)):
        if value < 1:
            raise InvalidArgument(f"{name} must be at least 1, got {value}")
    if not 0 <= first.start < 1:
        raise InvalidArgument(f"--start must be at least 0 and below 1, got {first.start:g}")
    names = list(dict.fromkeys([*strategies, BASELINE]))
    for name in names:
        find_strategy(name)
    everything, beginning = (replace(first, strategy=name, rounds=0) for name in (EVERYTHING, BEGINNING))
    plans = [replace(first, strategy=name) for name in names]
    # Of a cold start there is nothing to share.
    alone = [everything, beginning] if first.start else [everything]
    return [replace(plan, seed=seed) for seed in range(seeds) for plan in (*alone, *plans)]


def simulate(
    truth: Registry, plans: Sequence[ReplayPlan], work: Work, *, progress: Progress | None = None
) -> SimulationResult:
    """Run replays, those that were finished before excepted, and compare the strategies.

    Args:
        truth: knows every location outside test, and the test images that trainings are scored on.
        plans: from `plan_replays`.
        work: where, and by how many processes.
        progress: where to show how far it is.

    Raises:
        DataInvalid: there is no test split, or no location in it.
        RegistryError, LearnerError: as the replays do; what was done stays done, and is not done again.
    """
    progress = progress or SilentProgress()
    with truth.read() as tx:
        held_back = tx.images.count(splits=[Split.TEST], located=True)
    if not held_back:
        raise DataInvalid("no image is held out: a simulation scores its training runs on located images in test")
    found: dict[tuple[str, int], tuple[RoundRow, ...]] = {}
    with progress.task("replays", len(plans)) as task:

        def done(plan: ReplayPlan, rows: tuple[RoundRow, ...]) -> None:
            found[plan.strategy, plan.seed] = rows
            task.advance(1, last=f"{plan.name}")

        # What strategies have in common comes first.
        asking = [plan for plan in plans if plan.rounds]
        _run_all(truth, [plan for plan in plans if not plan.rounds], work, done)
        _run_all(truth, asking, work, done)
    # In the order in which they were asked for, whichever ended first.
    return _result({(plan.strategy, plan.seed): found[plan.strategy, plan.seed] for plan in plans}, held_back)


def _run_all(
    truth: Registry, plans: Sequence[ReplayPlan], work: Work, done: Callable[[ReplayPlan, tuple[RoundRow, ...]], None]
) -> None:
    if work.jobs == 1:
        for plan in plans:
            done(plan, run_replay(plan, work.out / plan.name, truth, beginning=_beginning(plan, work.out)))
        return
    threads = max(1, (os.cpu_count() or 1) // work.jobs)
    # A process that was forked would share what torch has started already.
    with ProcessPoolExecutor(work.jobs, get_context("spawn"), _prepare_process, (threads,)) as pool:
        futures: dict[Future[tuple[RoundRow, ...]], ReplayPlan] = {
            pool.submit(_replay, plan, work.out): plan for plan in plans
        }
        try:
            for future in as_completed(futures):
                done(futures[future], future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _prepare_process(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def open_truth(out: Path) -> Registry:
    """Open the registry that knows every location, in the folder of a simulation.

    Raises:
        RegistryMissing: there is none yet.
    """
    folder = (out / TRUTH).resolve()
    return open_registry(f"sqlite:///{folder}/{REGISTRY}", folder)


def _replay(plan: ReplayPlan, out: Path) -> tuple[RoundRow, ...]:
    truth = open_truth(out)
    try:
        return run_replay(plan, out / plan.name, truth, beginning=_beginning(plan, out))
    finally:
        truth.close()


def _beginning(plan: ReplayPlan, out: Path) -> Path | None:
    """Return where what a replay begins with was trained already."""
    folder = out / replace(plan, strategy=BEGINNING).name
    return folder if plan.rounds and (folder / ROWS).exists() else None


def _result(found: Mapping[tuple[str, int], tuple[RoundRow, ...]], held_back: int) -> SimulationResult:
    seeds = sorted({seed for _, seed in found})
    names = list(dict.fromkeys(name for name, _ in found if name not in (EVERYTHING, BEGINNING)))

    def of(name: str) -> list[tuple[RoundRow, ...]]:
        return [found[name, seed] for seed in seeds if (name, seed) in found]

    everything = [rows[0] for rows in of(EVERYTHING)]
    return SimulationResult(
        seeds=len(seeds),
        held_back=held_back,
        all_boxes=_means(everything) if everything else None,
        strategies=tuple(_strategy(name, of(name), of(BASELINE), everything) for name in names),
    )


def _strategy(
    name: str,
    replays: Sequence[tuple[RoundRow, ...]],
    baseline: Sequence[tuple[RoundRow, ...]],
    everything: Sequence[RoundRow],
) -> StrategyResult:
    compared = name != BASELINE
    spent, of_all = fmean(rows[-1].minutes for rows in replays), [row.minutes for row in everything]
    return StrategyResult(
        strategy=name,
        rounds=tuple(_means([rows[number] for rows in replays]) for number in range(len(replays[0]))),
        same_boxes=_lead([rows[-1].iou for rows in replays], [rows[-1].iou for rows in baseline]) if compared else None,
        same_minutes=_lead(*_at_same_minutes(replays, baseline)) if compared else None,
        short_of_all=_lead([row.iou for row in everything], [rows[-1].iou for rows in replays]),
        minutes_share=spent / fmean(of_all) if of_all and fmean(of_all) else None,
    )


def _at_same_minutes(
    replays: Sequence[tuple[RoundRow, ...]], baseline: Sequence[tuple[RoundRow, ...]]
) -> tuple[list[float | None], list[float | None]]:
    ours, theirs = [], []
    for one, other in zip(replays, baseline, strict=False):
        minutes = min(one[-1].minutes, other[-1].minutes)
        ours.append(iou_after(one, minutes))
        theirs.append(iou_after(other, minutes))
    return ours, theirs


def iou_after(rows: Sequence[RoundRow], minutes: float) -> float | None:
    """Interpolate what a replay had reached after so many minutes; None before its first training."""
    known = [(row.minutes, row.iou) for row in rows if row.iou is not None]
    if not known or minutes < known[0][0]:
        return None
    return float(np.interp(minutes, [spent for spent, _ in known], [iou for _, iou in known]))


def _means(rows: Sequence[RoundRow]) -> RoundMeans:
    values = {name: mean_over([getattr(row, name) for row in rows]) for name in MEASURES}
    return RoundMeans(rows[0].round, fmean(row.located for row in rows), fmean(row.minutes for row in rows), **values)


def _lead(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Mean | None:
    pairs = zip(ours, theirs, strict=False)
    return mean_over([a - b if a is not None and b is not None else None for a, b in pairs])


def mean_over(values: Sequence[float | None]) -> Mean | None:
    """Return the mean and the half width of its 95% interval; None where there is no number."""
    known = [value for value in values if value is not None]
    return Mean(fmean(known), half_width(known), len(known)) if known else None
