"""The training use-case: set up, run the two stages, keep the best epoch on validation, record the run.

    train_model -> _plan (config, data, run) -> _prepare (images, model) -> _fit (stages, epochs) -> _finish (metrics)

Nothing is trained on an image of the test split: test images are never even listed here. Of several processes the
first alone decides and writes; see learner/distributed.py.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from db.curation.splitting import split_images
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, RunRecord, RunStatus
from db.registry import Registry
from learner.checkpoint import BEST, LAST, delete_checkpoint, load_checkpoint, save_checkpoint
from learner.config import TrainConfig, config_from_dict
from learner.data.dataset import FramedData, examples_from_records, load_framed
from learner.data.location_share import hide_locations
from learner.data.selection import TrainingData, select_data_of_run, select_training_data
from learner.distributed import Processes
from learner.errors import (
    CheckpointIncompatible,
    CompilationFailed,
    DataInvalid,
    LearnerError,
    OutOfMemory,
    TrainingDiverged,
)
from learner.evaluation.aggregate import Summary, summarize_results
from learner.evaluation.per_image import score_rows
from learner.network.build import build_model
from learner.network.encoder import load_encoder_weights
from learner.training.loop import epoch_batches, epoch_generator, selection_score, train_epoch, validate
from learner.training.losses import balanced_weights
from learner.training.stages import StageConfig, make_stages
from learner.training.state import Learner, learner_tensors, make_learner, make_optimizer, restore_learner
from learner.training.tracking import Tracker, open_tracker

RUNS_FOLDER = "runs"


@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The epoch of stage 2 that is kept, with what was measured on validation; None where it cannot be measured."""

    epoch: int
    score: float
    """What it is the best in."""
    accuracy: float | None
    auc: float | None
    dice: float | None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished training."""

    run: str
    epochs: int
    best: BestEpoch
    val: Summary
    """The kept epoch on validation; it was chosen there, so these numbers flatter."""
    seconds: float
    images_per_second: float
    checkpoint: Path


@dataclass(slots=True)
class Job:
    """One training under way."""

    registry: Registry
    run: RunRecord
    folder: Path
    config: TrainConfig
    data: TrainingData
    learner: Learner
    train: FramedData
    val: FramedData
    progress: Progress
    processes: Processes
    tracker: Tracker
    seconds: float = 0.0
    images_seen: int = 0
    start_stage: int = 1
    start_epoch: int = 1
    best: BestEpoch | None = None
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the first process has decided."""

    config: TrainConfig
    data: TrainingData
    run: RunRecord | None
    """That goes on; None for a new one."""
    goes_on: bool = False
    """An epoch of it was done before."""


def train_model(
    registry: Registry,
    config: TrainConfig,
    *,
    resume: bool = False,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train on everything that is registered outside test, and record the run.

    Args:
        registry: where the data is and the run goes.
        config: what to do; with `resume`, the interrupted run's own configuration counts instead.
        resume: go on with the newest interrupted run.
        processes: those that share the work; a batch is split over them, and means the same however many they are.
        progress: where to show loss, speed and time left.

    Raises:
        DataInvalid: there is nothing to train on; WeightsUnavailable: the encoder's weights cannot be had;
        TrainingDiverged: the loss stopped being finite; OutOfMemory: the batch is too large;
        CheckpointIncompatible: the run cannot be resumed; CompilationFailed: the network cannot be compiled.
    """
    processes, progress = processes or Processes(), progress or SilentProgress()
    plan = processes.first(lambda: _plan(registry, config, resume=resume, progress=progress))
    job = _prepare(registry, plan, processes, progress)
    try:
        _fit(job)
    except (LearnerError, torch.cuda.OutOfMemoryError, torch._dynamo.exc.TorchDynamoException) as exc:
        if isinstance(exc, TrainingDiverged) and not processes.is_first:
            # It did so in all of them; the first one says it.
            raise SystemExit(0) from exc
        error = _translated(exc, plan.config)
        with registry.begin() as tx:
            tx.runs.finish(job.run.id, RunStatus.FAILED, {"error": str(error)})
        raise error from exc
    return _finish(job)


def _translated(exc: Exception, config: TrainConfig) -> LearnerError:
    if isinstance(exc, LearnerError):
        return exc
    if not isinstance(exc, torch.cuda.OutOfMemoryError):
        reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        return CompilationFailed(f"torch.compile does not work here ({reason}); train with: --set compile=false")
    smaller = max(1, config.batch_size // 2)
    return OutOfMemory(
        f"the device's memory does not hold {config.batch_size} images of {config.size} px a step; try "
        f"--set accumulate={2 * config.accumulate} (the same batch in parts), --set batch_size={smaller}"
        + (f" or --set size={config.size // 2}" if config.size >= 128 else "")
    )


def _plan(registry: Registry, config: TrainConfig, *, resume: bool, progress: Progress) -> Plan:
    run: RunRecord | None = None
    if resume:
        with registry.read() as tx:
            run = tx.runs.latest(RunStatus.RUNNING)
        config = config_from_dict(run.config)
    data = _choose_data(registry, config, run, progress)
    if data.left_out:
        progress.say(
            f"left out: {data.left_out} images that share a patient, video or picture with a held-out image "
            "(see: partly doctor)"
        )
    return Plan(config, data, run, goes_on=run is not None and has_epochs(registry, run))


def _start_run(registry: Registry, config: TrainConfig, data: TrainingData) -> RunRecord:
    with registry.begin() as tx:
        return tx.runs.start(
            preset=config.preset,
            config=config.to_dict(),
            snapshot=data.snapshot.hash,
            image_ids=[image.id for image in (*data.train, *data.val)],
        )


def has_epochs(registry: Registry, run: RunRecord) -> bool:
    """Say whether a cut training has finished an epoch that it can go on from."""
    return (registry.root / RUNS_FOLDER / run.name / f"{LAST}.json").exists()


def _choose_data(registry: Registry, config: TrainConfig, run: RunRecord | None, progress: Progress) -> TrainingData:
    if run is not None and has_epochs(registry, run):
        images = load_checkpoint(registry.root / RUNS_FOLDER / run.name, LAST).description["images"]
        return select_data_of_run(registry, run, images, config)
    data = select_training_data(registry, config)
    if not data.val:
        counts = split_images(registry, val=config.val, seed=config.seed)
        progress.say(f"no validation split yet: {counts['val']} images were assigned to one (see: partly split)")
        data = select_training_data(registry, config)
        if not data.val:
            raise DataInvalid("there are too few images to keep any for validation; register more")
    if run is not None and run.snapshot != data.snapshot.hash:
        raise CheckpointIncompatible(
            f"{run.name} cannot be resumed: it was interrupted before its first epoch ended, and labels have changed "
            "since; start a new training with: partly train"
        )
    return data


def _prepare(registry: Registry, plan: Plan, processes: Processes, progress: Progress) -> Job:
    config, data = plan.config, plan.data
    device = processes.device(config.device)
    torch.manual_seed(config.seed)
    model = build_model(config, len(data.classes))
    if not plan.goes_on:
        if config.weights == "imagenet":
            progress.say(f"loading the ImageNet weights of {config.encoder} (fetched once from the model hub)")
        # One process fetches them; when the gradients are joined, the others get its weights.
        processes.first(lambda: load_encoder_weights(model.encoder, config.weights))
    train = _load(registry, data.train, data.classes, config, progress, "decoding train")
    val = _load(registry, data.val, data.classes, config, progress, "decoding validation")
    for framed in (train, val):
        framed.move_to(device)
    run = plan.run or processes.first(lambda: _start_run(registry, config, data))
    folder = registry.root / RUNS_FOLDER / run.name
    job = Job(
        registry=registry,
        run=run,
        folder=folder,
        config=config,
        data=data,
        learner=make_learner(model, config, device, processes),
        train=train,
        val=val,
        progress=progress,
        processes=processes,
        tracker=open_tracker(config if processes.is_first else None, folder, run.name),
    )
    if config.class_weights == "balanced":
        job.learner.class_weight_K = balanced_weights(job.train.class_N, len(data.classes)).to(device)
    if plan.goes_on:
        _restore(job)
    return job


def _load(
    registry: Registry,
    records: Sequence[ImageRecord],
    classes: Sequence[str],
    config: TrainConfig,
    progress: Progress,
    name: str,
) -> FramedData:
    # Choosing the epoch is a part of training, so it sees no more locations than learning does.
    shown = hide_locations(records, config.location_share, config.seed)
    with registry.read() as tx:
        examples = examples_from_records(tx, shown)
    data = load_framed(
        examples,
        classes,
        size=config.size,
        framing=config.framing,
        box_target=config.box_target,
        progress=progress,
        name=name,
    )
    for problem in data.unreadable:
        progress.say(f"left out: {problem}")
    return data


def _fit(job: Job) -> None:
    # A batch of validation first: what is wrong there should not wait for the end of an epoch.
    validate(job.learner, job.val)
    for stage in make_stages(job.config):
        if stage.number < job.start_stage or not stage.epochs:
            continue
        first = job.start_epoch if stage.number == job.start_stage else 1
        if first == 1:
            _begin_stage(job, stage)
        probe = epoch_batches(job.train, stage, job.config, epoch_generator(job.config, stage, 1))
        job.learner.total_steps = len(probe) * stage.epochs
        job.learner.steps = (first - 1) * len(probe)
        images = sum(map(len, probe))
        with job.progress.task(stage.name, stage.epochs * images) as task:
            task.advance((first - 1) * images)
            for epoch in range(first, stage.epochs + 1):
                started = time.perf_counter()
                generator = epoch_generator(job.config, stage, epoch, job.processes.number)
                batches = epoch_batches(job.train, stage, job.config, generator)
                losses = train_epoch(job.learner, job.train, stage, batches, generator, task)
                measured = validate(job.learner, job.val)
                job.seconds += time.perf_counter() - started
                job.images_seen += images
                _end_epoch(job, stage, epoch, losses, measured)


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
    is_best = stage.number == 2 and (job.best is None or score > job.best.score)
    if is_best:
        job.best = BestEpoch(epoch, score, **measured)
    if not job.processes.is_first:
        return
    if is_best:
        save_checkpoint(job.folder, BEST, job.learner.kept.state_dict(), _description(job))
    state = {
        "stage": stage.number,
        "finished_epoch": epoch,
        "finished_stage": epoch == stage.epochs,
        "images": job.data.image_ids,
        "seconds": job.seconds,
        "images_seen": job.images_seen,
        "best": asdict(job.best) if job.best else {},
        "history": job.history,
    }
    save_checkpoint(job.folder, LAST, dict(learner_tensors(job.learner)), state)


def _description(job: Job, metrics: Mapping[str, Any] | None = None) -> dict[str, Any]:
    best = _best(job)
    return {
        "run": job.run.name,
        "config": job.config.to_dict(),
        "classes": job.data.classes,
        "snapshot": job.data.snapshot.hash,
        "images": job.data.image_ids,
        "epoch": best.epoch,
        "metrics": metrics or {"val": asdict(best)},
    }


def _best(job: Job) -> BestEpoch:
    if job.best is None:
        raise CheckpointIncompatible(f"{job.run.name}: no epoch of stage 2 was finished; train again: partly train")
    return job.best


def _restore(job: Job) -> None:
    last = load_checkpoint(job.folder, LAST)
    restore_learner(job.learner, last.tensors)
    state = last.description
    job.seconds, job.images_seen = state["seconds"], state["images_seen"]
    job.best, job.history = BestEpoch(**state["best"]) if state["best"] else None, state["history"]
    job.start_stage = state["stage"] + (1 if state["finished_stage"] else 0)
    job.start_epoch = 1 if state["finished_stage"] else state["finished_epoch"] + 1
    job.progress.say(f"{job.run.name} resumes after epoch {state['finished_epoch']} of stage {state['stage']}")


def _finish(job: Job) -> TrainResult:
    # The others may read only what the first has written.
    job.processes.first(lambda: None)
    kept = load_checkpoint(job.folder, BEST)
    job.learner.kept.load_state_dict(kept.tensors)
    val = job.val.select(job.processes.share(range(len(job.val))))
    mine = score_rows(job.learner.kept, val, job.config, job.data.classes, job.learner.device, job.progress)
    rows = job.processes.gather(zip(val.positions, mine, strict=True))
    result = TrainResult(
        run=job.run.name,
        epochs=len(job.history),
        best=_best(job),
        val=summarize_results(rows, job.data.classes),
        seconds=round(job.seconds, 3),
        images_per_second=round(job.images_seen / job.seconds, 2) if job.seconds else 0.0,
        checkpoint=job.folder,
    )
    metrics = _stored_metrics(result)
    if job.processes.is_first:
        description = _description(job, metrics) | {"history": job.history}
        save_checkpoint(job.folder, BEST, kept.tensors, description)
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
