"""Trains unless that was done before: with the same settings, on the same data; and from which network a round does."""

from collections.abc import Iterator
from dataclasses import replace

from db.errors import NotFound
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, RunRecord, RunStatus, Split
from db.records.images import PROPOSED_FOR
from db.registry import Registry
from learner.checkpoint import is_there
from learner.config import TrainConfig
from learner.training.job import has_epochs
from learner.training.lease import refuse_living
from learner.training.start import OF_THE_NETWORK, is_same_training
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
    run = next(_runs_before(registry), None)
    return replace(config, weights=run.name) if run is not None else config


def warmed_where_sound(registry: Registry, config: TrainConfig, progress: Progress | None = None) -> TrainConfig:
    """Let a training start from the network of the newest run of the same kind, if what that learned still holds.

    A network keeps what it was taught: where labels were corrected or taken back, or an image moved to validation or
    test, the training starts anew. So it does where weights are named in the settings.

    Args:
        registry: where runs and labels are.
        config: what was asked for.
        progress: told why it starts anew where there is a network to start from.
    """
    if config.weights != "auto":
        return config
    fitting = (run for run in _runs_before(registry) if _has_same_network(run, config))
    run = next(fitting, None)
    if run is None:
        return config
    try:
        count = _count_taken_back(registry, run)
    except NotFound:
        return config
    if count:
        images, have = ("an image", "has") if count == 1 else (f"{count} images", "have")
        (progress or SilentProgress()).say(
            f"{images} that {run.name} learned from {have} another label or split now, so this run starts from "
            f"scratch; to start from {run.name} anyway: --warm"
        )
        return config
    return replace(config, weights=run.name)


def _runs_before(registry: Registry) -> Iterator[RunRecord]:
    """Yield the finished runs that were trained on something else than what is known now, newest first."""
    with registry.read() as tx:
        runs = [run for run in tx.runs.all() if run.status is RunStatus.FINISHED and not run.is_of_bench]
    if not runs:
        # A first snapshot takes a while.
        return
    snapshot = current_snapshot(registry, dry_run=True)
    for run in reversed(runs):
        if run.snapshot != snapshot and run.checkpoint is not None and is_there(run.checkpoint):
            yield run


def _has_same_network(run: RunRecord, config: TrainConfig) -> bool:
    settings = config.to_dict()
    return all(run.config.get(name) == settings[name] for name in OF_THE_NETWORK)


def _count_taken_back(registry: Registry, run: RunRecord) -> int:
    """Count the images that a run learned something from that does not hold any more.

    Raises:
        NotFound: the run is from before the registry kept its history.
    """
    with registry.begin(rehearsal=True) as tx:
        now, before = tx.snapshots.take(), tx.snapshots.get(run.snapshot)
        changed = tx.snapshots.changed_between(before, now)
        learned = tx.snapshots.images_at(before.position, changed)
        later = {image.id: image for image in tx.snapshots.images_at(now.position, changed)}
    return sum(_is_taken_back(image, later.get(image.id)) for image in learned if image.split in PROPOSED_FOR)


def _is_taken_back(before: ImageRecord, now: ImageRecord | None) -> bool:
    if now is None or now.split in (Split.VAL, Split.TEST):
        return True
    if before.class_name is not None and now.class_name != before.class_name:
        return True
    return before.is_located and (now.location_status, now.boxes) != (before.location_status, before.boxes)


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
