"""The training use-case: set up, run the two stages, keep an epoch, record the run.

    train_model -> plan_training (config, data, run) -> prepare_training (images, model) -> _fit (stages, epochs)
    -> _finish (metrics)

Nothing is trained on an image of the test split: test images are never even listed here. Of several processes the
first alone decides and writes; see learner/distributed.py.
"""

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from db.errors import RegistryError
from db.progress import Progress, SilentProgress, Task
from db.records import RunStatus
from db.registry import Registry
from learner.checkpoint import BEST, LAST, delete_checkpoint, load_checkpoint
from learner.config import TrainConfig
from learner.data.batches import Epoch
from learner.distributed import Processes
from learner.errors import (
    CompilationFailed,
    OutOfMemory,
    RunInUse,
    TrainingDiverged,
)
from learner.evaluation.aggregate import Summary, summarize_results
from learner.evaluation.per_image import score_rows
from learner.training.epoch_choice import is_better, selection_score
from learner.training.job import BestEpoch, Job, save_best, save_last
from learner.training.lease import Lease
from learner.training.loop import EpochState, epoch_batches, epoch_generator, train_epoch, validate
from learner.training.prepare import (
    Plan,
    PlannedTraining,
    describe_plan,
    mark_failed,
    plan_training,
    prepare_training,
)
from learner.training.stages import StageConfig, make_stages
from learner.training.state import make_optimizer


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished training."""

    run: str
    epochs: int
    best: BestEpoch
    val: Summary
    """The kept epoch on validation; if it was chosen there, these numbers are optimistic."""
    seconds: float
    images_per_second: float
    checkpoint: Path
    plan: PlannedTraining
    """What it saw."""
    weights: str
    """What the weights started from: imagenet, none, a file or a run."""


def train_model(
    registry: Registry,
    config: TrainConfig,
    *,
    resume: bool | str = False,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train on everything that is registered outside test, and record the run.

    Args:
        registry: where the data is and the run goes.
        config: what to do; with `resume`, the interrupted run's own configuration counts instead.
        resume: go on with the newest interrupted run, or with the one of this name.
        processes: those that share the work; a batch is split over them, and means the same however many they are.
        progress: where to show loss, speed and time left.

    Raises:
        DataInvalid: there is nothing to train on; WeightsUnavailable: the weights cannot be had, or do not fit;
        RunInUse: another process is training the run that would be resumed;
        TrainingDiverged: the loss stopped being finite; OutOfMemory: the batch is too large;
        CheckpointIncompatible: the run cannot be resumed; CompilationFailed: the network cannot be compiled.
    """
    processes, progress = processes or Processes(), progress or SilentProgress()
    plan = processes.first(lambda: plan_training(registry, config, resume=resume, progress=progress))
    with Lease(registry) as lease:
        if plan.run is not None and processes.is_first:
            lease.hold(plan.run)
        job = prepare_training(registry, plan, processes, progress, lease)
        return _train(job, plan)


def _train(job: Job, plan: Plan) -> TrainResult:
    processes = job.processes
    try:
        _fit(job)
        return _finish(job, plan)
    except RunInUse:
        # Whoever has the run now says what becomes of it.
        raise
    except Exception as exc:
        if isinstance(exc, TrainingDiverged) and not processes.is_first:
            # It did so in all of them; the first one says it.
            raise SystemExit(0) from exc
        error = _translated(exc, plan.config)
        with suppress(RegistryError):
            # The disk that is full may be the registry's too; what ended the training counts.
            mark_failed(job.registry, job.run, error)
        if error is exc:
            raise
        raise error from exc


def _translated(exc: Exception, config: TrainConfig) -> Exception:
    """Say what to do where that is known; other errors stay as they are."""
    if isinstance(exc, torch._dynamo.exc.TorchDynamoException):
        reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        return CompilationFailed(f"torch.compile does not work here ({reason}); train with: --set compile=false")
    if not isinstance(exc, torch.cuda.OutOfMemoryError):
        return exc
    smaller = max(1, config.batch_size // 2)
    return OutOfMemory(
        f"the device's memory does not hold {config.batch_size} images of {config.size} px per step; try "
        f"--set accumulate={2 * config.accumulate} (the same batch in parts), --set batch_size={smaller}"
        + (f" or --set size={config.size // 2}" if config.size >= 128 else "")
    )


def _fit(job: Job) -> None:
    # A batch of validation first: what is wrong there should not wait for the end of an epoch.
    validate(job.learner, job.choosing)
    for stage in make_stages(job.config):
        if not stage.epochs:
            continue
        probe = epoch_batches(job.train, stage, job.config, epoch_generator(job.config, stage, 1))
        steps = len(probe.batches) * stage.epochs
        if stage.number >= job.start_stage:
            _fit_stage(job, stage, probe)
        job.learner.steps_before += steps


def _fit_stage(job: Job, stage: StageConfig, probe: Epoch) -> None:
    first = job.start_epoch if stage.number == job.start_stage else 1
    if first == 1 and job.begun is None:
        _begin_stage(job, stage)
    batches, images = len(probe.batches), sum(map(len, probe.batches))
    job.learner.total_steps = batches * stage.epochs
    job.learner.steps = (first - 1) * batches
    with job.progress.task(stage.name, stage.epochs * images) as task:
        task.advance((first - 1) * images)
        for number in range(first, stage.epochs + 1):
            losses = _fit_epoch(job, stage, number, task)
            job.images_seen += images
            started = time.perf_counter()
            measured = validate(job.learner, job.choosing)
            job.seconds += time.perf_counter() - started
            _end_epoch(job, stage, number, losses, measured)


def _fit_epoch(job: Job, stage: StageConfig, number: int, task: Task) -> dict[str, float]:
    generator = epoch_generator(job.config, stage, number)
    # The batches of an epoch that was cut are drawn as they were before it goes on.
    epoch = epoch_batches(job.train, stage, job.config, generator)
    state, job.begun = job.begun or EpochState(generator), None
    job.learner.steps += state.batches
    task.advance(state.images)
    often, started = 60 * job.config.checkpoint_minutes, time.perf_counter()

    def after_step() -> None:
        nonlocal started
        if job.processes.is_first and often and time.monotonic() - job.saved_at > often:
            job.lease.check()
            job.seconds, started = job.seconds + time.perf_counter() - started, time.perf_counter()
            save_last(job, stage, number - 1, state)

    losses = train_epoch(job.learner, job.train, stage, epoch, state, task, after_step)
    job.seconds += time.perf_counter() - started
    return losses


def _begin_stage(job: Job, stage: StageConfig) -> None:
    # A stage starts from the weights that the stage before it would keep, with a fresh optimizer.
    job.learner.model.load_state_dict(job.learner.kept.state_dict())
    job.learner.optimizer = make_optimizer(job.learner.model, job.config)


def _end_epoch(
    job: Job, stage: StageConfig, epoch: int, losses: dict[str, float], measured: dict[str, float | None]
) -> None:
    score = selection_score(measured, job.config.select)
    job.history.append({"stage": stage.number, "epoch": epoch, **losses, "val": measured})
    job.tracker.log(len(job.history), losses | {f"val/{name}": value for name, value in measured.items()})
    is_best = stage.number == 2 and is_better(score, job.best.score if job.best is not None else None)
    if is_best:
        job.best = BestEpoch(epoch, score, **measured)
    if not job.processes.is_first:
        return
    job.lease.check()
    # Where every epoch replaces the one before it, only the last one is worth writing.
    if is_best and (score is not None or epoch == stage.epochs):
        save_best(job, job.learner.kept.state_dict())
    save_last(job, stage, epoch)


def _finish(job: Job, plan: Plan) -> TrainResult:
    # The others may read only what the first has written.
    job.processes.first(lambda: None)
    kept = load_checkpoint(job.folder, BEST)
    job.learner.kept.load_state_dict(kept.tensors)
    val = job.val.select(job.processes.share(range(len(job.val))))
    mine = score_rows(job.learner.kept, val, job.config, job.data.classes, job.learner.device, job.progress)
    rows = job.processes.gather((row.position or 0, row) for row in mine)
    result = TrainResult(
        run=job.run.name,
        epochs=len(job.history),
        best=job.best_epoch,
        val=summarize_results(rows, job.data.classes),
        seconds=round(job.seconds, 3),
        images_per_second=round(job.images_seen / job.seconds, 2) if job.seconds else 0.0,
        checkpoint=job.folder,
        plan=describe_plan(plan),
        weights=job.config.weights,
    )
    metrics = _stored_metrics(result)
    if job.processes.is_first:
        save_best(job, kept.tensors, metrics=metrics, history=True)
        with job.registry.begin() as tx:
            tx.runs.set_checkpoint(job.run.id, job.folder)
            tx.runs.finish(job.run.id, RunStatus.FINISHED, metrics)
        delete_checkpoint(job.folder, LAST)
    job.tracker.finish(metrics)
    return result


def _stored_metrics(result: TrainResult) -> dict[str, Any]:
    """Write a result as it is stored with its run."""
    return {
        "epochs": result.epochs,
        "best": asdict(result.best),
        "val": result.val.to_document(),
        "seconds": result.seconds,
        "images_per_second": result.images_per_second,
    }
