"""A training under way, and the two checkpoints that it keeps: the best epoch, and the last one to resume from."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from db.progress import Progress
from db.records import RunRecord
from db.registry import Registry
from learner.checkpoint import BEST, LAST, load_checkpoint, save_checkpoint
from learner.config import STARTED_FROM, TrainConfig
from learner.data.dataset import FramedData
from learner.data.selection import TrainingData
from learner.distributed import Processes
from learner.errors import CheckpointIncompatible
from learner.training.lease import Lease
from learner.training.loop import EpochState
from learner.training.stages import StageConfig
from learner.training.start import Images
from learner.training.state import Learner, learner_tensors, restore_learner
from learner.training.tracking import Tracker

RUNS_FOLDER = "runs"
GENERATOR = "epoch.generator"
"""Name of the tensor that holds the source of chance of an epoch under way."""


@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The epoch of stage 2 that is kept, with its validation metrics; None where one cannot be measured."""

    epoch: int
    score: float | None
    """The score by which it is the best; None if the last epoch is kept."""
    accuracy: float | None
    auc: float | None
    dice: float | None
    empty: float | None = None
    """Share of the images known to be empty on which no box is drawn."""


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
    choosing: FramedData
    """The validation images that choose the epoch; all of them where the last epoch is kept anyway."""
    progress: Progress
    processes: Processes
    tracker: Tracker
    lease: Lease
    seen_before: Images = field(default_factory=dict)
    """Images that the weights it started from have seen."""
    seconds: float = 0.0
    images_seen: int = 0
    start_stage: int = 1
    start_epoch: int = 1
    begun: EpochState | None = None
    """How far that epoch is, where it was cut."""
    saved_at: float = field(default_factory=time.monotonic)
    """When the last checkpoint was written."""
    best: BestEpoch | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def best_epoch(self) -> BestEpoch:
        """The best epoch so far.

        Raises:
            CheckpointIncompatible: no epoch of stage 2 was finished.
        """
        if self.best is None:
            raise CheckpointIncompatible(
                f"{self.run.name}: no epoch of stage 2 was finished; train again: partly train"
            )
        return self.best


def has_epochs(registry: Registry, run: RunRecord) -> bool:
    """Say whether a cut training has saved something that it can go on from."""
    return (registry.root / RUNS_FOLDER / run.name / f"{LAST}.json").exists()


def save_best(
    job: Job, tensors: Mapping[str, Tensor], *, metrics: Mapping[str, Any] | None = None, history: bool = False
) -> None:
    """Write the checkpoint of the best epoch.

    Args:
        job: the training.
        tensors: weights of that epoch.
        metrics: of the finished run; None for what was measured on validation during training.
        history: add what was measured in every epoch.
    """
    best = job.best_epoch
    description = {
        "run": job.run.name,
        "config": job.config.to_dict(),
        # None for a run of an earlier version that goes on.
        STARTED_FROM: job.run.config.get(STARTED_FROM),
        "classes": job.data.classes,
        "snapshot": job.data.snapshot.hash,
        "images": job.data.image_ids,
        # Whoever certifies the run leaves these out.
        "validation_cut": bool(job.data.choosing),
        "choosing": list(job.data.choosing),
        "seen_before": job.seen_before,
        "epoch": best.epoch,
        "metrics": metrics or {"val": asdict(best)},
    }
    if history:
        description["history"] = job.history
    save_checkpoint(job.folder, BEST, tensors, description)


def save_last(job: Job, stage: StageConfig, epoch: int, within: EpochState | None = None) -> None:
    """Write the checkpoint that an interrupted training resumes from.

    Args:
        job: the training.
        stage: under way.
        epoch: the last one that is finished, 0 where none of the stage is.
        within: how far the next one is, where it has begun.
    """
    tensors = dict(learner_tensors(job.learner))
    state = {
        "stage": stage.number,
        "finished_epoch": epoch,
        "finished_stage": epoch == stage.epochs,
        "within": {},
        "images": job.data.image_ids,
        "choosing": list(job.data.choosing),
        "seen_before": job.seen_before,
        "seconds": job.seconds,
        "images_seen": job.images_seen,
        "best": asdict(job.best) if job.best else {},
        "history": job.history,
    }
    if within is not None:
        tensors[GENERATOR] = within.generator.get_state()
        state["within"] = {"batches": within.batches, "images": within.images, "totals": within.totals}
    save_checkpoint(job.folder, LAST, tensors, state)
    job.saved_at = time.monotonic()


def restore(job: Job) -> None:
    """Bring a training to where its last checkpoint was written."""
    last = load_checkpoint(job.folder, LAST)
    state = last.description
    try:
        drawn = last.tensors.pop(GENERATOR, None)
        restore_learner(job.learner, last.tensors)
        best = BestEpoch(**state["best"]) if state["best"] else None
        job.begun = _begun(state.get("within", {}), drawn)
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as exc:
        reason = str(exc).strip().splitlines()[0][:200] if str(exc).strip() else type(exc).__name__
        raise CheckpointIncompatible(
            f"{job.folder}: {job.run.name} cannot resume from what is stored there ({reason}); train again: "
            "partly train"
        ) from exc
    job.seen_before = state.get("seen_before", {})
    job.seconds, job.images_seen = state["seconds"], state["images_seen"]
    job.best, job.history = best, state["history"]
    if job.best is not None and "empty" not in state["best"]:
        # An earlier version scored epochs in another way; what it chose gives way to the next one.
        job.best = replace(job.best, score=None)
    job.start_stage = state["stage"] + (1 if state["finished_stage"] else 0)
    job.start_epoch = 1 if state["finished_stage"] else state["finished_epoch"] + 1
    place = f"after epoch {state['finished_epoch']} of stage {state['stage']}"
    if job.begun is not None:
        place = f"after step {job.begun.batches} of epoch {job.start_epoch} of stage {state['stage']}"
    job.progress.say(f"{job.run.name} resumes {place}")


def _begun(within: Mapping[str, Any], drawn: Tensor | None) -> EpochState | None:
    """Read how far an epoch was; None where none had begun."""
    if not within or drawn is None:
        return None
    generator = torch.Generator()
    generator.set_state(drawn)
    totals = {str(name): float(value) for name, value in within["totals"].items()}
    if not within["images"] or not within["batches"]:
        raise ValueError("an epoch under way without a step")
    return EpochState(generator, within["batches"], within["images"], totals)
