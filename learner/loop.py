"""The training loop, the only one: epochs of one stage over framed data, whatever the stage.

Everything random in an epoch comes from a generator seeded by (seed, stage, epoch), so a training that goes on after
an interruption draws the same numbers as one that was never interrupted.

Shape legend: B batch, K classes, S side of the square.
"""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from db.progress import Task
from learner.augment import augment_strongly, augment_weakly
from learner.config import TrainConfig
from learner.data import NO_CLASS, FramedData
from learner.device import precision
from learner.errors import TrainingDiverged
from learner.framing import unit_images
from learner.losses import hybrid_loss, localization_loss, masked_mean, passes_gate, pseudo_mask
from learner.metrics import classification_metrics
from learner.network.interface import Network
from learner.predict import Evaluating, Normalizer, upsample
from learner.sampling import plain_batches, two_stream_batches
from learner.stages import StageConfig

WARM_UP_SHARE = 0.05


@dataclass(slots=True)
class Learner:
    """All state of a training that changes while it runs."""

    model: Network
    teacher: Network | None
    """Running average of the model's weights; None where `ema_decay` is 0."""
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    device: torch.device
    steps: int = 0
    """Steps taken in the current stage."""
    total_steps: int = 1
    """Steps that the current stage will take."""
    class_weight_K: Tensor | None = None
    """Weights of the classes in their loss; None: each image weighs the same."""
    normalize: Normalizer = field(init=False)

    def __post_init__(self) -> None:
        self.normalize = Normalizer(self.config, self.device)

    @property
    def kept(self) -> Network:
        """The weights that are validated and saved."""
        return self.model if self.teacher is None else self.teacher


def make_optimizer(model: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimizer; a pretrained encoder learns at `encoder_lr_factor` times the rate."""
    factor = 1.0 if config.weights == "none" else config.encoder_lr_factor
    encoder = list(model.encoder.parameters())
    in_encoder = {id(parameter) for parameter in encoder}
    heads = [parameter for parameter in model.parameters() if id(parameter) not in in_encoder]
    groups: list[dict[str, Any]] = [
        {"params": encoder, "lr": config.lr * factor, "base_lr": config.lr * factor},
        {"params": heads, "lr": config.lr, "base_lr": config.lr},
    ]
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.lr)
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay)


def make_learner(model: Network, config: TrainConfig, device: torch.device) -> Learner:
    """Put a model on its device, with its optimizer and, where wanted, its averaged copy."""
    model = model.to(device).to(memory_format=torch.channels_last)
    teacher = copy.deepcopy(model).eval().requires_grad_(False) if config.ema_decay > 0 else None
    return Learner(model, teacher, make_optimizer(model, config), config, device)


def epoch_generator(config: TrainConfig, stage: StageConfig, epoch: int) -> Generator:
    """Seed everything random in an epoch."""
    seed = (config.seed * 1_000_003 + stage.number) * 1_000_003 + epoch
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def epoch_batches(data: FramedData, stage: StageConfig, config: TrainConfig, generator: Generator) -> list[Tensor]:
    """Choose the batches of an epoch."""
    if not stage.all_images:
        return plain_batches(torch.nonzero(data.known_N).flatten(), config.batch_size, generator)
    if config.batches == "two_stream":
        return two_stream_batches(data.known_N, config.batch_size, config.located_share, generator)
    return plain_batches(torch.arange(len(data)), config.batch_size, generator)


def train_epoch(
    learner: Learner, data: FramedData, stage: StageConfig, batches: list[Tensor], generator: Generator, task: Task
) -> dict[str, float]:
    """Train one epoch and return the mean losses.

    Raises:
        TrainingDiverged: a loss is not finite; its step was not taken.
    """
    learner.model.train()
    totals: dict[str, float] = {}
    images, started = 0, time.perf_counter()
    for batch_B in batches:
        losses = batch_losses(learner, data, stage, batch_B, generator)
        loss = losses["loss"]
        if not torch.isfinite(loss):
            parts = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
            raise TrainingDiverged(
                f"the loss is not finite in {stage.name}, step {learner.steps + 1} ({parts}); the step was not taken. "
                "Try a lower rate, such as --set lr=0.0003"
            )
        _set_rates(learner)
        learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        learner.optimizer.step()
        learner.steps += 1
        _update_teacher(learner)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value.item() * len(batch_B)
        images += len(batch_B)
        rate = images / (time.perf_counter() - started)
        task.advance(len(batch_B), loss=f"{totals['loss'] / images:.3f}", speed=f"{rate:.0f} images/s")
    return {name: value / images for name, value in totals.items()}


def batch_losses(
    learner: Learner, data: FramedData, stage: StageConfig, batch_B: Tensor, generator: Generator
) -> dict[str, Tensor]:
    """Compute the losses of one batch (Eq. 6 in stage 1, Eq. 7 in stage 2, or the part that a method has)."""
    config, device = learner.config, learner.device
    image_B3SS = unit_images(data.images_N3SS[batch_B], device)
    target_B1SS = data.targets_N1SS[batch_B].to(device).float().div_(255.0)
    known_B, class_B = data.known_N[batch_B].to(device), data.class_N[batch_B].to(device)
    weak_B3SS, target_B1SS = augment_weakly(image_B3SS, target_B1SS, generator, kind=config.augmentation)
    seen_B3SS = weak_B3SS
    if stage.pseudo == "teacher":
        # The student sees the hard view of the images that the teacher answers for.
        strong_B3SS = augment_strongly(weak_B3SS, generator)
        seen_B3SS = torch.where(known_B[:, None, None, None], weak_B3SS, strong_B3SS)
    dice = config.loss == "bce_dice"
    with precision(config, device):
        if not stage.classify:
            logits_B1HW = learner.model.locate(learner.normalize(seen_B3SS)).float()
            return {"loss": masked_mean(localization_loss(logits_B1HW, target_B1SS, dice=dice), known_B)}
        output = learner.model(learner.normalize(seen_B3SS))
    mask_logits_B1HW, class_logits_BK = output.mask_logits_B1HW.float(), output.class_logits_BK.float()
    classification = (
        F.cross_entropy(class_logits_BK, class_B, weight=learner.class_weight_K, ignore_index=NO_CLASS)
        if bool((class_B != NO_CLASS).any())
        else class_logits_BK.sum() * 0
    )
    if not stage.localize:
        return {"loss": classification}
    located = masked_mean(localization_loss(mask_logits_B1HW, target_B1SS, dice=dice), known_B)
    pseudo = mask_logits_B1HW.sum() * 0
    if stage.pseudo != "none":
        pseudo_B1HW, valid_B1HW, chosen_B = _pseudo_labels(
            learner, stage, weak_B3SS, mask_logits_B1HW, class_logits_BK, ~known_B
        )
        pseudo = masked_mean(localization_loss(mask_logits_B1HW, pseudo_B1HW, valid_B1HW, dice=dice), chosen_B)
    loss = hybrid_loss(classification, located, pseudo, lambda_=config.lambda_, alpha=_alpha(learner))
    return {
        "loss": loss,
        "classification": classification.detach(),
        "localization": located.detach(),
        "pseudo": pseudo.detach(),
    }


@torch.no_grad()
def _pseudo_labels(
    learner: Learner,
    stage: StageConfig,
    weak_B3SS: Tensor,
    mask_logits_B1HW: Tensor,
    class_logits_BK: Tensor,
    unknown_B: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Make pseudo masks for the images whose location is not known, and say which of them pass the gate."""
    config = learner.config
    if stage.pseudo == "teacher" and learner.teacher is not None:
        with precision(config, learner.device):
            answer = learner.teacher(learner.normalize(weak_B3SS))
        mask_logits_B1HW, class_logits_BK = answer.mask_logits_B1HW.float(), answer.class_logits_BK.float()
    mask_B1HW, valid_B1HW = pseudo_mask(torch.sigmoid(mask_logits_B1HW), low=config.ignore_low, high=config.ignore_high)
    chosen_B = unknown_B
    if config.pseudo_gate == "class":
        chosen_B = chosen_B & passes_gate(class_logits_BK.softmax(dim=1), config.tau)
    return mask_B1HW, valid_B1HW, chosen_B


def _alpha(learner: Learner) -> float:
    ramp_steps = learner.config.alpha_rampup * learner.total_steps
    return learner.config.alpha * min(1.0, (learner.steps + 1) / ramp_steps if ramp_steps else 1.0)


def _set_rates(learner: Learner) -> None:
    if learner.config.schedule == "constant":
        return
    warm_up = max(1.0, WARM_UP_SHARE * learner.total_steps)
    done = learner.steps / max(1, learner.total_steps)
    factor = min(1.0, (learner.steps + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
    for group in learner.optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


@torch.no_grad()
def _update_teacher(learner: Learner) -> None:
    if learner.teacher is None:
        return
    # Early on the average follows closely, as in mean teacher's ramp-up.
    decay = min(learner.config.ema_decay, (learner.steps + 1) / (learner.steps + 10))
    averaged, current = learner.teacher.state_dict(), learner.model.state_dict()
    for name, value in averaged.items():
        if value.dtype.is_floating_point:
            value.lerp_(current[name], 1 - decay)
        else:
            value.copy_(current[name])


@torch.inference_mode()
def validate(learner: Learner, data: FramedData) -> dict[str, float | None]:
    """Measure the kept weights on validation data, in the square and from one view: quick, for choosing an epoch.

    Returns:
        accuracy, auc and dice; None where the data cannot tell, or the method does not answer.
    """
    model, truth, dices = learner.kept, [], []
    probabilities = []
    with Evaluating(model):
        for start in range(0, len(data), learner.config.batch_size):
            batch = slice(start, start + learner.config.batch_size)
            with precision(learner.config, learner.device):
                output = model(learner.normalize(unit_images(data.images_N3SS[batch], learner.device)))
            mask_B1SS = upsample(output.mask_logits_B1HW.float(), data.images_N3SS.shape[-1]).cpu() > 0
            target_B1SS = data.targets_N1SS[batch] > 127
            both_B = (mask_B1SS & target_B1SS).sum(dim=(1, 2, 3)).double()
            size_B = (mask_B1SS.sum(dim=(1, 2, 3)) + target_B1SS.sum(dim=(1, 2, 3))).double()
            present_B = data.known_N[batch] & target_B1SS.any(dim=3).any(dim=2).any(dim=1)
            dices += (2 * both_B / size_B)[present_B].tolist()
            probabilities.append(output.class_logits_BK.float().softmax(dim=1).double().cpu().numpy())
            truth.append(data.class_N[batch].numpy())
    truth_N, probability_NK = np.concatenate(truth), np.concatenate(probabilities)
    labeled_N = truth_N != NO_CLASS
    measured = classification_metrics(truth_N[labeled_N], probability_NK[labeled_N])
    return {
        "accuracy": measured["accuracy"] if model.classifies else None,
        "auc": measured["auc"] if model.classifies else None,
        "dice": sum(dices) / len(dices) if dices and model.localizes else None,
    }


def selection_score(measured: dict[str, float | None], select: str) -> float:
    """What the best epoch is best in; what cannot be measured counts as nothing.

    A method that does not classify is chosen by Dice, whatever is asked for.
    """
    names = ("accuracy",) if select == "accuracy" and measured["accuracy"] is not None else ("dice", "auc")
    return sum(measured[name] or 0.0 for name in names)


def learner_tensors(learner: Learner) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors that a training needs to go on: model, teacher, optimizer."""
    for name, value in learner.model.state_dict().items():
        yield f"model.{name}", value
    if learner.teacher is not None:
        for name, value in learner.teacher.state_dict().items():
            yield f"teacher.{name}", value
    for index, state in learner.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            yield f"optimizer.{index}.{name}", torch.as_tensor(value)


def restore_learner(learner: Learner, tensors: dict[str, Tensor]) -> None:
    """Put back what `learner_tensors` yielded."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "teacher": {}}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        part, name = key.split(".", 1)
        if part == "optimizer":
            index, field_name = name.split(".", 1)
            state.setdefault(int(index), {})[field_name] = value
        else:
            parts[part][name] = value
    learner.model.load_state_dict(parts["model"])
    if learner.teacher is not None:
        learner.teacher.load_state_dict(parts["teacher"])
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
