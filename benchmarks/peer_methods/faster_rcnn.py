"""Faster R-CNN as torchvision has it (BSD-3-Clause), on the encoder and the ImageNet weights that partly starts from.

Its own recommended settings: those of torchvision's reference training for detection (SGD, momentum .9, weight decay
1e-4, .02 for 16 images a step, a linear warm-up, steps down at two thirds and at eleven twelfths, mirrored images) and
the image sizes of its variant for small machines (320 to 640 px).
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import torch
from peer_methods.answers import Answer
from peer_methods.task import Task
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from db.imaging.decode import read_image
from db.records import Box, ImageRecord
from learner.errors import WeightsUnavailable
from learner.network.encoder import Encoder
from learner.network.weights import load_imagenet

ENCODER = "tf_efficientnet_lite0"
SIZES = (320, 640)
BATCH = 4
LR = 0.02 / 16 * BATCH
WARM_UP = 0.1
FALLS = (2 / 3, 11 / 12)
SHOWN_FROM, RANKED_FROM = 0.5, 0.05
"""Scores from which boxes are shown (as in torchvision's own examples) and counted (its own default)."""


class Pyramid(nn.Module):
    """The encoder's levels as the detector wants them."""

    def __init__(self, encoder: Encoder, width: int = 256) -> None:
        super().__init__()
        self.encoder, self.out_channels = encoder, width
        self.pyramid = FeaturePyramidNetwork(encoder.channels, width, extra_blocks=LastLevelMaxPool())

    def forward(self, image_B3HW: Tensor) -> dict[str, Tensor]:
        """Return maps by name, finest first."""
        named = OrderedDict((str(n), level) for n, level in enumerate(self.encoder(image_B3HW)))
        found: dict[str, Tensor] = self.pyramid(named)
        return found


def build(classes: int, sizes: tuple[int, int] = SIZES) -> tuple[FasterRCNN, str]:
    """Build the detector, and say what it starts from."""
    encoder = Encoder(ENCODER, size=sizes[0])
    try:
        started = f"ImageNet ({load_imagenet(encoder).name})"
    except WeightsUnavailable as exc:
        started = f"none ({exc})"
    mean, std = encoder.pretrained_statistics()
    levels = len(encoder.channels) + 1
    anchors = AnchorGenerator(tuple((32 * 2**n,) for n in range(levels)), ((0.5, 1.0, 2.0),) * levels)
    model = FasterRCNN(
        Pyramid(encoder),
        num_classes=classes + 1,
        rpn_anchor_generator=anchors,
        min_size=sizes[0],
        max_size=sizes[1],
        image_mean=list(mean),
        image_std=list(std),
        box_score_thresh=RANKED_FROM,
    )
    return model, started


def train(task: Task, sizes: tuple[int, int] = SIZES, most_steps: int | None = None) -> tuple[list[Answer], str, str]:
    """Train within the time, and answer for the test images.

    Args:
        task: what is known, and the time.
        sizes: shorter and longer side of the images, pixels.
        most_steps: end after so many steps, however much time is left.

    Returns:
        The answers, what it started from, and how long it was trained.
    """
    torch.manual_seed(task.seed)
    names = [name for name in task.classes if name not in task.empty]
    model, started = build(len(names), sizes)
    known = [image for image in task.train if image.is_located and (image.class_name in names or not image.boxes)]
    inputs = [(_tensor(image), _target(image, names)) for image in known]
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4)
    model.train()
    begun, steps = time.monotonic(), 0
    for batch in _batches(len(inputs), task.seed):
        spent = (time.monotonic() - begun) / (60 * task.minutes)
        if spent >= 1 or steps == most_steps:
            break
        # The time that is gone stands for the steps that are done: how many there will be is not known before.
        factor = min(1.0, spent / WARM_UP + 1e-3) * 0.1 ** sum(spent >= fall for fall in FALLS)
        for group in optimizer.param_groups:
            group["lr"] = LR * factor
        views = [_mirrored(*inputs[n]) if torch.rand(()) < 0.5 else inputs[n] for n in batch]
        losses = model([image for image, _ in views], [target for _, target in views])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        steps += 1
    return _answers(model, task, names), started, f"{steps} steps of {BATCH}"


def _batches(count: int, seed: int) -> Iterator[list[int]]:
    """Yield batches without an end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator).tolist()
        for start in range(0, max(1, count - BATCH + 1), BATCH):
            yield order[start : start + BATCH]


@torch.inference_mode()
def _answers(model: FasterRCNN, task: Task, names: Sequence[str]) -> list[Answer]:
    model.eval()
    found = []
    for image in task.test.values():
        (answer,) = model([_tensor(image)])
        corners = answer["boxes"].tolist()
        found.append(
            Answer(
                image.id,
                tuple(Box(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in corners),
                tuple(answer["scores"].tolist()),
                tuple(names[label - 1] for label in answer["labels"].tolist()),
            )
        )
    return found


def _tensor(image: ImageRecord) -> Tensor:
    return torch.from_numpy(read_image(image.path).copy()).permute(2, 0, 1).float() / 255


def _target(image: ImageRecord, names: Sequence[str]) -> dict[str, Tensor]:
    corners = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in image.boxes]
    label = names.index(image.class_name) + 1 if image.class_name in names else 0
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.full((len(corners),), label, dtype=torch.int64),
    }


def _mirrored(image_3HW: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    boxes_N4, width = target["boxes"].clone(), image_3HW.shape[-1]
    boxes_N4[:, [0, 2]] = width - boxes_N4[:, [2, 0]]
    return image_3HW.flip(-1), {**target, "boxes": boxes_N4}
