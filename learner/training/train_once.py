"""Trains unless that was done before: with the same settings, on the same data."""

from dataclasses import replace

from db.progress import Progress
from db.records import RunRecord, RunStatus
from db.registry import Registry
from learner.checkpoint import is_there
from learner.config import TrainConfig
from learner.training.job import has_epochs
from learner.training.lease import refuse_living
from learner.training.start import is_same_training
from learner.training.train import train_model


def train_once(registry: Registry, config: TrainConfig, progress: Progress) -> tuple[RunRecord, bool]:
    """Return a finished training with these settings on what is known now.

    One that was finished before is returned, one that was cut goes on, and only otherwise a new one is made: also
    where the checkpoint of the finished one is gone.

    Returns:
        The run, and whether there was anything left to train.

    Raises:
        RunInUse: another process is training it right now; LearnerError: the training failed.
    """
    snapshot = current_snapshot(registry)
    finished = find_run(registry, config, snapshot, RunStatus.FINISHED)
    if finished is not None:
        return finished, False
    for run in _same_runs(registry, config, snapshot, RunStatus.FINISHED)[:1]:
        progress.say(f"{run.name} was trained with these settings, but its checkpoint is gone; training again")
    cut = find_run(registry, config, snapshot, RunStatus.RUNNING)
    if cut is not None:
        refuse_living(cut)
    # A training can go on only where an epoch of it was done.
    resume = cut.name if cut is not None and has_epochs(registry, cut) else False
    name = train_model(registry, config, resume=resume, progress=progress).run
    with registry.read() as tx:
        return tx.runs.get(name), True


def current_snapshot(registry: Registry, *, dry_run: bool = False) -> str:
    """Name what is known now; a dry run stores no snapshot of it."""
    with registry.begin(rehearsal=dry_run) as tx:
        return tx.snapshots.take().hash


def warmed(registry: Registry, config: TrainConfig) -> TrainConfig:
    """Let a training start from the network of the newest run that was trained on something else.

    So a training that is repeated starts from the same one. Nothing is changed where there is none.
    """
    snapshot = current_snapshot(registry, dry_run=True)
    with registry.read() as tx:
        runs = [run for run in tx.runs.all() if run.status is RunStatus.FINISHED and run.snapshot != snapshot]
    known = [run for run in runs if run.checkpoint is not None and is_there(run.checkpoint)]
    return replace(config, weights=known[-1].name) if known else config


def find_run(registry: Registry, config: TrainConfig, snapshot: str, status: RunStatus) -> RunRecord | None:
    """Find the newest training of a status with the same settings on the same data; a finished one with its model."""
    for run in _same_runs(registry, config, snapshot, status):
        if status is not RunStatus.FINISHED or (run.checkpoint is not None and is_there(run.checkpoint)):
            return run
    return None


def _same_runs(registry: Registry, config: TrainConfig, snapshot: str, status: RunStatus) -> list[RunRecord]:
    """List the trainings of a status with the same settings on the same data, newest first."""
    with registry.read() as tx:
        runs = [run for run in tx.runs.all() if run.status is status and run.snapshot == snapshot]
    return [run for run in reversed(runs) if is_same_training(run.config, config)]
