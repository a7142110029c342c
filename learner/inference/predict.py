"""Model + images -> what it says about each, in the image's own frame. No registry.

Shape legend: V views, B batch, K classes, S side of the square, H W the image's own size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.imaging.geometry import boxes_from_mask
from db.progress import Progress, SilentProgress
from db.records import Box
from learner.config import TrainConfig
from learner.data.dataset import Example, FramedData
from learner.data.letterbox import unframed_mask, unit_images
from learner.device import precision
from learner.inference.gate import gate_score, pairwise_dice
from learner.network.forward import Evaluating, Normalizer, upsample
from learner.network.interface import Network

GAIN_GAMMAS = (0.8, 1.25)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one image."""

    example: Example
    class_probability_K: NDArray[np.float64]
    mask_HW: NDArray[np.bool_]
    """Thresholded at .5, in the image's upright size."""
    boxes: tuple[Box, ...]
    agreement: float
    """Mean Dice over pairs of views, 0 to 1; without views the mean probability inside the mask."""

    @property
    def class_index(self) -> int:
        """Index of the most probable class."""
        return int(self.class_probability_K.argmax())

    def score(self, gate: str, known_class: int | None = None) -> float:
        """Work out what is compared with tau; see `learner.inference.gate.gate_score`."""
        return gate_score(gate, self.class_probability_K, self.agreement, known_class)


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
                masks_VB1SS, classes_VBK = score_views(model, images_B3SS, normalize, tta=config.tta)
            mean_B1SS = masks_VB1SS.mean(dim=0).cpu()
            class_BK = classes_VBK.mean(dim=0).double().cpu().numpy()
            views_VBSS = (masks_VB1SS[:, :, 0] > 0.5).cpu().numpy()
            for n in range(len(images_B3SS)):
                frame, example = data.frames[start + n], data.examples[start + n]
                mask_HW = unframed_mask(mean_B1SS[n, 0], frame)
                inside = mean_B1SS[n, 0][mean_B1SS[n, 0] > 0.5]
                certainty = float(inside.mean()) if len(inside) else 0.0
                yield Prediction(
                    example=example,
                    class_probability_K=class_BK[n] / class_BK[n].sum(),
                    mask_HW=mask_HW,
                    boxes=boxes_from_mask(mask_HW),
                    agreement=pairwise_dice(views_VBSS[:, n]) if len(views_VBSS) > 1 else certainty,
                )
            task.advance(len(images_B3SS))


def score_views(model: Network, images_B3SS: Tensor, normalize: Normalizer, *, tta: bool) -> tuple[Tensor, Tensor]:
    """Score several views of each image: as it is, and with `tta` mirrored and at two gains.

    Returns:
        Lesion probabilities VB1SS (views mapped back) and class probabilities VBK, float32.
    """
    views = [(images_B3SS, False)]
    if tta:
        views.append((images_B3SS.flip(-1), True))
        views += [(images_B3SS.clamp_min(1e-4).pow(gamma), False) for gamma in GAIN_GAMMAS]
    masks, classes = [], []
    for view_B3SS, mirrored in views:
        output = model(normalize(view_B3SS))
        logits_B1SS = upsample(output.mask_logits_B1HW.float(), images_B3SS.shape[-1])
        masks.append(torch.sigmoid(logits_B1SS.flip(-1) if mirrored else logits_B1SS))
        classes.append(output.class_logits_BK.float().softmax(dim=1))
    return torch.stack(masks), torch.stack(classes)


def known_classes(examples: Sequence[Example], classes: Sequence[str]) -> list[int | None]:
    """Return each image's class index, None where it is not known to the model."""
    index = {name: n for n, name in enumerate(classes)}
    return [index.get(example.class_name) if example.class_name else None for example in examples]
