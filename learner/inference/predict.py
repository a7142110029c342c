"""Model + images -> what it says about each, in the image's own frame. No registry.

Shape legend: V views, B batch, K classes, S side of the square, H W the image's own size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.progress import Progress, SilentProgress
from db.records import Box
from learner.config import TrainConfig
from learner.data.dataset import Example, FramedData
from learner.data.letterbox import Frame, framed_box, unframed, unit_images
from learner.device import precision
from learner.inference.gate import PRESENT_FROM, Evidence, gate_score, pairwise_dice
from learner.inference.lesions import lesion_boxes
from learner.inference.uncertainty import lesion_entropy
from learner.network.forward import Evaluating, Normalizer, upsample
from learner.network.interface import Network

GAIN_GAMMAS = (0.8, 1.25)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one image."""

    example: Example
    class_probability_K: NDArray[np.float64]
    mask_HW: NDArray[np.bool_]
    """Thresholded at .5, in the image's upright size; empty where there is said to be nothing."""
    boxes: tuple[Box, ...]
    """None where there is said to be nothing."""
    box_scores: tuple[float, ...]
    """Of each box, 0 to 1: mean probability inside its part of the mask times the agreement of views there."""
    withheld_boxes: tuple[Box, ...]
    """The boxes that its mask would have where there is said to be nothing, else none: they are ranked, not shown."""
    withheld_scores: tuple[float, ...]
    """Of each withheld box."""
    agreement: float
    """Mean Dice over pairs of views, 0 to 1; without views the mean probability inside the mask."""
    entropy: float
    """Of the lesion's pixels and a band around it, bits, 0 to 1."""
    presence: float
    """Probability that there is something to find, 0 to 1; from a model without an output for it, the highest
    probability of a pixel."""
    judges_presence: bool
    """The model has an output for presence."""

    @property
    def class_index(self) -> int:
        """Index of the most probable class."""
        return int(self.class_probability_K.argmax())

    def score(self, gate: str, known_class: int | None = None) -> float:
        """Work out what is compared with tau; see `learner.inference.gate.gate_score`."""
        presence = self.presence if self.judges_presence else None
        return gate_score(
            gate, Evidence(self.class_probability_K, self.agreement, presence, bool(self.boxes)), known_class
        )


@dataclass(frozen=True, slots=True)
class ScoredViews:
    """What a network answers for several views of each image of a batch, float32."""

    mask_VB1SS: Tensor
    """Lesion probabilities, every view mapped back."""
    class_VBK: Tensor
    """Class probabilities."""
    presence_VB: Tensor | None
    """Probabilities that there is something to find; None from a network without an output for it."""


def predict(
    model: Network,
    data: FramedData,
    config: TrainConfig,
    device: torch.device,
    *,
    progress: Progress | None = None,
    name: str = "scoring",
) -> Iterator[Prediction]:
    """Score images, in order; the model's mode is restored afterwards.

    Yields:
        One prediction an image.
    """
    normalize = Normalizer(config, device)
    with (progress or SilentProgress()).task(name, len(data)) as task, torch.inference_mode(), Evaluating(model):
        for start in range(0, len(data), config.batch_size):
            images_B3SS = unit_images(data.images_N3SS[start : start + config.batch_size], device)
            with precision(config, device):
                views = score_views(model, images_B3SS, normalize, tta=config.tta)
            class_BK = views.class_VBK.mean(dim=0).double().cpu().numpy()
            mask_VBSS = views.mask_VB1SS[:, :, 0].cpu()
            presence_B = None if views.presence_VB is None else views.presence_VB.mean(dim=0).tolist()
            for n in range(len(images_B3SS)):
                presence = None if presence_B is None else presence_B[n]
                frame, example = data.frames[start + n], data.examples[start + n]
                yield _prediction(
                    example, frame, class_BK[n], mask_VBSS[:, n], presence, split=config.split_lesions == "on"
                )
            task.advance(len(images_B3SS))


def _prediction(
    example: Example,
    frame: Frame,
    class_K: NDArray[np.float64],
    mask_VSS: Tensor,
    presence: float | None,
    *,
    split: bool,
) -> Prediction:
    """Put together what the views of one image say."""
    mean_SS = mask_VSS.mean(dim=0)
    views_VSS = (mask_VSS > 0.5).numpy()
    full_HW = unframed(mean_SS, frame).numpy()
    mask_HW = full_HW > 0.5
    boxes = lesion_boxes(mask_HW, split=split)
    scores = tuple(_box_score(box, full_HW, views_VSS, frame) for box in boxes)
    withheld = presence is not None and presence < PRESENT_FROM
    inside = mean_SS[mean_SS > 0.5]
    certainty = float(inside.mean()) if len(inside) else 0.0
    return Prediction(
        example=example,
        class_probability_K=class_K / class_K.sum(),
        mask_HW=np.zeros_like(mask_HW) if withheld else mask_HW,
        boxes=() if withheld else boxes,
        box_scores=() if withheld else scores,
        withheld_boxes=boxes if withheld else (),
        withheld_scores=scores if withheld else (),
        agreement=pairwise_dice(views_VSS) if len(views_VSS) > 1 else certainty,
        entropy=lesion_entropy(mean_SS),
        presence=float(mean_SS.max()) if presence is None else presence,
        judges_presence=presence is not None,
    )


def _box_score(box: Box, probability_HW: NDArray[np.float32], views_VSS: NDArray[np.bool_], frame: Frame) -> float:
    """Score one box: mean probability inside the mask's part in it, times the agreement of views there."""
    left, top = int(box.x), int(box.y)
    part_HW = probability_HW[top : top + int(box.height), left : left + int(box.width)]
    certainty = float(part_HW[part_HW > 0.5].mean())
    if len(views_VSS) < 2:
        return certainty
    framed = framed_box(box, frame)
    x0, y0 = int(np.floor(framed.x)), int(np.floor(framed.y))
    x1, y1 = int(np.ceil(framed.x + framed.width)), int(np.ceil(framed.y + framed.height))
    # Views that disagree about the edge put it beside the box.
    return certainty * pairwise_dice(views_VSS[:, max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1])


def score_views(model: Network, images_B3SS: Tensor, normalize: Normalizer, *, tta: bool) -> ScoredViews:
    """Score several views of each image: as it is, and with `tta` mirrored and at two gains."""
    views = [(images_B3SS, False)]
    if tta:
        views.append((images_B3SS.flip(-1), True))
        views += [(images_B3SS.clamp_min(1e-4).pow(gamma), False) for gamma in GAIN_GAMMAS]
    masks, classes, presences = [], [], []
    for view_B3SS, mirrored in views:
        output = model(normalize(view_B3SS))
        logits_B1SS = upsample(output.mask_logits_B1HW.float(), images_B3SS.shape[-1])
        masks.append(torch.sigmoid(logits_B1SS.flip(-1) if mirrored else logits_B1SS))
        classes.append(output.class_logits_BK.float().softmax(dim=1))
        if output.presence_logits_B is not None:
            presences.append(torch.sigmoid(output.presence_logits_B.float()))
    return ScoredViews(torch.stack(masks), torch.stack(classes), torch.stack(presences) if presences else None)


def known_classes(examples: Sequence[Example], classes: Sequence[str]) -> list[int | None]:
    """Return each image's class index, None where it is not known to the model."""
    index = {name: n for n, name in enumerate(classes)}
    return [index.get(example.class_name) if example.class_name else None for example in examples]
