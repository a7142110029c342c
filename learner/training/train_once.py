"""Trains unless that was done before: with the same settings, on the same data."""

from dataclasses import replace

from db.progress import Progress
from db.records import RunRecord, RunStatus
from db.registry import Registry
from learner.config import TrainConfig, config_from_dict
from learner.training.job import has_epochs
from learner.training.train import train_model


def train_once(registry: Registry, config: TrainConfig, progress: Progress) -> tuple[RunRecord, bool]:
    """Return a finished training with these settings on what is known now.

    One that was finished before is returned, one that was cut goes on, and only otherwise a new one is made.

    Returns:
        The run, and whether there was anything left to train.

    Raises:
        LearnerError: the training failed.
    """
    snapshot = current_snapshot(registry)
    finished = find_run(registry, config, snapshot, RunStatus.FINISHED)
    if finished is not None:
        return finished, False
    cut = find_run(registry, config, snapshot, RunStatus.RUNNING)
    with registry.read() as tx:
        newest = next((run for run in reversed(tx.runs.all()) if run.status is RunStatus.RUNNING), None)
    # Only the newest cut training can go on, and only where an epoch of it was done.
    resume = cut is not None and newest is not None and newest.id == cut.id and has_epochs(registry, cut)
    name = train_model(registry, config, resume=resume, progress=progress).run
    with registry.read() as tx:
        return tx.runs.get(name), True


def current_snapshot(registry: Registry, *, dry_run: bool = False) -> str:
    """Name what is known now; a dry run stores no snapshot of it."""
    with registry.begin(rehearsal=dry_run) as tx:
        return tx.snapshots.take().hash


def find_run(registry: Registry, config: TrainConfig, snapshot: str, status: RunStatus) -> RunRecord | None:
    """Find the newest training of a status with the same settings on the same data."""
    with registry.read() as tx:
        runs = [run for run in tx.runs.all() if run.status is status and run.snapshot == snapshot]
    return next((run for run in reversed(runs) if _is_of(config_from_dict(run.config), config)), None)


def _is_of(done: TrainConfig, asked: TrainConfig) -> bool:
    """Say whether a training was what is asked for; what was left to be chosen, the same data choose again."""
    return done == replace(asked, size=asked.size or done.size)
