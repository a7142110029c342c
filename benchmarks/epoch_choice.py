"""Which epoch is worth keeping: the last one, the best one on validation, or the best one after smoothing?

    python benchmarks/epoch_choice.py PROJECT [--seeds 3] [--set KEY=VALUE]...

Trains on a project's images as `partly train` does and scores the validation images after every epoch of stage 2. Then
validation is cut into halves by group, 200 times: one half chooses the epoch, the other measures it. No test image is
looked at, and no image measures a choice that it took part in.
"""

import argparse
import random
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from db.curation.leakage import group_names
from db.progress import SilentProgress
from db.registry import Registry, open_registry
from learner.config import TrainConfig, make_config, parse_overrides
from learner.distributed import Processes
from learner.training.epoch_choice import selection_score
from learner.training.job import Job
from learner.training.lease import Lease
from learner.training.loop import (
    EpochState,
    ValidationRow,
    epoch_batches,
    epoch_generator,
    measure_rows,
    train_epoch,
    validation_rows,
)
from learner.training.prepare import plan_training, prepare_training
from learner.training.stages import make_stages
from learner.training.state import make_optimizer

CUTS = 200
SMOOTHED_OVER = 5
METRICS = ("dice", "empty", "auc", "accuracy")


def epochs_of(registry: Registry, config: TrainConfig) -> tuple[Job, list[list[ValidationRow]]]:
    """Train once and return the scored validation images of every epoch of stage 2."""
    progress, processes = SilentProgress(), Processes()
    plan = plan_training(registry, config, resume=False, progress=progress)
    with Lease(registry) as lease:
        job = prepare_training(registry, plan, processes, progress, lease)
    learner, found = job.learner, []
    for stage in make_stages(job.config):
        if not stage.epochs:
            continue
        learner.model.load_state_dict(learner.kept.state_dict())
        learner.optimizer = make_optimizer(learner.model, job.config)
        learner.steps = 0
        for number in range(1, stage.epochs + 1):
            generator = epoch_generator(job.config, stage, number)
            epoch = epoch_batches(job.train, stage, job.config, generator)
            learner.total_steps = len(epoch.batches) * stage.epochs
            with progress.task(stage.name, 1) as task:
                train_epoch(learner, job.train, stage, epoch, EpochState(generator), task)
            if stage.number == 2:
                found.append(validation_rows(learner, job.val))
        learner.steps_before += learner.total_steps
    return job, found


def scores(epochs: Sequence[Sequence[ValidationRow]], chosen: Sequence[int], job: Job) -> list[float]:
    """Score every epoch on some of the validation images."""
    measured = [measure_rows([rows[n] for n in chosen], job.learner.kept) for rows in epochs]
    return [selection_score(of_epoch, "dice_auc") or 0.0 for of_epoch in measured]


def smoothed(values: Sequence[float]) -> list[float]:
    """Average every epoch's score with those of its neighbours."""
    half = SMOOTHED_OVER // 2
    return [statistics.fmean(values[max(0, n - half) : n + half + 1]) for n in range(len(values))]


def main() -> int:
    """Print what each choice is worth, over all seeds and cuts, beside keeping the last epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    # A copy, since what is trained here is no run of the project.
    folder = tempfile.TemporaryDirectory()
    with sqlite3.connect(given.project / "registry.sqlite3") as original:
        original.execute("VACUUM INTO ?", (f"{folder.name}/registry.sqlite3",))
    registry = open_registry(f"sqlite:///{folder.name}/registry.sqlite3", given.project)
    config = make_config("default", parse_overrides(given.settings))
    with registry.read() as tx:
        groups = group_names(tx)
    choices: dict[str, Callable[[list[float]], int]] = {
        "the last epoch": lambda values: len(values) - 1,
        "the best epoch": lambda values: max(range(len(values)), key=lambda n: (values[n], n)),
        f"the best after smoothing over {SMOOTHED_OVER}": lambda values: max(
            range(len(values)), key=lambda n: (smoothed(values)[n], n)
        ),
    }
    found: dict[str, dict[str, list[float]]] = {name: {metric: [] for metric in METRICS} for name in choices}
    kept: dict[str, list[int]] = {name: [] for name in choices}
    for seed in range(given.seeds):
        job, epochs = epochs_of(registry, replace(config, seed=seed))
        names = [groups[example.image_id or 0] for example in job.val.examples]
        for cut in range(CUTS):
            drawn = random.Random(f"{seed}/{cut}")
            half = {name for name in sorted(set(names)) if drawn.random() < 0.5}
            choosing = [n for n, name in enumerate(names) if name in half]
            measuring = [n for n, name in enumerate(names) if name not in half]
            values = scores(epochs, choosing, job)
            for name, choose in choices.items():
                number = choose(values)
                kept[name].append(number + 1)
                for metric, value in measure_rows([epochs[number][n] for n in measuring], job.learner.kept).items():
                    if value is not None:
                        found[name][metric].append(value)
        print(f"seed {seed}: {len(epochs)} epochs, {len(names)} validation images", flush=True)
    print(f"{'kept':<32}" + "".join(f"{metric:>10}" for metric in METRICS) + "     epochs (quartiles)")
    for name in choices:
        low, middle, high = statistics.quantiles(kept[name], n=4)
        means = "".join(f"{statistics.fmean(found[name][metric]):>10.3f}" for metric in METRICS)
        print(f"{name:<32}{means}     {low:.0f} {middle:.0f} {high:.0f}")
    registry.close()
    folder.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
