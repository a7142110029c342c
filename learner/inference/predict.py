"""Model + images -> what it says about each, in the image's own frame. No registry.

Shape legend: V views, B batch, K classes, S side of the square, H W the image's own size.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from db.progress import Progress, SilentProgress
from db.records import Box
from learner.config import TrainConfig
from learner.data.dataset import FramedData, FramedStream
from learner.data.examples import Example
from learner.data.letterbox import Frame, Window, framed_box, unframed_above, unit_images
from learner.device import precision
from learner.inference.gate import PRESENT_FROM, Evidence, gate_score, pairwise_dice
from learner.inference.lesions import lesion_boxes
from learner.inference.uncertainty import lesion_entropy
from learner.network.forward import Evaluating, Normalizer, look, scored_at_once, upsample
from learner.network.interface import Network

GAIN_GAMMAS = (0.8, 1.25)
LESION_FROM = 0.5
"""A pixel whose probability is above this is of a lesion."""
FINEST_PX = 512
"""Longer side at which lesions are looked for in a mask, or the square's where that is larger: networks answer with a
quarter of their square's pixels a side at most."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says about one image."""

    example: Example
    position: int
    """Of the image among those that were asked for."""
    class_probability_K: NDArray[np.float64]
    mask_part_HW: NDArray[np.bool_]
    """Thresholded at .5: the part of the mask that has something in it; empty where there is said to be nothing."""
    mask_at: tuple[int, int]
    """Left and top of this part in the mask, pixels."""
    mask_size: tuple[int, int]
    """Width and height of the mask: the image's, or less where that is finer than any answer."""
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
    def mask_HW(self) -> NDArray[np.bool_]:
        """The mask in the image's upright size."""
        (left, top), (width, height) = self.mask_at, self.mask_size
        near_HW = np.zeros((height, width), dtype=bool)
        part_h, part_w = self.mask_part_HW.shape
        near_HW[top : top + part_h, left : left + part_w] = self.mask_part_HW
        size = (self.example.width, self.example.height)
        if size == self.mask_size:
            return near_HW
        return np.asarray(Image.fromarray(near_HW).resize(size, Image.Resampling.NEAREST))

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
    data: FramedData | FramedStream,
    config: TrainConfig,
    device: torch.device,
    *,
    progress: Progress | None = None,
    name: str = "scoring",
) -> Iterator[Prediction]:
    """Score images, in order; the model's mode is restored afterwards.

    What is found on a batch is worked out in other threads; where a GPU scores, while the next one is scored.

    Yields:
        One prediction an image that can be read.

    Raises:
        DataInvalid: none of a stream's images can be read.
    """
    found: deque[list[Future[Prediction]]] = deque()
    # A CPU's cores are all at work on the batch: they would wait for the one that does something else.
    waiting = 0 if device.type == "cpu" else 1
    normalize = Normalizer(config, device)
    with (
        (progress or SilentProgress()).task(name, len(data)) as task,
        torch.inference_mode(),
        Evaluating(model),
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        for piece in [data] if isinstance(data, FramedData) else data:
            for rows_B in torch.arange(len(piece)).split(scored_at_once(config)):
                found.append(_score_batch(model, piece, rows_B, normalize, config, pool))
                if len(found) > waiting:
                    done = [one.result() for one in found.popleft()]
                    yield from done
                    task.advance(len(done))
        while found:
            done = [one.result() for one in found.popleft()]
            yield from done
            task.advance(len(done))


def _score_batch(
    model: Network,
    data: FramedData,
    rows_B: Tensor,
    normalize: Normalizer,
    config: TrainConfig,
    pool: ThreadPoolExecutor,
) -> list[Future[Prediction]]:
    images_B3SS = unit_images(data.images_N3SS[rows_B], normalize.device)
    with precision(config, normalize.device):
        views = score_views(model, images_B3SS, normalize, config)
    class_BK = views.class_VBK.mean(dim=0).double().cpu().numpy()
    # From here on NumPy: torch's own threads would get in the way of the next batch.
    inside_VBSS = (views.mask_VB1SS[:, :, 0] > LESION_FROM).cpu().numpy()
    mean_BSS = views.mask_VB1SS.mean(dim=0)[:, 0].cpu().numpy()
    presence_B = [None] * len(rows_B) if views.presence_VB is None else views.presence_VB.mean(dim=0).tolist()
    split = config.split_lesions == "on"
    return [
        pool.submit(
            _prediction,
            data.examples[row],
            data.positions[row] if data.positions else row,
            data.frames[row],
            _Answer(class_BK[n], inside_VBSS[:, n], mean_BSS[n], presence_B[n]),
            split=split,
        )
        for n, row in enumerate(rows_B.tolist())
    ]


class _Answer(NamedTuple):
    """What the views of one image say."""

    class_K: NDArray[np.float64]
    """Probabilities, of all views together."""
    inside_VSS: NDArray[np.bool_]
    """Where each view sees a lesion."""
    mean_SS: NDArray[np.float32]
    """Lesion probabilities, 0 to 1, the mean of the views."""
    presence: float | None


def _prediction(example: Example, position: int, frame: Frame, answer: _Answer, *, split: bool) -> Prediction:
    """Put together what the views of one image say."""
    class_K, views_VSS, mean_SS, presence = answer
    near = _no_finer(frame, max(FINEST_PX, mean_SS.shape[-1]))
    part = unframed_above(mean_SS, near, LESION_FROM)
    mask_HW = part.values_HW > LESION_FROM
    found = lesion_boxes(mask_HW, split=split)
    scores = tuple(_box_score(box, part, views_VSS, near) for box in found)
    boxes = tuple(_enlarged(_moved(box, part), near, frame) for box in found)
    withheld = presence is not None and presence < PRESENT_FROM
    inside = mean_SS[mean_SS > LESION_FROM]
    certainty = float(inside.mean()) if len(inside) else 0.0
    return Prediction(
        example=example,
        position=position,
        class_probability_K=class_K / class_K.sum(),
        mask_part_HW=mask_HW[:0] if withheld else mask_HW,
        mask_at=(part.left, part.top),
        mask_size=(near.width, near.height),
        boxes=() if withheld else boxes,
        box_scores=() if withheld else scores,
        withheld_boxes=boxes if withheld else (),
        withheld_scores=scores if withheld else (),
        agreement=pairwise_dice(views_VSS) if len(views_VSS) > 1 else certainty,
        entropy=lesion_entropy(mean_SS),
        presence=float(mean_SS.max()) if presence is None else presence,
        judges_presence=presence is not None,
    )


def _no_finer(frame: Frame, finest_px: int) -> Frame:
    """Return the frame of the image at a size that no network's answer is finer than; its own where it is small."""
    longest = max(frame.width, frame.height)
    if longest <= finest_px:
        return frame
    shrink = finest_px / longest
    width, height = max(1, round(frame.width * shrink)), max(1, round(frame.height * shrink))
    return replace(frame, width=width, height=height)


def _enlarged(box: Box, near: Frame, frame: Frame) -> Box:
    if near is frame:
        return box
    x, y = frame.width / near.width, frame.height / near.height
    return Box(box.x * x, box.y * y, box.width * x, box.height * y)


def _moved(box: Box, part: Window) -> Box:
    return Box(box.x + part.left, box.y + part.top, box.width, box.height)


def _box_score(box: Box, part: Window, views_VSS: NDArray[np.bool_], frame: Frame) -> float:
    """Score one box of a part: mean probability inside the mask's part in it, times the agreement of views there."""
    left, top = int(box.x), int(box.y)
    part_HW = part.values_HW[top : top + int(box.height), left : left + int(box.width)]
    certainty = float(part_HW[part_HW > LESION_FROM].mean())
    if len(views_VSS) < 2:
        return certainty
    framed = framed_box(_moved(box, part), frame)
    x0, y0 = int(np.floor(framed.x)), int(np.floor(framed.y))
    x1, y1 = int(np.ceil(framed.x + framed.width)), int(np.ceil(framed.y + framed.height))
    # Views that disagree about the edge put it beside the box.
    return certainty * pairwise_dice(views_VSS[:, max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1])


def score_views(model: Network, images_B3SS: Tensor, normalize: Normalizer, config: TrainConfig) -> ScoredViews:
    """Score several views of each image: as it is, and with `tta` mirrored and at two gains."""
    masks, classes, presences = [], [], []
    for view_B3SS, mirrored in _views(images_B3SS, tta=config.tta):
        output = look(model, normalize(view_B3SS), config.size)
        logits_B1SS = upsample(output.mask_logits_B1HW.float(), images_B3SS.shape[-1])
        masks.append(torch.sigmoid(logits_B1SS.flip(-1) if mirrored else logits_B1SS))
        classes.append(output.class_logits_BK.float().softmax(dim=1))
        if output.presence_logits_B is not None:
            presences.append(torch.sigmoid(output.presence_logits_B.float()))
    return ScoredViews(torch.stack(masks), torch.stack(classes), torch.stack(presences) if presences else None)


def _views(images_B3SS: Tensor, *, tta: bool) -> Iterator[tuple[Tensor, bool]]:
    """Yield each view, and whether it is mirrored."""
    yield images_B3SS, False
    if tta:
        yield images_B3SS.flip(-1), True
        for gamma in GAIN_GAMMAS:
            yield images_B3SS.clamp_min(1e-4).pow(gamma), False


def known_index(example: Example, classes: Sequence[str]) -> int | None:
    """Return the index of an image's class, None where it is not known, or not known to the model."""
    return classes.index(example.class_name) if example.class_name in classes else None
