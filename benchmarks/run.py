"""Speed as ratios within one run, each against a stated limit; exits with 1 if a limit is missed.

Ratios, not seconds: they mean the same on another machine. Each pair is measured alternately and the best of each
side counts, so that other load on the machine disturbs both alike.
"""

import csv
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from limits import print_limits
from PIL import Image

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from db.progress import SilentProgress
from db.registry import create_registry
from learner.config import make_config
from learner.data.augment import augment_strongly, augment_weakly
from learner.data.batches import Epoch
from learner.data.dataset import load_framed
from learner.data.examples import examples_from_records
from learner.data.framing import Framer, Framing
from learner.data.letterbox import unit_images
from learner.data.random_draws import Chance
from learner.network.build import build_model
from learner.training.loop import EpochState, epoch_batches, epoch_generator, train_epoch
from learner.training.stages import make_stages
from learner.training.state import make_learner

ROUNDS = 3


def best(work: Callable[[], object]) -> float:
    """Seconds of one run of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternate(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Best seconds of two pieces of work, measured in turns."""
    times = [(best(first), best(second)) for _ in range(ROUNDS)]
    return min(pair[0] for pair in times), min(pair[1] for pair in times)


def import_ratio(folder: Path) -> float:
    """Import against reading, hashing and decoding the same image and mask files on all cores.

    The phantoms are tiny, so that most of the import is masks becoming boxes and rows being written; the limit guards
    against getting slower and is no target.
    """
    files = sorted(folder.rglob("*.png"))

    def ours() -> None:
        root = Path(tempfile.mkdtemp(dir=folder.parent))
        registry = create_registry(f"sqlite:///{root}/r.sqlite3", root)
        import_images(registry, ImportRequest(folder, "csv"))
        registry.close()

    def read(file: Path) -> None:
        data = file.read_bytes()
        hashlib.sha256(data).hexdigest()
        Image.open(io.BytesIO(data)).load()

    def plain() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(read, files))

    mine, theirs = alternate(ours, plain)
    return mine / theirs


def dry_run_ratio(folder: Path) -> float:
    """A dry run of a table with 200,000 rows against reading it row by row and asking for every file once."""
    root = Path(tempfile.mkdtemp(dir=folder.parent))
    registry = create_registry(f"sqlite:///{root}/r.sqlite3", root)
    originals = sorted((folder / "images").iterdir())[:100]
    lines = ["image,class,x,y,width,height,group,split"]
    for number, original in enumerate(originals):
        place = root / "set" / f"{number:03d}"
        place.mkdir(parents=True)
        for copy in range(2000):
            # One file under many names: what is in it does not matter here.
            os.link(original, place / f"{copy}{original.suffix}")
            lines.append(f"{place.name}/{copy}{original.suffix},benign,8,6,16,12,p{number},train")
    table = root / "set" / "labels.csv"
    table.write_text("\n".join(lines) + "\n")

    def ours() -> None:
        report = import_images(registry, ImportRequest(table, "csv"), dry_run=True)
        assert report.registered == 200_000

    def plain() -> None:
        with table.open(newline="") as stream:
            assert all((table.parent / row["image"]).exists() for row in csv.DictReader(stream))

    mine, theirs = alternate(ours, plain)
    registry.close()
    return mine / theirs


def epoch_ratio(folder: Path) -> float:
    """Images per second of a real epoch of stage 2 against the same steps on one batch that is always the same."""
    root = Path(tempfile.mkdtemp(dir=folder.parent))
    registry = create_registry(f"sqlite:///{root}/r.sqlite3", root)
    import_images(registry, ImportRequest(folder, "csv", keep_locations=0.5))
    with registry.read() as tx:
        examples = examples_from_records(tx, tx.images.select()[:192])
    registry.close()
    config = make_config("default", {"size": 96, "weights": "none", "device": "cpu"})
    data = load_framed(examples, ["benign", "malignant", "normal"], Framer(Framing(96)))
    torch.manual_seed(0)
    learner = make_learner(build_model(config, 3), config, torch.device("cpu"))
    stage = make_stages(config)[1]
    drawn = epoch_batches(data, stage, config, epoch_generator(config, stage, 1))
    learner.total_steps = len(drawn.batches)
    same = replace(drawn, batches=[drawn.batches[0]] * len(drawn.batches))

    def epoch(chosen: Epoch) -> None:
        with SilentProgress().task("", 1) as task:
            train_epoch(learner, data, stage, chosen, EpochState(epoch_generator(config, stage, 1)), task)

    real, fixed = alternate(lambda: epoch(drawn), lambda: epoch(same))
    return fixed / real


def augmentation_share() -> float:
    """Time of both augmentations against one training step's forward and backward pass, 16 images of 96 px."""
    config = make_config("default", {"size": 96, "weights": "none"})
    model = build_model(config, 3).to(memory_format=torch.channels_last)
    images = torch.randint(0, 255, (16, 3, 96, 96), dtype=torch.uint8)
    target = torch.zeros(16, 1, 96, 96)
    generator = torch.Generator().manual_seed(0)
    unit = unit_images(images, torch.device("cpu"))

    def augment() -> None:
        for _ in range(5):
            chance = Chance(generator, len(unit))
            weak, _ = augment_weakly(unit, target, chance, kind="ultrasound")
            augment_strongly(weak, chance)

    def step() -> None:
        for _ in range(5):
            output = model(unit)
            (output.mask_logits_B1HW.mean() + output.class_logits_BK.mean()).backward()

    mine, theirs = alternate(augment, step)
    return mine / theirs


def help_seconds() -> float:
    """Seconds until `partly --help` has answered."""
    command = [sys.executable, "-m", "cli.main", "--help"]
    return min(best(lambda: subprocess.run(command, capture_output=True, check=True)) for _ in range(5))


def main() -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "phantoms"
        write_phantoms(folder, 400)
        rows = [
            ("import with masks / read, hash and decode the same files", import_ratio(folder), "<=", 8.0),
            ("dry run of 200,000 rows / read them and look for the files", dry_run_ratio(folder), "<=", 4.0),
            ("real epoch / same steps on one batch (images per second)", epoch_ratio(folder), ">=", 0.9),
            ("augmentation / forward and backward pass", augmentation_share(), "<=", 0.25),
            ("partly --help, seconds", help_seconds(), "<=", 0.5),
        ]
    return print_limits(rows)


if __name__ == "__main__":
    sys.exit(main())
