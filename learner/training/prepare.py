"""What a training needs before its first step: a configuration, images, a network, a run in the registry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from db.curation.splitting import assign_splits
from db.plain_text import counted
from db.progress import Progress
from db.records import RunRecord, RunStatus
from db.registry import Registry, Transaction
from learner.checkpoint import LAST, load_checkpoint
from learner.config import TrainConfig, config_from_dict
from learner.data.dataset import FramedData, fit_memory, load_framed
from learner.data.examples import Examples, Sized
from learner.data.framed_store import FramedStore
from learner.data.framing import Framer, Framing
from learner.data.known_lesions import choose_size, describe_small, has_several_lesions, least_size
from learner.data.location_share import examples_with_share
from learner.data.presence import presence_with_classes
from learner.data.selection import TrainingData, select_data_of_run, select_training_data
from learner.device import choose_device
from learner.distributed import Processes
from learner.errors import CheckpointIncompatible, DataInvalid
from learner.network.build import build_model
from learner.training.job import RUNS_FOLDER, Job, has_epochs, restore
from learner.training.lease import Lease, take_run
from learner.training.losses import balanced_weights
from learner.training.start import Start, load_start, stored_settings
from learner.training.state import make_learner
from learner.training.tracking import open_tracker


@dataclass(frozen=True, slots=True)
class Plan:
    """What the first process has decided."""

    config: TrainConfig
    data: TrainingData
    run: RunRecord | None
    """That goes on; None for a new one."""
    goes_on: bool = False
    """An epoch of it was done before."""
    requested: TrainConfig | None = None
    """The settings as they were asked for, before what was left to be chosen was; None: the same."""


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """What a training sees, for people: known before its first step."""

    config: dict[str, Any]
    images: dict[str, int]
    """Number of images for training, for choosing the epoch, and left out because related images are in test."""
    snapshot: str
    resumes: str | None
    """The interrupted run that is resumed; None for a new one."""


def describe_plan(plan: Plan) -> PlannedTraining:
    """Describe a training before it is done, or after."""
    data = plan.data
    images = {"train": len(data.train), "val": len(data.val), "left_out": data.left_out}
    return PlannedTraining(plan.config.to_dict(), images, data.snapshot.hash, plan.run.name if plan.run else None)


def plan_training(
    registry: Registry, config: TrainConfig, *, resume: bool | str, progress: Progress, dry_run: bool = False
) -> Plan:
    """Choose the images, and with `resume` the run that goes on; one process does this for all.

    A dry run chooses the same, and forgets the snapshot and the validation split that were made for it.

    Args:
        registry: where the data and the runs are.
        config: what to do, for a new run.
        resume: go on with the newest interrupted run, or with the one of this name; it is this process's from then on.
        progress: told what was left out.
        dry_run: change nothing.

    Raises:
        NotFound: there is no interrupted run to resume; DataInvalid: there is nothing to train on.
        RunInUse: another process is training the run that would be resumed.
        CheckpointIncompatible: labels have changed since the run was interrupted.
    """
    run: RunRecord | None = None
    with registry.begin(rehearsal=dry_run) as tx:
        if resume:
            run = take_run(tx, _interrupted(tx, registry, None if resume is True else resume))
            config = config_from_dict(run.config)
        data = _choose_data(tx, registry, config, run, progress)
    # What is hidden from the training chooses nothing either.
    shown = examples_with_share(data.train, config.location_share, config.seed) if config.localizes else data.train
    requested, config = config, _settled_by_data(config, [one for one in shown.sizes if one.boxes], progress)
    if data.left_out:
        progress.say(
            f"left out: {counted(data.left_out, 'image that shares', 'images that share')} a patient, video or picture "
            "with a held-out image "
            "(see: partly doctor)"
        )
    return Plan(config, data, run, goes_on=run is not None and has_epochs(registry, run), requested=requested)


def _settled_by_data(config: TrainConfig, images: Sequence[Sized], progress: Progress) -> TrainConfig:
    """Choose what is to be chosen by the data, and warn of boxes that are shown too small."""
    if config.split_lesions == "auto":
        several = config.localizes and has_several_lesions(images)
        config = replace(config, split_lesions="on" if several else "off")
    kind = "" if config.size else choose_device(config.device).type
    if not config.localizes:
        return replace(config, size=config.size or least_size(kind))
    if not config.size:
        config = replace(config, size=choose_size(images, config.framing, least_size(kind), tiles=config.tiles))
        if config.size > least_size(kind):
            progress.say(f"size={config.size} was chosen because there are small boxes (to change it: --set size=256)")
        elif kind == "cpu":
            progress.say(
                f"size={config.size} was chosen for a CPU; larger sizes show more and take longer: --set size=256"
            )
    problem = describe_small(images, config.size, config.framing, tiles=config.tiles)
    if problem is not None:
        progress.say(problem)
    return config


def _interrupted(tx: Transaction, registry: Registry, name: str | None) -> RunRecord:
    """Return the newest run that can go on, or the named one: one that was cut, or failed after its first epoch.

    Raises:
        NotFound: there is none.
    """
    for run in reversed(tx.runs.all() if name is None else [tx.runs.get(name)]):
        if run.status is RunStatus.FAILED and has_epochs(registry, run):
            return tx.runs.reopen(run.id)
        if run.status is RunStatus.RUNNING:
            return run
    return tx.runs.latest(RunStatus.RUNNING)


def _start_run(registry: Registry, plan: Plan, start: Start) -> RunRecord:
    data = plan.data
    with registry.begin() as tx:
        run = tx.runs.start(
            preset=start.config.preset,
            config=stored_settings(plan.requested or plan.config, start),
            snapshot=data.snapshot.hash,
            image_ids=[*data.train.ids, *data.val.ids],
        )
        return take_run(tx, run)


def mark_failed(registry: Registry, run: RunRecord, error: Exception) -> None:
    """Note that a run has ended without a result, so that it does not say that it is running for ever.

    A run that is interrupted from outside (Ctrl+C, a lost machine) stays as it is: it can be resumed.
    """
    with registry.begin() as tx:
        now = tx.runs.get(run.id)
        # Another process may have taken it over in the meantime.
        if now.status is RunStatus.RUNNING and (now.host, now.pid) == (run.host, run.pid):
            tx.runs.finish(run.id, RunStatus.FAILED, {"error": str(error) or type(error).__name__})


def _choose_data(
    tx: Transaction, registry: Registry, config: TrainConfig, run: RunRecord | None, progress: Progress
) -> TrainingData:
    if run is not None and has_epochs(registry, run):
        last = load_checkpoint(registry.root / RUNS_FOLDER / run.name, LAST).description
        # Before validation was cut, all of it chose.
        choosing = last.get("choosing", () if config.select == "last" else last["images"]["val"])
        return select_data_of_run(tx, run, last["images"], config, choosing)
    data = select_training_data(tx, config)
    if not data.val:
        counts = assign_splits(tx, val=config.val, seed=config.seed)
        progress.say(
            f"no validation split yet, so {counted(counts['val'], 'image was', 'images were')} assigned to "
            f"one (see: partly split)"
        )
        data = select_training_data(tx, config)
        if not data.val:
            raise DataInvalid("there are too few images for a validation split; import more with: partly import PATH")
    if run is not None and run.snapshot != data.snapshot.hash:
        raise CheckpointIncompatible(
            f"{run.name} cannot be resumed: it was interrupted before its first epoch ended, and labels have changed "
            "since; start a new training run with: partly train"
        )
    return data


def prepare_training(registry: Registry, plan: Plan, processes: Processes, progress: Progress, lease: Lease) -> Job:
    """Build the network, load what it starts from, decode the images and record the run, which `lease` then holds.

    Raises:
        DataInvalid: no image can be read; WeightsUnavailable: the weights cannot be had, or do not fit.
        CheckpointIncompatible: the run cannot be resumed.
    """
    data = plan.data
    device = processes.device(plan.config.device)
    torch.manual_seed(plan.config.seed)
    model = build_model(plan.config, len(data.classes))
    start = Start(plan.config)
    if not plan.goes_on:
        # One process fetches them; when the gradients are joined, the others get its weights.
        start = processes.first(lambda: load_start(model, plan.config, data.classes, registry, progress))
    config = start.config
    train, val = _load(registry, data, config, processes, progress)
    _refuse_nothing_located(config, train)
    train.presence_N = presence_with_classes(train.presence_N, train.class_N)
    for framed in (train, val):
        framed.move_to(device)
    choosing, data = _choosing(val, data)
    learner = make_learner(model, config, device, processes)
    run = plan.run or processes.first(lambda: _start_run(registry, plan, start))
    if processes.is_first:
        lease.hold(run)
    folder = registry.root / RUNS_FOLDER / run.name
    try:
        tracker = open_tracker(config if processes.is_first else None, folder, run.name)
    except Exception as exc:
        mark_failed(registry, run, exc)
        raise
    job = Job(
        registry=registry,
        run=run,
        folder=folder,
        config=config,
        data=data,
        learner=learner,
        train=train,
        val=val,
        choosing=choosing,
        progress=progress,
        processes=processes,
        tracker=tracker,
        lease=lease,
        seen_before=start.seen_before,
    )
    if config.class_weights == "balanced":
        job.learner.class_weight_K = balanced_weights(job.train.class_N, len(data.classes)).to(device)
    if plan.goes_on:
        try:
            restore(job)
        except CheckpointIncompatible as exc:
            if processes.is_first:
                mark_failed(registry, run, exc)
            raise
    return job


def _refuse_nothing_located(config: TrainConfig, train: FramedData) -> None:
    """Refuse to localize without a location.

    Raises:
        DataInvalid: none that may be used is left.
    """
    if config.localizes and not train.known_N.any():
        raise DataInvalid(
            "no training image with a known location is left to learn from: the files cannot be read, or "
            f"location_share={config.location_share:g} hides all of them"
        )


def _choosing(val: FramedData, data: TrainingData) -> tuple[FramedData, TrainingData]:
    """Return the validation images that choose the epoch (all, where nothing is chosen), and data that names them."""
    if not data.choosing:
        return val, data
    wanted, ids = set(data.choosing), data.val.ids
    chosen = [n for n, position in enumerate(val.positions) if ids[position] in wanted]
    if chosen:
        return val.select(chosen), data
    # None of them can be read, so the others choose, and can certify no more.
    return val, replace(data, choosing=tuple(data.val.ids))


def _load(
    registry: Registry, data: TrainingData, config: TrainConfig, processes: Processes, progress: Progress
) -> tuple[FramedData, FramedData]:
    """Load the images to learn from and those to choose the epoch by; both lie in memory, or none."""
    framer = Framer(Framing.of_training(config), FramedStore(registry.root), progress)
    on_gpu = processes.device(config.device).type == "cuda"
    in_memory = fit_memory(len(data.train) + len(data.val), config.square_px, for_a_gpu=on_gpu)

    def load(examples: Examples, name: str) -> FramedData:
        # Choosing the epoch is a part of training, so it sees no more locations than learning does.
        shown = examples_with_share(examples.opened(registry), config.location_share, config.seed)
        framed = load_framed(
            shown, data.classes, framer, processes=processes, progress=progress, name=name, in_memory=in_memory
        )
        for problem in framed.unreadable:
            progress.say(f"left out: {problem}")
        return framed

    return load(data.train, "decoding train"), load(data.val, "decoding validation")
