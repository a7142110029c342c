"""A few real steps of each stage, on real batches, timed: nothing is written to the registry or the project.

The steps are those of a training (`learner.training.loop`), on the first batches that its epochs would have. Of the
images only those in them are decoded, and kept in memory alone.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from db.progress import Progress, SilentProgress
from db.registry import Registry
from learner.checkpoint import LAST, load_checkpoint, save_checkpoint
from learner.config import TrainConfig
from learner.data.batches import Epoch
from learner.data.dataset import FramedData, fit_memory, framed_data, load_framed
from learner.data.examples import Examples
from learner.data.framed_store import FOLDER, FramedStore
from learner.data.framing import Framer, Framing
from learner.data.location_share import examples_with_share
from learner.data.presence import presence_with_classes
from learner.device import choose_device
from learner.errors import DataInvalid
from learner.evaluation.per_image import score_rows
from learner.network.build import build_model
from learner.training.job import RUNS_FOLDER
from learner.training.loop import EpochState, epoch_batches, epoch_generator, train_epoch, validate
from learner.training.losses import balanced_weights
from learner.training.prepare import Plan
from learner.training.rehearsal.estimate import (
    PartEstimate,
    Timed,
    TrainingEstimate,
    part_estimate,
    total_estimate,
)
from learner.training.rehearsal.memory import PeakMemory
from learner.training.stages import StageConfig, make_stages
from learner.training.start import load_start
from learner.training.state import Learner, learner_tensors, make_learner, make_optimizer

WARM_UP = 2
"""Steps that are not counted: the first ones allocate memory and choose algorithms."""
FEWEST, MOST = 3, 12
"""Steps of a stage that are counted."""
ENOUGH_S = 15.0
"""Seconds after which no more than the fewest are done."""
SCORED = 8
"""Images that are scored at full size."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """Images of the first batches, in memory, and the whole set as far as it is known without decoding it."""

    whole: FramedData
    data: FramedData
    place: dict[int, int]
    """Where an image of the whole set is in the sample; one that cannot be read is nowhere."""
    decoding_s: float

    def batches(self, left: "_Left", config: TrainConfig) -> list[torch.Tensor]:
        """Return the first batches of what is left of a stage; others stand for images that cannot be read.

        Raises:
            DataInvalid: none of their images can be read.
        """
        found = []
        for batch_B in _first_batches(self.whole, left, config):
            there = [self.place[n] for n in batch_B.tolist() if n in self.place]
            if there:
                found.append(torch.tensor((there * len(batch_B))[: len(batch_B)]))
        if not found:
            raise DataInvalid(
                f"none of the images that {left.stage.name} begins with can be read; see: partly doctor --verify"
            )
        return found


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left of a stage."""

    stage: StageConfig
    """All of it: how long its epochs are depends on how many they are."""
    done: int
    """Epochs that are done."""

    @property
    def epochs(self) -> int:
        """Epochs that are to be done."""
        return self.stage.epochs - self.done


def _first_batches(data: FramedData, left: _Left, config: TrainConfig) -> list[torch.Tensor]:
    """Return the batches that come next in a stage, of several epochs where one has few."""
    found: list[torch.Tensor] = []
    for number in range(left.done + 1, left.done + min(left.epochs, WARM_UP + MOST) + 1):
        found += epoch_batches(data, left.stage, config, epoch_generator(config, left.stage, number)).batches
        if len(found) >= WARM_UP + MOST:
            break
    return found[: WARM_UP + MOST]


def rehearse_training(registry: Registry, plan: Plan, progress: Progress | None = None) -> TrainingEstimate:
    """Do a few steps of a training, and say what all of it takes.

    Args:
        registry: of the images; it is only read.
        plan: from `plan_training` with `dry_run`.
        progress: told which part is measured.

    Raises:
        WeightsUnavailable, CheckpointIncompatible: the weights cannot be had, or do not fit; ConfigInvalid: there is no
            such device; DataInvalid: no image can be read; TrainingDiverged: a loss is not finite.
    """
    progress = progress or SilentProgress()
    began, data, device = time.perf_counter(), plan.data, choose_device(plan.config.device)
    with PeakMemory(device) as memory:
        torch.manual_seed(plan.config.seed)
        model = build_model(plan.config, len(data.classes))
        start = load_start(model, plan.config, data.classes, registry, progress)
        learner = make_learner(model, start.config, device)
        setup = Timed((time.perf_counter() - began,))
        stages = _to_do(registry, plan, make_stages(start.config))
        sample = _sample(registry, data.train, data.classes, start.config, stages)
        val = _val_sample(registry, data.val, data.classes, start.config)
        for framed in (sample.data, val):
            framed.move_to(device)
        if start.config.class_weights == "balanced":
            learner.class_weight_K = balanced_weights(sample.whole.class_N, len(data.classes)).to(device)
        parts = [part_estimate("setup", 1, setup), _decoding(registry, plan, sample)]
        for stage in stages:
            parts.append(_stage(learner, sample, stage, progress))
        # One more of each: before the first epoch, and after the last one.
        times = sum(stage.epochs for stage in stages) + 1
        choosing = len(data.choosing) or len(data.val)
        parts += [
            part_estimate("validation", times * choosing, _validation(learner, val), each=len(val)),
            part_estimate("checkpoints", times, _checkpoint(learner)),
            part_estimate("scoring", len(data.val), _scoring(learner, val, data.classes)),
        ]
    held = _held_bytes(len(data.train) + len(data.val), start.config, device)
    sampled = _held_bytes(len(sample.data), start.config, device) + _held_bytes(len(val), start.config, device)
    return total_estimate(
        parts,
        device=str(device),
        # All images are held, not only those of the sample; on a GPU they may lie there.
        memory_bytes=memory.peak_bytes + max(0, held - sampled),
        memory_of="gpu" if device.type == "cuda" else "process",
        weights=start.source.kind,
    )


def _to_do(registry: Registry, plan: Plan, stages: Sequence[StageConfig]) -> list[_Left]:
    """Return what is left of the stages: all of them, unless a run goes on."""
    done = {stage.number: 0 for stage in stages}
    if plan.run is not None and plan.goes_on:
        last = load_checkpoint(registry.root / RUNS_FOLDER / plan.run.name, LAST).description
        for stage in stages:
            earlier = stage.number < int(last["stage"])
            done[stage.number] = stage.epochs if earlier else 0
            if stage.number == int(last["stage"]):
                done[stage.number] = int(last["finished_epoch"])
    left = [_Left(stage, done[stage.number]) for stage in stages]
    return [one for one in left if one.epochs > 0]


def _sample(
    registry: Registry, train: Examples, classes: Sequence[str], config: TrainConfig, stages: Sequence[_Left]
) -> _Sample:
    shown = examples_with_share(train.opened(registry), config.location_share, config.seed)
    framer = Framer(Framing.of_training(config))
    whole = framed_data(shown, classes, framer, list(range(len(shown))), [], None)
    whole.presence_N = presence_with_classes(whole.presence_N, whole.class_N)
    wanted: set[int] = set()
    for stage in stages:
        wanted |= {n for batch_B in _first_batches(whole, stage, config) for n in batch_B.tolist()}
    rows = sorted(wanted)
    started = time.perf_counter()
    data = load_framed(shown.select(rows), classes, framer)
    decoding_s = (time.perf_counter() - started) / max(1, len(rows))
    data.presence_N = whole.presence_N[torch.tensor(rows)[data.positions]]
    return _Sample(whole, data, {rows[position]: n for n, position in enumerate(data.positions)}, decoding_s)


def _val_sample(registry: Registry, val: Examples, classes: Sequence[str], config: TrainConfig) -> FramedData:
    # From all over the set: one folder that is missing must not be all that is tried.
    rows = np.unique(np.linspace(0, len(val) - 1, min(len(val), 2 * config.batch_size)).astype(int)).tolist()
    framer = Framer(Framing.of_training(config))
    return load_framed(val.opened(registry).select(rows), classes, framer)


def _decoding(registry: Registry, plan: Plan, sample: _Sample) -> PartEstimate:
    """Estimate how long it takes to decode what the project's cache does not hold yet."""
    images = len(plan.data.train) + len(plan.data.val)
    share = 0.0
    if (registry.root / FOLDER).exists():
        config = plan.config
        framer = Framer(Framing.of_training(config), FramedStore(registry.root))
        there = framer.has(list(sample.data.examples))
        share = sum(there) / max(1, len(there))
    timed = Timed((sample.decoding_s,))
    return replace(part_estimate("decoding", round(images * (1 - share)), timed), measured=len(sample.data))


def _stage(learner: Learner, sample: _Sample, left: _Left, progress: Progress) -> PartEstimate:
    """Do some steps of a stage as `train_epoch` does them."""
    config, stage = learner.config, left.stage
    generator = epoch_generator(config, stage, left.done + 1)
    epoch = epoch_batches(sample.whole, stage, config, generator)
    batches = sample.batches(left, config)
    draws_N = torch.zeros(len(sample.data))
    for row, n in sample.place.items():
        draws_N[n] = epoch.draws_N[row]
    steps = len(epoch.batches) * left.epochs
    learner.optimizer = make_optimizer(learner.model, config)
    learner.total_steps, learner.steps = steps, 0
    state, clocks, began = EpochState(generator), [], time.perf_counter()
    with progress.task(f"trying {stage.name}", len(batches)) as task:
        for number in range(1, len(batches) + 1):
            clock = _Clock()
            # One more of them each time: what is measured is a step, not what an epoch does after its last one.
            train_epoch(learner, sample.data, stage, Epoch(batches[:number], draws_N, epoch.alike), state, clock)
            clocks.append(clock)
            task.advance()
            if number >= WARM_UP + FEWEST and time.perf_counter() - began > ENOUGH_S:
                break
    # Where there are few batches in all, the first ones count too.
    counted = clocks[WARM_UP:] or clocks[-1:]
    alone = None
    if learner.device.type == "cpu":
        # Other programs take turns with this one, and its own work is shared by its threads.
        alone = sum(clock.worked for clock in counted) / len(counted) / torch.get_num_threads()
    timed = Timed(tuple(clock.seconds for clock in counted), alone)
    return part_estimate(stage.name, steps, timed, epochs=left.epochs)


class _Clock:
    """A task that notes when the step was done."""

    def __init__(self) -> None:
        self._began, self._worked = time.perf_counter(), time.process_time()
        self.seconds = 0.0
        self.worked = 0.0
        """Seconds of processors, over all threads."""

    def advance(self, count: int = 1, **fields: str) -> None:
        """Note the time."""
        self.seconds = time.perf_counter() - self._began
        self.worked = time.process_time() - self._worked


def _validation(learner: Learner, val: FramedData) -> Timed:
    validate(learner, val)
    return _timed(lambda: validate(learner, val), times=2)


def _scoring(learner: Learner, val: FramedData, classes: Sequence[str]) -> Timed:
    """Score some images at full size, as is done at the end; returns what one image takes."""
    some = val.select(list(range(min(SCORED, len(val)))))
    timed = _timed(lambda: score_rows(learner.kept, some, learner.config, classes, learner.device), times=2)
    return Timed(tuple(seconds / len(some) for seconds in timed.seconds))


def _checkpoint(learner: Learner) -> Timed:
    """Write what an epoch writes, into a folder of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="partly-dry-run-") as folder:
        tensors = dict(learner_tensors(learner))
        return _timed(lambda: save_checkpoint(Path(folder), LAST, tensors, {"format": 0}), times=2)


def _timed(work: Callable[[], object], *, times: int) -> Timed:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return Timed(tuple(seconds))


def _held_bytes(images: int, config: TrainConfig, device: torch.device) -> int:
    """Return the bytes of squares that a training holds in memory; a larger set is read when a batch needs it."""
    fit = fit_memory(images, config.square_px, for_a_gpu=device.type == "cuda")
    return images * 3 * config.square_px**2 if fit else 0
