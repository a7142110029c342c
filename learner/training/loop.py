"""The training loop, the only one: epochs of one stage over framed data, whatever the stage.

Everything random in an epoch comes from a generator seeded by (seed, stage, epoch), and from torch's own, which is
seeded anew in every step. So a training that goes on after an interruption, between epochs or within one, draws the
same numbers as one that was never interrupted.

Shape legend: B batch, K classes, S side of the square.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor

from db.progress import Task
from learner.config import TrainConfig
from learner.data.batches import Epoch, Shares, plain_batches, stream_batches, two_stream_batches, unweighted
from learner.data.dataset import NO_CLASS, FramedData
from learner.data.letterbox import unit_images
from learner.data.presence import EMPTY, PRESENT
from learner.device import precision
from learner.errors import TrainingDiverged
from learner.evaluation.metrics import classification_metrics
from learner.network.forward import Evaluating, look, scored_at_once, upsample
from learner.network.interface import Network
from learner.tensor_files import not_finite
from learner.training.stages import StageConfig
from learner.training.state import Learner, set_rates, update_teacher
from learner.training.step import Batch, make_views, share_of_batch, view_losses

LARGEST_SEED = 2**62
STEP_SEEDS = 2_147_483_647
"""Between the seeds of two steps; of another size than what lies between stages and epochs, so that none coincide."""


@dataclass(slots=True)
class EpochState:
    """How far an epoch is: with the learner's tensors all that one which was cut needs to go on."""

    generator: Generator
    """Source of chance, from `epoch_generator`."""
    batches: int = 0
    """That are done."""
    images: int = 0
    """In these."""
    totals: dict[str, float] = field(default_factory=dict)
    """Sums of the losses over these images."""


@dataclass(frozen=True, slots=True)
class ValidationRow:
    """One validation image, scored."""

    class_index: int
    """`NO_CLASS` where it is not known."""
    probability: list[float]
    """Of every class."""
    presence: int
    """1 something to find, 0 nothing, -1 not known."""
    overlap: float
    """Dice of the predicted mask with the known one; 1 if both are empty."""


def epoch_generator(config: TrainConfig, stage: StageConfig, epoch: int) -> Generator:
    """Seed what is drawn for whole batches of an epoch, which is the same in every process."""
    # Within what a generator takes; seeds of up to six digits are as they are.
    seed = ((config.seed * 1_000_003 + stage.number) * 1_000_003 + epoch) % LARGEST_SEED
    return torch.Generator().manual_seed(seed)


def epoch_batches(data: FramedData, stage: StageConfig, config: TrainConfig, generator: Generator) -> Epoch:
    """Choose the batches of an epoch."""
    wanted = -(-config.min_steps // stage.epochs)
    if config.batches == "streams" and config.batch_size > 1 and stage.localize:
        return stream_batches(
            data.known_N,
            data.presence_N == 0,
            config.batch_size,
            Shares(config.located_share, config.empty_share),
            generator,
            located_only=not stage.all_images,
            min_batches=wanted,
        )
    batches = _shuffled(data, stage, config, generator)
    while len(batches) < wanted:
        batches += _shuffled(data, stage, config, generator)
    return unweighted(batches, len(data))


def _shuffled(data: FramedData, stage: StageConfig, config: TrainConfig, generator: Generator) -> list[Tensor]:
    if stage.all_images and config.batches == "two_stream":
        return two_stream_batches(data.known_N, config.batch_size, config.located_share, generator)
    images_N = torch.arange(len(data)) if stage.all_images else torch.nonzero(data.known_N).flatten()
    return plain_batches(images_N, config.batch_size, generator)


def train_epoch(
    learner: Learner,
    data: FramedData,
    stage: StageConfig,
    epoch: Epoch,
    state: EpochState,
    task: Task,
    after_step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Train one epoch, or what is left of it, and return the mean losses.

    Args:
        learner: what is trained.
        data: images.
        stage: of the training.
        epoch: its batches.
        state: how far it is; kept up to date.
        task: is told of each batch.
        after_step: is called after each step but the last one.

    Raises:
        TrainingDiverged: a loss is not finite, and its step was not taken; or weights are not.
    """
    learner.trained.train()
    totals, before, started = state.totals, state.images, time.perf_counter()
    left = epoch.batches[state.batches :]
    data.expect(batch_B[share_of_batch(learner.processes, len(batch_B))] for batch_B in left)
    for batch_B in left:
        seed = (state.generator.initial_seed() + state.batches * STEP_SEEDS) % LARGEST_SEED
        torch.manual_seed(seed + learner.processes.number)
        set_rates(learner)
        learner.optimizer.zero_grad(set_to_none=True)
        losses = add_gradients(
            learner,
            data,
            stage,
            Batch(batch_B, epoch.draws_N, len(epoch.batches) if epoch.alike else None),
            state.generator,
        )
        if not math.isfinite(losses["loss"]):
            parts = ", ".join(f"{name} {value:g}" for name, value in losses.items())
            raise TrainingDiverged(
                f"the loss is not finite in {stage.name}, step {learner.steps + 1} ({parts}); it was not applied. "
                "Try a lower learning rate, such as --set lr=0.0003"
            )
        learner.optimizer.step()
        learner.steps += 1
        update_teacher(learner)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value * len(batch_B)
        state.batches, state.images = state.batches + 1, state.images + len(batch_B)
        rate = (state.images - before) / (time.perf_counter() - started)
        task.advance(len(batch_B), loss=f"{totals['loss'] / state.images:.3f}", speed=f"{rate:.0f} images/s")
        if state.batches < len(epoch.batches):
            after_step()
    wrong = not_finite(learner.model.state_dict())
    if wrong:
        # The loss of the step that did this was finite still.
        raise TrainingDiverged(
            f"{len(wrong)} weights are not finite after an epoch of {stage.name} ({wrong[0]}); it was not saved. "
            "Try a lower learning rate, such as --set lr=0.0003"
        )
    return {name: value / state.images for name, value in totals.items()}


def add_gradients(
    learner: Learner, data: FramedData, stage: StageConfig, batch: Batch, generator: Generator
) -> dict[str, float]:
    """Work out the gradients of a batch, part by part, and return its losses."""
    views = make_views(learner, data, stage, batch, generator)
    # As many in every process, since they wait for each other in each part; two images in each, for their statistics.
    smallest_share = len(batch.images_B) // learner.processes.count
    parts = views.split(max(1, min(learner.config.accumulate, smallest_share // 2)))
    totals: dict[str, Tensor] = {}
    for number, part in enumerate(parts, start=1):
        last = number == len(parts)
        with learner.processes.holding(learner.trained, last=last):
            losses = view_losses(learner, stage, part)
            learner.processes.backward(losses["loss"], learner.trained, last=last)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value.detach()
    # All at once: each number that leaves a GPU makes it wait.
    values = learner.processes.sum(torch.stack(list(totals.values()))).tolist()
    return dict(zip(totals, values, strict=True))


def validate(learner: Learner, data: FramedData) -> dict[str, float | None]:
    """Measure the kept weights on validation data; see `validation_rows` and `measure_rows`."""
    return measure_rows(validation_rows(learner, data), learner.kept)


@torch.inference_mode()
def validation_rows(learner: Learner, data: FramedData) -> list[ValidationRow]:
    """Score validation data with the kept weights, in the square and from one view: quick, for choosing an epoch.

    Returns:
        One row an image, in the order of the images; all processes get all rows.
    """
    model = learner.kept
    positions = learner.processes.share(range(len(data)))
    mine = torch.tensor(positions, dtype=torch.int64)
    batches = mine.split(scored_at_once(learner.config))
    data.expect(batches)
    found: list[ValidationRow] = []
    with Evaluating(model):
        for batch_B in batches:
            with precision(learner.config, learner.device):
                normal_B3LL = learner.normalize(unit_images(data.images_N3SS[batch_B], learner.device))
                output = look(model, normal_B3LL, learner.config.size)
            mask_B1SS = upsample(output.mask_logits_B1HW.float(), data.images_N3SS.shape[-1]).cpu() > 0
            if output.presence_logits_B is not None:
                mask_B1SS &= output.presence_logits_B.float().cpu()[:, None, None, None] >= 0
            overlap_B = _overlaps(mask_B1SS, data.targets_N1SS[batch_B].cpu() > 127)
            probability_BK = output.class_logits_BK.float().softmax(dim=1).double().cpu().tolist()
            columns = (data.class_N[batch_B].tolist(), probability_BK, data.presence_N[batch_B].tolist(), overlap_B)
            found += map(ValidationRow, *columns)
    return learner.processes.gather(zip(positions, found, strict=True))


def measure_rows(rows: Sequence[ValidationRow], model: Network) -> dict[str, float | None]:
    """Measure scored validation images.

    Returns:
        accuracy, auc, dice (over images with a lesion, a miss counts as 0) and empty (share of the images known to be
        empty on which nothing is drawn); None where the data cannot tell, or the method does not answer.
    """
    labeled = [row for row in rows if row.class_index != NO_CLASS]
    measured = classification_metrics(
        np.array([row.class_index for row in labeled], dtype=np.int64), np.array([row.probability for row in labeled])
    )
    of_kind = {kind: [row.overlap for row in rows if row.presence == kind] for kind in (PRESENT, EMPTY)}
    return {
        "accuracy": measured["accuracy"] if model.classifies else None,
        "auc": measured["auc"] if model.classifies else None,
        "dice": _mean(of_kind[PRESENT]) if model.localizes else None,
        "empty": _mean(of_kind[EMPTY]) if model.localizes else None,
    }


def _overlaps(first_B1SS: Tensor, second_B1SS: Tensor) -> list[float]:
    """Dice of each pair of masks; 1 if both are empty."""
    both_B = (first_B1SS & second_B1SS).sum(dim=(1, 2, 3)).double()
    size_B = (first_B1SS.sum(dim=(1, 2, 3)) + second_B1SS.sum(dim=(1, 2, 3))).double()
    overlaps: list[float] = torch.where(size_B > 0, 2 * both_B / size_B, 1.0).tolist()
    return overlaps


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
