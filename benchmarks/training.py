"""Speed of training and scoring as ratios within one run, each against a stated limit; exits with 1 if one is missed.

ResNet18 at 256 px, on phantoms written as JPEGs of 1024 x 768, about what an ultrasound machine stores. The sides of a
pair are measured in turns and the best of each counts. The plain loop is what people write first: it decodes, resizes
and mirrors with PIL in every epoch, and feeds the same network, losses and optimizer, one batch after the other.

    python benchmarks/training.py [--images N] [--rounds N]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from limits import Row, print_limits
from PIL import Image

from annotator.datasets.phantoms import make_phantom
from db.imaging.files import ImageFile
from db.imaging.geometry import boxes_from_mask
from db.progress import SilentProgress
from db.records import Location, LocationStatus
from learner.config import TrainConfig, make_config
from learner.data.dataset import FramedData, load_framed
from learner.data.examples import Example
from learner.data.framing import Framer, Framing
from learner.data.letterbox import unit_images
from learner.device import choose_device, precision
from learner.inference.predict import predict, score_views
from learner.network.build import build_model
from learner.network.forward import Normalizer
from learner.network.interface import Network, Output
from learner.training.loop import EpochState, epoch_batches, epoch_generator, train_epoch
from learner.training.stages import StageConfig, make_stages
from learner.training.state import Learner, make_learner, set_rates, update_teacher
from learner.training.step import Batch, Views, make_views, view_losses

WIDTH, HEIGHT, SIZE = 1024, 768, 256
CLASSES = ["benign", "malignant"]


def write_images(folder: Path, count: int) -> list[Example]:
    """Write phantoms as large JPEGs; every other one has a known location."""
    rng = np.random.default_rng(0)
    examples = []
    for number in range(count):
        name = CLASSES[number % 2]
        phantom = make_phantom(name, rng)
        path = folder / f"{number}.jpg"
        Image.fromarray(phantom.image_HW).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, quality=92)
        mask_HW = np.asarray(Image.fromarray(phantom.mask_HW).resize((WIDTH, HEIGHT)))
        location = Location(LocationStatus.PRESENT, boxes_from_mask(mask_HW)) if number // 2 % 2 else None
        examples.append(Example(ImageFile.at(path), WIDTH, HEIGHT, name, location, number))
    return examples


class Bench:
    """A training at the beginning of stage 2, and what it is measured with."""

    def __init__(self, config: TrainConfig, data: FramedData, device: torch.device) -> None:
        self.config, self.data, self.device = config, data, device
        self.stage: StageConfig = make_stages(config)[1]
        self.learner = self.new_learner()
        self.one_epoch = epoch_batches(data, self.stage, config, epoch_generator(config, self.stage, 1))
        self.batches = self.one_epoch.batches
        self.images = sum(map(len, self.batches))

    def new_learner(self) -> Learner:
        """Build the network and its optimizer."""
        torch.manual_seed(0)
        learner = make_learner(build_model(self.config, len(CLASSES)), self.config, self.device)
        learner.total_steps = 10_000
        return learner

    def epoch(self) -> None:
        """Train a real epoch: the loop that `partly train` runs."""
        with SilentProgress().task("", 1) as task:
            train_epoch(
                self.learner,
                self.data,
                self.stage,
                self.one_epoch,
                EpochState(epoch_generator(self.config, self.stage, 1)),
                task,
            )

    def views(self) -> list[Views]:
        """Prepare all batches of an epoch, for steps that have nothing to wait for."""
        generator = epoch_generator(self.config, self.stage, 1)
        draws_N = self.one_epoch.draws_N
        return [
            make_views(self.learner, self.data, self.stage, Batch(batch_B, draws_N), generator)
            for batch_B in self.batches
        ]

    def steps(self, batches: Iterable[Views]) -> None:
        """Take a bare step on each batch."""
        for views in batches:
            self.step(views)

    def step(self, views: Views) -> None:
        """Take a bare step on a batch that is ready."""
        learner = self.learner
        learner.trained.train()
        set_rates(learner)
        learner.optimizer.zero_grad(set_to_none=True)
        view_losses(learner, self.stage, views)["loss"].backward()
        learner.optimizer.step()
        update_teacher(learner)
        learner.steps += 1


class PlainLoop:
    """What people write first: PIL in every epoch, float32, the default memory layout, no thread beside the loop."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        learner = bench.new_learner()
        for network in (learner.model, learner.teacher):
            if network is not None:
                network.to(memory_format=torch.contiguous_format)
        normalize = Normalizer(bench.config, bench.device)
        groups = [{key: group[key] for key in ("params", "base_lr")} for group in learner.optimizer.param_groups]
        learner.optimizer = torch.optim.AdamW(groups, lr=bench.config.lr, weight_decay=bench.config.weight_decay)
        learner.normalize = lambda image_B3SS: normalize(image_B3SS).contiguous()  # type: ignore[assignment]
        self.learner = learner
        self.examples = bench.data.examples
        self.rng = np.random.default_rng(0)

    def epoch(self) -> None:
        """Train an epoch."""
        ours, self.bench.learner = self.bench.learner, self.learner
        try:
            for batch_B in self.bench.batches:
                self.bench.step(self.decoded(batch_B))
        finally:
            self.bench.learner = ours

    def decoded(self, batch_B: torch.Tensor) -> Views:
        """Decode a batch and change its images as a data set's `__getitem__` does."""
        data = self.bench.data
        images, targets = [], []
        for position in batch_B.tolist():
            image = Image.open(str(self.examples[position].path)).convert("RGB")
            target = Image.fromarray(data.targets_N1SS[torch.tensor([position])][0, 0].numpy())
            image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            if self.rng.random() < 0.5:
                image, target = (part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for part in (image, target))
            images.append(torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1))
            targets.append(torch.from_numpy(np.asarray(target, dtype=np.float32) / 255)[None])
        image_B3SS = torch.stack(images).to(self.bench.device)
        known_B = data.known_N[batch_B].to(self.bench.device)
        return Views(
            image_B3SS,
            image_B3SS,
            torch.stack(targets).to(self.bench.device),
            known_B,
            data.class_N[batch_B].to(self.bench.device),
            data.presence_N[batch_B].to(self.bench.device),
            torch.ones(len(batch_B), device=self.bench.device),
            ~data.known_N[batch_B],
            located=float(known_B.sum()),
            pseudo=float((~known_B).sum()),
            class_weight=float(len(batch_B)),
            presence_weight=float((data.presence_N[batch_B] >= 0).sum()),
        )


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that some work takes, with what it left to a GPU."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def alternate(works: list[Callable[[], object]], rounds: int, device: torch.device) -> list[float]:
    """Best seconds of several pieces of work, measured in turns."""
    times = [[seconds(work, device) for work in works] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def training_rows(data: FramedData, device: torch.device, rounds: int) -> list[Row]:
    """Measure epochs."""
    config = make_config("default", {"encoder": "resnet18", "size": SIZE, "weights": "none"})
    bench = Bench(config, data, device)
    ready = bench.views()
    gpu = device.type == "cuda"
    plain_config = make_config("default", {**_given(config), "amp": "off"}) if gpu else config
    plain = PlainLoop(Bench(plain_config, data, device))
    bench.step(ready[0])
    epoch, bare, simple = alternate([bench.epoch, lambda: bench.steps(ready), plain.epoch], rounds, device)
    print(
        f"{bench.images} images an epoch, images per second: real epoch {bench.images / epoch:.1f}, steps on tensors "
        f"in memory {bench.images / bare:.1f}, plain loop {bench.images / simple:.1f}"
    )
    return [
        ("real epoch / same steps on tensors in memory (images per second)", bare / epoch, ">=", 0.9 if gpu else 0.92),
        (
            "real epoch / plain loop that decodes with PIL (images per second)",
            simple / epoch,
            ">=",
            5.0 if gpu else 1.3,
        ),
    ]


def _given(config: TrainConfig) -> dict[str, object]:
    return {key: value for key, value in config.to_dict().items() if key != "preset"}


class SeesOneLesion(Network):
    """A network whose answer is one lesion, over a twelfth of the square, whatever it sees; the work is its own.

    One that has learned nothing answers with noise, which no user's network does and which takes longer to take apart.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.encoder = network, network.encoder
        self.judges_presence = network.judges_presence

    def forward(self, image_B3HW: torch.Tensor) -> Output:
        """Score a batch."""
        output = self.network(image_B3HW)
        height, width = output.mask_logits_B1HW.shape[-2:]
        down_H = torch.linspace(-1, 1, height, device=image_B3HW.device)[:, None] + 0.2
        across_W = torch.linspace(-1, 1, width, device=image_B3HW.device)[None, :]
        lesion_HW = 6 - 6 * ((down_H / 0.3).square() + (across_W / 0.37).square())
        logits_B1HW = output.mask_logits_B1HW.float().clamp(-0.1, 0.1) + lesion_HW
        presence_B = output.presence_logits_B
        return Output(logits_B1HW, output.class_logits_BK, None if presence_B is None else presence_B.abs())


def scoring_row(data: FramedData, device: torch.device, rounds: int) -> Row:
    """Measure scoring for proposals, from tensors to boxes in the images' own frames, against bare forward passes."""
    config = make_config("default", {"encoder": "resnet18", "size": SIZE, "weights": "none"})
    torch.manual_seed(0)
    model = SeesOneLesion(build_model(config, len(CLASSES))).to(device).to(memory_format=torch.channels_last).eval()
    normalize = Normalizer(config, device)
    rows = torch.arange(len(data)).split(config.batch_size)
    ready = [unit_images(data.images_N3SS[rows_B], device) for rows_B in rows]

    def bare() -> None:
        with torch.inference_mode(), precision(config, device):
            for images_B3SS in ready:
                score_views(model, images_B3SS, normalize, config)

    def real() -> None:
        for _ in predict(model, data, config, device):
            pass

    bare()
    scored, forward = alternate([real, bare], rounds, device)
    print(f"scoring: {len(data) / scored:.1f} images per second, bare forward passes {len(data) / forward:.1f}")
    return ("scoring for proposals / bare forward passes (images per second)", forward / scored, ">=", 0.9)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    device = choose_device("auto")
    with tempfile.TemporaryDirectory() as name:
        examples = write_images(Path(name), given.images)
        data = load_framed(examples, CLASSES, Framer(Framing(SIZE)))
        data.move_to(device)
        rows = [*training_rows(data, device, given.rounds), scoring_row(data, device, given.rounds)]
    return print_limits(rows)


if __name__ == "__main__":
    sys.exit(main())
