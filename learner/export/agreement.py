"""Is an exported model the network? The same images through both, from the decoded pixels to the mask.

Shape legend: H W the image's own size, S side of the square, V views, B batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from db.imaging.files import ImageFile
from learner.data.dataset import framed_data
from learner.data.examples import Example
from learner.data.letterbox import frame_of, framed_image, unframed, unit_images
from learner.errors import ExportFailed
from learner.export.exportable import CLASSES, MASK, PRESENCE, SCORE, Answer, output_names
from learner.inference.predict import predict, score_views
from learner.inference.trained_model import TrainedModel
from learner.network.forward import Normalizer

TOLERANCE = 1e-4
"""How far a probability of the exported model may be from the network's. Sums in another order make some 1e-6."""
SHAPES = (("landscape", 1.25, 2.0), ("portrait", 2.0, 1.5), ("small portrait", 0.75, 0.5), ("square", 1.0, 1.0),
          ("grey landscape", 1.0, 1.2))  # fmt: skip
"""Images that are compared: what they are, height and width as multiples of the square's side."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a comparison found."""

    images: int
    largest_difference: float
    """Over all probabilities and all pixels."""
    tolerance: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What the network says about an image."""

    values: dict[str, NDArray[np.float32]]
    """By the names of an exported model's outputs."""
    score_slack: float
    """How far a score may be off because pixels or the presence lie on a threshold; infinity where that turns it."""


def check_images(size: int) -> dict[str, NDArray[np.uint8]]:
    """Draw images to compare with: blotches, noise and a dark ellipse, the same ones every time.

    Args:
        size: side of the network's square, pixels.

    Returns:
        uint8 HW3 by what they are; one is grey, repeated for red, green and blue as for every grey image.
    """
    drawn: dict[str, NDArray[np.uint8]] = {}
    for number, (name, height, width) in enumerate(SHAPES):
        random = np.random.default_rng(number)
        hw = (max(1, round(height * size)), max(1, round(width * size)))
        coarse = Image.fromarray(random.integers(40, 216, (6, 7, 3), dtype=np.uint8))
        blotches_HW3 = np.asarray(coarse.resize((hw[1], hw[0]), Image.Resampling.BICUBIC)).astype(np.float64)
        y_H1, x_1W = np.ogrid[: hw[0], : hw[1]]
        ellipse_HW = ((y_H1 / hw[0] - 0.45) / 0.2) ** 2 + ((x_1W / hw[1] - 0.55) / 0.15) ** 2 < 1
        image_HW3 = blotches_HW3 * np.where(ellipse_HW, 0.35, 1.0)[:, :, None] + random.normal(0, 12, (*hw, 3))
        seen_HW3 = image_HW3.clip(0, 255).astype(np.uint8)
        drawn[name] = np.repeat(seen_HW3[:, :, 1:2], 3, axis=2) if "grey" in name else seen_HW3
    return drawn


def expected(model: TrainedModel, image_HW3: NDArray[np.uint8]) -> Expected:
    """Ask the network about an image, the way `partly predict` does.

    Args:
        model: on the CPU.
        image_HW3: uint8, upright.
    """
    config, (height, width) = model.config, image_HW3.shape[:2]
    frame = frame_of(width, height, config.square_px, config.framing)
    square_13SS = torch.from_numpy(framed_image(image_HW3, frame, config.square_px))[None]
    example = Example(ImageFile.at("image"), width, height, None)
    data = framed_data([example], model.classes, model.framer(), [0], [], square_13SS)
    (found,) = predict(model.network, data, config, model.device)
    with torch.inference_mode():
        normalize = Normalizer(config, model.device)
        views = score_views(model.network, unit_images(square_13SS, model.device), normalize, config)
        mask_HW = unframed(views.mask_VB1SS.mean(dim=0)[0, 0], frame).numpy()
    values = {
        CLASSES: found.class_probability_K.astype(np.float32),
        PRESENCE: np.array([found.presence], dtype=np.float32),
        SCORE: np.array([found.score(config.gate)], dtype=np.float32),
        MASK: mask_HW,
    }
    presence = found.presence if found.judges_presence else 0.0
    turns = min(abs(presence - 0.5), abs(float(mask_HW.max()) - 0.5)) < TOLERANCE
    # Of a large image partly looks at a coarser mask, which may miss the last pixel above .5.
    turns = turns or bool(found.boxes or found.withheld_boxes) != bool(mask_HW.max() > 0.5)
    slack = np.inf if turns else _slack(views.mask_VB1SS[:, 0, 0].numpy())
    return Expected({name: values[name] for name in output_names(model.network)}, slack)


def _slack(mask_VSS: NDArray[np.float32]) -> float:
    """Bound what pixels that may fall to either side of .5 can change in the agreement of views."""
    border_V = (np.abs(mask_VSS - 0.5) < TOLERANCE).sum(axis=(1, 2))
    inside_V = (mask_VSS > 0.5).sum(axis=(1, 2))
    return float(4 * border_V.max() / max(1, np.sort(inside_V)[:2].sum()))


def compare(
    model: TrainedModel,
    answer: Answer,
    say: Callable[[], None] = lambda: None,
) -> Checked:
    """Ask an exported model and the network it was made from about the same images.

    Args:
        model: the network, on the CPU.
        answer: the exported model.
        say: is called after every image.

    Raises:
        ExportFailed: they differ by more than the tolerance, or the exported model says something else altogether.
    """
    largest, images = 0.0, check_images(model.config.square_px)
    for name, image_HW3 in images.items():
        wanted, found = expected(model, image_HW3), answer(image_HW3)
        where = f"a {name} image of {image_HW3.shape[1]}x{image_HW3.shape[0]} px"
        if found.keys() != wanted.values.keys():
            raise ExportFailed(
                f"the exported model returns {', '.join(found)} instead of {', '.join(wanted.values)}; "
                "nothing was written"
            )
        for output, value in wanted.values.items():
            difference = _difference(found[output], value)
            allowed = TOLERANCE + (wanted.score_slack if output == SCORE else 0.0)
            if not difference <= allowed:
                raise ExportFailed(
                    f"the exported model does not agree with its network: {output} of {where} differs by "
                    f"{difference:.2g}, and at most {allowed:.2g} is allowed; nothing was written"
                )
            if output != SCORE or not wanted.score_slack:
                largest = max(largest, difference)
        say()
    return Checked(len(images), largest, TOLERANCE)


def _difference(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - wanted).max(initial=0.0))
