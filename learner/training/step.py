"""What one batch costs: its images are augmented, and the losses of a stage are worked out on them.

A batch may be split over processes, and in each of them into parts that fit into memory; what its losses are divided
by is counted over the whole batch.

Shape legend: B batch or the share of it that is at hand, K classes, S side of the square, H W of a mask,
P images of it that a pseudo mask may teach.
"""

import itertools
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from learner.data.augment import augment_strongly, augment_weakly
from learner.data.dataset import NO_CLASS, FramedData
from learner.data.letterbox import unit_images
from learner.data.presence import EMPTY, UNKNOWN
from learner.data.random_draws import Chance
from learner.data.tile_views import tile_views
from learner.device import precision
from learner.distributed import Processes
from learner.training.losses import (
    chosen_mean,
    hybrid_loss,
    localization_loss,
    passes_gate,
    presence_loss,
    pseudo_mask,
)
from learner.training.stages import StageConfig
from learner.training.state import Learner


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch, and how often its images come round."""

    images_B: Tensor
    """Indices."""
    draws_N: Tensor
    """float: how often each image of the data is drawn in an epoch on average."""
    of_alike: int | None = None
    """Number of batches in the epoch where all have the same make-up."""


@dataclass(frozen=True, slots=True)
class Views:
    """Images of a batch as the networks see them, with what is known and what their losses are divided by."""

    weak_B3SS: Tensor
    seen_B3SS: Tensor
    """What the trained network sees: for images that the teacher answers for, the hard view."""
    target_B1SS: Tensor
    known_B: Tensor
    """bool: the location is known."""
    class_B: Tensor
    presence_B: Tensor
    """int: there is something to find (1), there is nothing (0), or it is not known (-1)."""
    weight_B: Tensor
    """float: inverse of how often the image is drawn, so that what is learned of whole images is not skewed by it."""
    pseudo_B: Tensor
    """bool, on the CPU: a pseudo mask may teach."""
    located: float
    """Images of the whole batch with a known location."""
    pseudo: float
    """Images of the whole batch that a pseudo mask may teach."""
    class_weight: float
    """Sum of the weights of the whole batch's images in the class loss."""
    presence_weight: float
    """Sum of the weights of the whole batch's images in the loss on presence."""
    share: float = 1.0
    """Share of this process's images that these are."""

    def split(self, parts: int) -> list["Views"]:
        """Cut into parts, as even as can be."""
        count = len(self.known_B)
        edges = np.linspace(0, count, parts + 1).round().astype(int).tolist()
        tensors = [item.name for item in fields(self) if isinstance(getattr(self, item.name), Tensor)]
        return [
            replace(self, share=(end - start) / count, **{name: getattr(self, name)[start:end] for name in tensors})
            for start, end in itertools.pairwise(edges)
        ]


def share_of_batch(processes: Processes, count: int) -> Tensor:
    """Return which images of a batch this process sees, int64.

    A process without a share must take part all the same, with the first one; what it does then counts nothing.
    """
    rows_B = torch.tensor(processes.share(range(count)), dtype=torch.int64)
    return rows_B if len(rows_B) else torch.zeros(1, dtype=torch.int64)


def make_views(learner: Learner, data: FramedData, stage: StageConfig, batch: Batch, generator: Generator) -> Views:
    """Augment this process's share of a batch."""
    config, device, batch_B = learner.config, learner.device, batch.images_B
    rows_B = share_of_batch(learner.processes, len(batch_B))
    counts = bool(len(learner.processes.share(range(len(batch_B)))))
    chance = Chance(generator, len(batch_B), rows_B if learner.processes.count > 1 else None)
    chosen_B = batch_B[rows_B]
    images, targets, known_B = data.images_N3SS[chosen_B], data.targets_N1SS[chosen_B], data.known_N[chosen_B]
    class_B, presence_B = data.class_N[chosen_B], data.presence_N[chosen_B]
    if config.tiles > 1:
        seen = tile_views(
            images, targets, known_B=known_B, class_B=class_B, presence_B=presence_B, size=config.size,
            chance=chance,
        )  # fmt: skip
        images, targets, class_B, presence_B = seen.images_B3SS, seen.targets_B1SS, seen.class_B, seen.presence_B
    image_B3SS = unit_images(images, device)
    target_B1SS = targets.to(device).float().div_(255.0)
    known_B, class_B, presence_B = known_B.to(device), class_B.to(device), presence_B.to(device)
    weak_B3SS, target_B1SS = augment_weakly(image_B3SS, target_B1SS, chance, kind=config.augmentation)
    seen_B3SS = weak_B3SS
    hard_B = torch.nonzero(~data.known_N[chosen_B]).flatten()
    if stage.pseudo == "teacher" and len(hard_B):
        strong_B3SS = augment_strongly(weak_B3SS[hard_B.to(device)], chance.of(hard_B))
        seen_B3SS = weak_B3SS.index_copy(0, hard_B.to(device), strong_B3SS)
    weight_B = 1 / batch.draws_N[chosen_B].clamp_min(1e-6)
    known_in_all = float(data.known_N[batch_B].sum())
    class_total, presence_total = _totals(learner, data, batch)
    return Views(
        weak_B3SS,
        seen_B3SS,
        target_B1SS,
        known_B & counts,
        class_B if counts else torch.full_like(class_B, NO_CLASS),
        presence_B if counts else torch.full_like(presence_B, UNKNOWN),
        weight_B.to(device),
        ~data.known_N[chosen_B] & counts,
        located=known_in_all,
        pseudo=len(batch_B) - known_in_all,
        class_weight=class_total,
        presence_weight=presence_total,
    )


def _totals(learner: Learner, data: FramedData, batch: Batch) -> tuple[float, float]:
    """Work out what a batch's class loss, and its loss on presence, are divided by.

    That is the sum of its images' weights; in streams the mean of that over the epoch: a batch that happens to hold
    only images which come round often must not give them the weight of all.
    """
    class_weight_N = (data.class_N != NO_CLASS).float()
    if learner.class_weight_K is not None:
        class_weight_N = class_weight_N * learner.class_weight_K.cpu()[data.class_N.clamp_min(0)]
    known_N = (data.presence_N != UNKNOWN).float()
    if batch.of_alike is not None:
        takes_part_N = batch.draws_N > 0
        sums = (class_weight_N[takes_part_N].sum(), known_N[takes_part_N].sum())
        return float(sums[0]) / batch.of_alike, float(sums[1]) / batch.of_alike
    weight_B = 1 / batch.draws_N[batch.images_B].clamp_min(1e-6)
    of_class_B, known_B = class_weight_N[batch.images_B], known_N[batch.images_B]
    return float((weight_B * of_class_B).sum()), float((weight_B * known_B).sum())


def batch_losses(
    learner: Learner, data: FramedData, stage: StageConfig, batch: Batch, generator: Generator
) -> dict[str, Tensor]:
    """Compute the losses of one batch (Eq. 6 in stage 1, Eq. 7 in stage 2, or the part that a method has).

    Of several processes each returns its part of the sum.
    """
    return view_losses(learner, stage, make_views(learner, data, stage, batch, generator))


def view_losses(learner: Learner, stage: StageConfig, views: Views) -> dict[str, Tensor]:
    """Compute what some views of a batch add to its losses."""
    config = learner.config
    dice = config.loss == "bce_dice"
    with precision(config, learner.device):
        answer = learner.trained(learner.normalize(views.seen_B3SS), stage.classify)
    mask_logits_B1HW = answer[0].float()
    if stage.localize:
        loss_B = localization_loss(mask_logits_B1HW, views.target_B1SS, dice=dice)
        located = chosen_mean(loss_B, views.known_B, views.located)
    if not stage.classify:
        return {"loss": located}
    class_logits_BK = answer[1].float()
    classification = _class_loss(learner, views, class_logits_BK)
    if not stage.localize:
        return {"loss": classification}
    pseudo = (
        mask_logits_B1HW.sum() * 0
        if stage.pseudo == "none"
        else _pseudo_loss(learner, stage, views, mask_logits_B1HW, class_logits_BK)
    )
    loss = hybrid_loss(classification, located, pseudo, lambda_=config.lambda_, alpha=_alpha(learner))
    losses = {"classification": classification, "localization": located, "pseudo": pseudo}
    if len(answer) > 2:
        losses["presence"] = presence_loss(answer[2].float(), views.presence_B, views.weight_B, views.presence_weight)
        loss = loss + config.presence_weight * losses["presence"]
    return {"loss": loss, **{name: value.detach() for name, value in losses.items()}}


def _class_loss(learner: Learner, views: Views, class_logits_BK: Tensor) -> Tensor:
    if not views.class_weight:
        return class_logits_BK.sum() * 0
    loss_B = F.cross_entropy(
        class_logits_BK, views.class_B, weight=learner.class_weight_K, ignore_index=NO_CLASS, reduction="none"
    )
    return (loss_B * views.weight_B).sum() / views.class_weight


def _pseudo_loss(
    learner: Learner, stage: StageConfig, views: Views, mask_logits_B1HW: Tensor, class_logits_BK: Tensor
) -> Tensor:
    """Work out the loss on pseudo masks, made for the images whose location is not known and for no other."""
    config = learner.config
    chosen_P = torch.nonzero(views.pseudo_B).flatten().to(learner.device)
    logits_P1HW = mask_logits_B1HW[chosen_P]
    with torch.no_grad():
        answer_P1HW, classes_PK = logits_P1HW, class_logits_BK[chosen_P]
        if stage.pseudo == "teacher" and learner.teacher is not None and len(chosen_P):
            with precision(config, learner.device):
                answer = learner.teacher(learner.normalize(views.weak_B3SS[chosen_P]))
            answer_P1HW, classes_PK = answer.mask_logits_B1HW.float(), answer.class_logits_BK.float()
        mask_P1HW, valid_P1HW = pseudo_mask(torch.sigmoid(answer_P1HW), low=config.ignore_low, high=config.ignore_high)
        if config.presence:
            # A class that is always empty says what the mask is.
            empty_P111 = (views.presence_B[chosen_P] == EMPTY)[:, None, None, None]
            mask_P1HW, valid_P1HW = mask_P1HW.masked_fill(empty_P111, 0.0), valid_P1HW.masked_fill(empty_P111, 1.0)
        gated = config.pseudo_gate == "class"
        passing_P = passes_gate(classes_PK.softmax(dim=1), config.tau) if gated else torch.ones_like(chosen_P).bool()
        count = views.pseudo
        if gated:
            # Who passes is known only when a part has been seen, so of a batch in parts each has its own mean.
            count = learner.processes.sum(passing_P.sum()).item() / views.share
    if not len(chosen_P):
        return mask_logits_B1HW.sum() * 0
    loss_P = localization_loss(logits_P1HW, mask_P1HW, valid_P1HW, dice=config.loss == "bce_dice")
    return chosen_mean(loss_P, passing_P, count)


def _alpha(learner: Learner) -> float:
    ramp_steps = learner.config.alpha_rampup * learner.total_steps
    return learner.config.alpha * min(1.0, (learner.steps + 1) / ramp_steps if ramp_steps else 1.0)
