"""The training use-case: set up, run the two stages, keep the best epoch on validation, record the run.

    train_model -> _prepare (config, data, model, run) -> _fit (stages, epochs) -> _finish (metrics, registry)

Nothing is trained on an image of the test split: test images are never even listed here.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from db.errors import NotFound
from db.leaks import leaking_images
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, RunRecord, RunStatus, SnapshotRecord, Split, Supervision
from db.registry import Registry
from db.splitting import split_images
from learner.checkpoint import BEST, LAST, delete_checkpoint, load_checkpoint, save_checkpoint
from learner.config import TrainConfig, config_from_dict
from learner.data import FramedData, examples_from_records, load_framed
from learner.device import choose_device
from learner.errors import CheckpointIncompatible, DataInvalid, LearnerError, OutOfMemory
from learner.evaluate import evaluate_data
from learner.loop import (
    Learner,
    epoch_batches,
    epoch_generator,
    learner_tensors,
    make_learner,
    make_optimizer,
    restore_learner,
    selection_score,
    train_epoch,
    validate,
)
from learner.losses import balanced_weights
from learner.methods import build_model
from learner.network.encoder import load_encoder_weights
from learner.shares import hide_locations
from learner.stages import StageConfig, make_stages

RUNS_FOLDER = "runs"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Records that a training may see, and what they are called together."""

    train: list[ImageRecord]
    val: list[ImageRecord]
    classes: list[str]
    snapshot: SnapshotRecord
    left_out: int = 0
    """Images that belong to a group that is held back."""

    @property
    def image_ids(self) -> dict[str, list[int]]:
        """Numbers of the images to learn from, and of those to choose the epoch by."""
        return {"train": [image.id for image in self.train], "val": [image.id for image in self.val]}


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
    seconds: float = 0.0
    images_seen: int = 0
    start_stage: int = 1
    start_epoch: int = 1
    best: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def train_model(
    registry: Registry, config: TrainConfig, *, resume: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Train on everything that is registered outside test, and record the run.

    Args:
        registry: where the data is and the run goes.
        config: what to do; with `resume`, the interrupted run's own configuration counts instead.
        resume: go on with the newest interrupted run.
        progress: where to show loss, speed and time left.

    Returns:
        run, epochs, best, seconds, images_per_second, checkpoint: see the command line's contract.

    Raises:
        DataInvalid: there is nothing to train on; WeightsUnavailable: the encoder's weights cannot be had;
        TrainingDiverged: the loss stopped being finite; OutOfMemory: the batch is too large;
        CheckpointIncompatible: the run cannot be resumed.
    """
    job = _prepare(registry, config, resume=resume, progress=progress or SilentProgress())
    try:
        _fit(job)
    except (LearnerError, torch.cuda.OutOfMemoryError) as exc:
        error = exc if isinstance(exc, LearnerError) else _out_of_memory(job.config)
        with registry.begin() as tx:
            tx.runs.finish(job.run.id, RunStatus.FAILED, {"error": str(error)})
        raise error from exc
    return _finish(job)


def _out_of_memory(config: TrainConfig) -> OutOfMemory:
    smaller = max(1, config.batch_size // 2)
    return OutOfMemory(
        f"the device's memory does not hold {config.batch_size} images of {config.size} px a step; try "
        f"--set batch_size={smaller}" + (f" or --set size={config.size // 2}" if config.size >= 128 else "")
    )


def select_training_data(registry: Registry, *, localizes: bool = True) -> TrainingData:
    """Choose the records that a training may see, as they are now, and remember them under a snapshot.

    That is everything outside test, but for images of the same patient, video or picture as a test image; and images
    without a split are left out if they are related like that to a validation image.

    Args:
        registry: where the images are.
        localizes: the method needs to know where something is in some of them.

    Raises:
        DataInvalid: there is no image, or no class, or (where one is needed) no known location.
    """
    with registry.begin() as tx:
        snapshot = tx.snapshots.take()
    with registry.read() as tx:
        images = tx.snapshots.images_at(snapshot.position)
        of_test, of_val = leaking_images(tx)
    outside = [image for image in images if image.split is not Split.TEST]
    kept = [image for image in outside if image.id not in of_test | of_val]
    return _training_data(kept, snapshot, localizes=localizes, left_out=len(outside) - len(kept))


def select_data_of_run(
    registry: Registry, run: RunRecord, image_ids: Mapping[str, Sequence[int]], *, localizes: bool = True
) -> TrainingData:
    """Choose the records that an interrupted training saw, as they were known then.

    Raises:
        CheckpointIncompatible: its snapshot cannot be read, or one of its images was put into test since.
    """
    wanted = {image_id for ids in image_ids.values() for image_id in ids}
    with registry.read() as tx:
        try:
            snapshot = tx.snapshots.get(run.snapshot)
        except NotFound as exc:
            raise CheckpointIncompatible(
                f"{run.name} cannot go on: what it was trained on cannot be read any more; train anew: partly train"
            ) from exc
        images = tx.snapshots.images_at(snapshot.position, wanted)
        held_back = [key for key, split in tx.images.splits().items() if split is Split.TEST and key in wanted]
    if held_back:
        raise CheckpointIncompatible(
            f"{run.name} cannot go on: {len(held_back)} of its images were put into the test split since; train anew "
            "with: partly train"
        )
    return _training_data(images, snapshot, localizes=localizes)


def _training_data(
    images: Sequence[ImageRecord], snapshot: SnapshotRecord, *, localizes: bool, left_out: int = 0
) -> TrainingData:
    train = [image for image in images if image.split is not Split.VAL]
    val = [image for image in images if image.split is Split.VAL]
    if not train:
        raise DataInvalid("there is no image to train on; register some with: partly import PATH --layout csv")
    if localizes and not any(image.supervision is Supervision.FULLY and image.boxes for image in train):
        raise DataInvalid(
            "no training image has a known location, so the first stage has nothing to learn from; import some boxes "
            "or masks, or draw some in Label Studio: partly push --partly, then partly pull"
        )
    classes = sorted({image.class_name for image in [*train, *val] if image.class_name is not None})
    if not classes:
        raise DataInvalid("no training image has a class; import them with a class column or from class folders")
    return TrainingData(train, val, classes, snapshot, left_out)


def _prepare(registry: Registry, config: TrainConfig, *, resume: bool, progress: Progress) -> Job:
    run: RunRecord | None = None
    if resume:
        with registry.read() as tx:
            run = tx.runs.latest(RunStatus.RUNNING)
        config = config_from_dict(run.config)
    data = _choose_data(registry, config, run, progress)
    if data.left_out:
        progress.say(
            f"left out: {data.left_out} images of the same patient, video or picture as an image that is held back "
            "(see: partly doctor)"
        )
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    model = build_model(config, len(data.classes))
    if run is None:
        if config.weights == "imagenet":
            progress.say(f"loading the ImageNet weights of {config.encoder} (fetched once from the model hub)")
        load_encoder_weights(model.encoder, config.weights)
    framed = {
        name: _load(
            registry,
            # Choosing the epoch is a part of training, so it sees no more locations than learning does.
            hide_locations(records, config.location_share, config.seed),
            data.classes,
            config,
            progress,
            f"decoding {name}",
        )
        for name, records in (("train", data.train), ("validation", data.val))
    }
    resuming = run is not None
    if run is None:
        with registry.begin() as tx:
            run = tx.runs.start(
                preset=config.preset,
                config=config.to_dict(),
                snapshot=data.snapshot.hash,
                image_ids=[image.id for image in (*data.train, *data.val)],
            )
    folder = registry.root / RUNS_FOLDER / run.name
    job = Job(
        registry=registry,
        run=run,
        folder=folder,
        config=config,
        data=data,
        learner=make_learner(model, config, device),
        train=framed["train"],
        val=framed["validation"],
        progress=progress,
    )
    if config.class_weights == "balanced":
        job.learner.class_weight_K = balanced_weights(job.train.class_N, len(data.classes)).to(device)
    if resuming and (folder / f"{LAST}.json").exists():
        _restore(job)
    return job


def _choose_data(registry: Registry, config: TrainConfig, run: RunRecord | None, progress: Progress) -> TrainingData:
    if run is not None:
        folder = registry.root / RUNS_FOLDER / run.name
        if (folder / f"{LAST}.json").exists():
            return select_data_of_run(
                registry, run, load_checkpoint(folder, LAST).description["images"], localizes=config.localizes
            )
    data = select_training_data(registry, localizes=config.localizes)
    if not data.val:
        counts = split_images(registry, val=config.val, seed=config.seed)
        progress.say(f"no validation split yet: {counts['val']} images were put into one (see: partly split)")
        data = select_training_data(registry, localizes=config.localizes)
        if not data.val:
            raise DataInvalid("there are too few images to keep any for validation; register more")
    if run is not None and run.snapshot != data.snapshot.hash:
        raise CheckpointIncompatible(
            f"{run.name} cannot go on: it was cut before its first epoch ended, and the registry has learned something "
            "since; train anew with: partly train"
        )
    return data


def _load(
    registry: Registry,
    records: Sequence[ImageRecord],
    classes: Sequence[str],
    config: TrainConfig,
    progress: Progress,
    name: str,
) -> FramedData:
    with registry.read() as tx:
        examples = examples_from_records(tx, records)
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
                generator = epoch_generator(job.config, stage, epoch)
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
    if stage.number == 2 and score > job.best.get("score", -1.0):
        job.best = {"epoch": epoch, "score": score, **measured}
        save_checkpoint(job.folder, BEST, job.learner.kept.state_dict(), _description(job))
    state = {
        "stage": stage.number,
        "finished_epoch": epoch,
        "finished_stage": epoch == stage.epochs,
        "images": job.data.image_ids,
        "seconds": job.seconds,
        "images_seen": job.images_seen,
        "best": job.best,
        "history": job.history,
    }
    save_checkpoint(job.folder, LAST, dict(learner_tensors(job.learner)), state)


def _description(job: Job, metrics: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "run": job.run.name,
        "config": job.config.to_dict(),
        "classes": job.data.classes,
        "snapshot": job.data.snapshot.hash,
        "images": job.data.image_ids,
        "epoch": job.best["epoch"],
        "metrics": metrics or {"val": job.best},
    }


def _restore(job: Job) -> None:
    last = load_checkpoint(job.folder, LAST)
    restore_learner(job.learner, last.tensors)
    state = last.description
    job.seconds, job.images_seen = state["seconds"], state["images_seen"]
    job.best, job.history = state["best"], state["history"]
    job.start_stage = state["stage"] + (1 if state["finished_stage"] else 0)
    job.start_epoch = 1 if state["finished_stage"] else state["finished_epoch"] + 1
    job.progress.say(f"{job.run.name} goes on after epoch {state['finished_epoch']} of stage {state['stage']}")


def _finish(job: Job) -> dict[str, Any]:
    best = load_checkpoint(job.folder, BEST)
    job.learner.kept.load_state_dict(best.tensors)
    report = evaluate_data(
        job.learner.kept, job.val, job.config, job.data.classes, job.learner.device, progress=job.progress
    )
    metrics = {
        "epochs": len(job.history),
        "best": job.best,
        "val": report,
        "seconds": round(job.seconds, 3),
        "images_per_second": round(job.images_seen / job.seconds, 2) if job.seconds else 0.0,
    }
    description = _description(job, metrics) | {"history": job.history}
    save_checkpoint(job.folder, BEST, best.tensors, description)
    with job.registry.begin() as tx:
        tx.runs.set_checkpoint(job.run.id, job.folder)
        tx.runs.finish(job.run.id, RunStatus.FINISHED, metrics)
    delete_checkpoint(job.folder, LAST)
    return {"run": job.run.name, **metrics, "checkpoint": str(job.folder)}
