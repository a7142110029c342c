"""Does it stay as quick and as small with many images? Ratios within one run, each against a stated limit.

    python benchmarks/scale.py                     everything: 10,000 and 200,000 images, about half an hour on 2 cores
    python benchmarks/scale.py --part memory       memory, disk and the first result
    python benchmarks/scale.py --part speed        training and scoring from the cache
    python benchmarks/scale.py --images N M        other numbers of images than 10,000 and 200,000

Memory is what a process of its own has allocated (RssAnon): pages of the cache that are mapped are the system's to take
back, and are not counted. The images of the large sets are names of a few files, with a content of their own each as
far as the registry and the cache know.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from limits import Row, print_limits
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from training import CLASSES, SeesOneLesion, alternate, write_images

from annotator.datasets.formats.names import PredictionFormat
from cli.workflows.predict import find_images, predict_to_file
from db.imaging.files import ImageFile
from db.progress import SilentProgress
from db.records import Box, Location, LocationSource, LocationStatus, NewImage, NewLabel, Split
from db.records.images import PROPOSED_FOR
from db.registry import create_registry, open_registry
from learner.caches import clear_caches
from learner.config import TrainConfig, make_config
from learner.data import dataset
from learner.data.batches import Epoch
from learner.data.dataset import FramedData, FramedStream, load_framed
from learner.data.examples import Example
from learner.data.framed_store import FramedStore
from learner.data.framing import FramedRows, Framer, Framing, MadeTargets
from learner.data.letterbox import unit_images
from learner.device import choose_device, precision
from learner.distributed import Processes
from learner.evaluation.evaluate import evaluate_run
from learner.inference.pool import score_pool
from learner.inference.predict import predict, score_views
from learner.inference.propose import ProposeRequest, propose_locations
from learner.inference.trained_model import open_run
from learner.network.build import build_model
from learner.network.forward import Normalizer
from learner.training.loop import EpochState, epoch_batches, epoch_generator, train_epoch
from learner.training.stages import make_stages
from learner.training.state import make_learner
from learner.training.train import train_model

SIDE = 48
"""Of the files of the large sets."""
TINY = {"encoder": "test_resnet", "size": 32, "weights": "none", "batch_size": 64, "head_channels": 8, "tta": False,
        "stage1_epochs": 1, "stage2_epochs": 1, "min_steps": 0}  # fmt: skip
FILES, CHUNK = 16, 5000
WORKERS = (0, 1, 2)
"""Processes of torch's DataLoader."""
TASKS = ("train", "evaluate", "propose", "predict")


# --- memory, in processes of their own


def fill(root: Path, count: int) -> None:
    """Make a project with so many images: a quarter with a box, a tenth each in validation and test."""
    (root / "images").mkdir(parents=True)
    rng, originals = np.random.default_rng(0), []
    for n in range(FILES):
        originals.append(root / f"{n}.png")
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(originals[-1])
    registry = create_registry(f"sqlite:///{root}/registry.sqlite3", root)
    splits = (Split.TEST, Split.VAL, *[Split.TRAIN] * 8)
    for start in range(0, count, CHUNK):
        new = []
        for n in range(start, min(count, start + CHUNK)):
            path = root / "images" / f"{n:07}.png"
            path.hardlink_to(originals[n % FILES])
            new.append(
                NewImage(
                    path=ImageFile.at(path),
                    content_hash=f"sha256:{n:064x}",
                    width=SIDE,
                    height=SIDE,
                    class_name=CLASSES[n % 2],
                    split=splits[n % 10],
                )
            )
        with registry.begin() as tx:
            ids = tx.images.add(new)
            box = Location(LocationStatus.PRESENT, (Box(10.0, 10.0, 20.0, 20.0),))
            tx.labels.append_many([NewLabel(key, box, LocationSource.IMPORTED, on_test=True) for key in ids[::4]])
    registry.close()


class PeakMemory:
    """The most memory that this process has allocated while a context was open, bytes."""

    def __enter__(self) -> "PeakMemory":
        self.bytes, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            anonymous = next(line for line in lines if line.startswith("RssAnon"))
            self.bytes = max(self.bytes, int(anonymous.split()[1]) * 1024)


def measure(root: Path, task: str) -> dict[str, float]:
    """Do one thing in this process; what it took, and before it what a process takes that has the model alone."""
    registry = open_registry(f"sqlite:///{root}/registry.sqlite3", root)
    config = make_config("default", TINY)
    build_model(config, len(CLASSES))(torch.zeros(2, 3, 32, 32))
    with PeakMemory() as before:
        time.sleep(0.2)
    started = time.perf_counter()
    with PeakMemory() as peak:
        if task == "train":
            train_model(registry, config)
        elif task == "evaluate":
            evaluate_run(registry)
        elif task == "predict":
            files, _ = find_images([str(root / "images")])
            model = open_run(registry)
            predict_to_file(model, "run", files, root / "predicted.csv", PredictionFormat.CSV, SilentProgress())
        else:
            propose_locations(registry, ProposeRequest(tau=0.5), dry_run=True)
    return {"before": before.bytes, "peak": peak.bytes, "seconds": time.perf_counter() - started}


def first_result(root: Path) -> dict[str, float]:
    """Seconds from an open registry to the first image that is scored."""
    clear_caches(root, ["scores"])
    registry = open_registry(f"sqlite:///{root}/registry.sqlite3", root)
    started = time.perf_counter()
    model = open_run(registry)
    with registry.read() as tx:
        ids = tx.images.ids(splits=PROPOSED_FOR, located=False)
    next(score_pool(registry, model, ids, "agreement", Processes(), SilentProgress()))
    return {"seconds": time.perf_counter() - started}


def in_a_process(root: Path, task: str) -> dict[str, float]:
    """Run a task in a process of its own."""
    words = [sys.executable, __file__, "--child", task, str(root)]
    # One thread: what it takes in memory is asked, and threads of several processes wait for each other.
    threads = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=threads)
    if done.returncode:
        raise SystemExit(f"{task} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory_rows(counts: Sequence[int]) -> list[Row]:
    """Measure memory and disk at two sizes."""
    found: dict[int, dict[str, dict[str, float]]] = {}
    rows: list[Row] = []
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            root, started = Path(name) / "project", time.perf_counter()
            fill(root, count)
            print(f"{count:,} images: made in {time.perf_counter() - started:.0f} s", flush=True)
            found[count] = {task: in_a_process(root, task) for task in TASKS}
            for task, took in found[count].items():
                print(
                    f"  {task}: {took['seconds']:.0f} s, {took['peak'] / 2**20:.0f} MB at most, "
                    f"{(took['peak'] - took['before']) / 2**20:.0f} MB above the model's own",
                    flush=True,
                )
            status = FramedStore(root).status()
            print(f"  cache: {status.images:,} images, {status.disk_bytes / 2**20:.0f} MB", flush=True)
            share = status.disk_bytes / status.limit_bytes
            rows.append((f"cache on disk / its limit, {count:,} images", share, "<=", 1.0))
            first = in_a_process(root, "first")["seconds"]
            rows.append((f"first result of propose, {count:,} images (s)", first, "<=", 10.0))
    small, large = counts[0], counts[-1]
    for task in TASKS:
        peaks = [found[count][task]["peak"] for count in (small, large)]
        above = found[large][task]["peak"] - found[large][task]["before"]
        rows.append((f"{task}: peak memory, {large:,} / {small:,} images", peaks[1] / peaks[0], "<=", 1.2))
        rows.append((f"{task}: GB above the model's own, {large:,} images", above / 2**30, "<=", 1.5))
    return rows


# --- speed


@contextmanager
def memory_for(size: int) -> Iterator[None]:
    """Let sets up to this many bytes be held in memory."""
    before, dataset.IN_MEMORY_BYTES = dataset.IN_MEMORY_BYTES, size
    try:
        yield
    finally:
        dataset.IN_MEMORY_BYTES = before


def registered(examples: Sequence[Example]) -> list[Example]:
    """Give images what registered ones have: a content that the cache knows them by."""
    return [
        Example(one.path, one.width, one.height, one.class_name, one.location, n, content_hash=f"sha256:{n}")
        for n, one in enumerate(examples)
    ]


class Epochs:
    """Epochs of a training, always the same."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.stage = make_stages(config)[1]
        torch.manual_seed(0)
        self.learner = make_learner(build_model(config, len(CLASSES)), config, device)
        self.learner.total_steps = 1000

    def run(self, data: FramedData) -> None:
        """Train an epoch on some data."""
        generator = epoch_generator(self.config, self.stage, 1)
        epoch: Epoch = epoch_batches(data, self.stage, self.config, generator)
        with SilentProgress().task("", 1) as task:
            train_epoch(self.learner, data, self.stage, epoch, EpochState(generator), task)


def training_rows(folder: Path, examples: list[Example], device: torch.device, rounds: int) -> list[Row]:
    """Measure epochs from memory, from a warm cache, and the second one from a cold cache."""
    config = make_config("default", {"encoder": "resnet18", "size": 128, "weights": "none", "min_steps": 0})
    epochs, framing = Epochs(config, device), Framing(config.size)
    in_memory = load_framed(examples, CLASSES, Framer(framing, FramedStore(folder)))
    with memory_for(0):
        warm = load_framed(examples, CLASSES, Framer(framing, FramedStore(folder)))
    cold_framer = Framer(framing, FramedStore(folder / "cold"))
    cold = FramedData(
        examples=warm.examples,
        frames=warm.frames,
        images_N3SS=FramedRows(cold_framer, warm.examples),
        targets_N1SS=MadeTargets(cold_framer, warm.examples),
        known_N=warm.known_N,
        class_N=warm.class_N,
        presence_N=warm.presence_N,
        framer=cold_framer,
    )
    epochs.run(in_memory)
    (first,) = alternate([lambda: epochs.run(cold)], 1, device)
    bare, from_cache, second = alternate(
        [lambda: epochs.run(in_memory), lambda: epochs.run(warm), lambda: epochs.run(cold)], rounds, device
    )
    print(
        f"an epoch of {len(examples)} images: {bare:.2f} s from memory, {from_cache:.2f} s from a warm cache, "
        f"{first:.2f} s from a cold one, then {second:.2f} s",
        flush=True,
    )
    return [
        ("training from a warm cache / from memory (images per second)", bare / from_cache, ">=", 0.95),
        ("training, second epoch from a cold cache / from memory", bare / second, ">=", 0.9),
    ]


def scoring_rows(folder: Path, examples: list[Example], count: int, device: torch.device, rounds: int) -> list[Row]:
    """Measure scoring from the cache against bare forward passes on one batch, over and over."""
    config = make_config("default", {"encoder": "resnet18", "size": 128, "weights": "none"})
    torch.manual_seed(0)
    model = SeesOneLesion(build_model(config, len(CLASSES))).to(device).to(memory_format=torch.channels_last).eval()
    normalize, framer = Normalizer(config, device), Framer(Framing(config.size), FramedStore(folder))
    wanted = [examples[n % len(examples)] for n in range(count)]
    load_framed(examples, CLASSES, framer)
    squares_N3SS = load_framed(examples[: config.batch_size], CLASSES, framer).images_N3SS
    batch_B3SS = unit_images(squares_N3SS[torch.arange(config.batch_size)], device)

    def bare() -> None:
        with torch.inference_mode(), precision(config, device):
            for _ in range(count // config.batch_size):
                score_views(model, batch_B3SS, normalize, config)

    def real() -> None:
        stream = FramedStream(wanted, CLASSES, framer, batch_size=config.batch_size)
        for _ in predict(model, stream, config, device):
            pass

    works: list[Callable[[], object]] = [real, bare]
    real_s, bare_s = alternate(works, rounds, device)
    print(f"scoring {count} images: {real_s:.1f} s from the cache, bare forward passes {bare_s:.1f} s", flush=True)
    return [(f"scoring {count:,} images / bare forward passes (images per second)", bare_s / real_s, ">=", 0.95)]


class Squares(Dataset[Tensor]):
    """Squares from the cache, as torch's DataLoader asks for them."""

    def __init__(self, examples: list[Example], folder: Path, size: int) -> None:
        self.examples, self.folder, self.size = examples, folder, size
        self.rows: FramedRows | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def __getitems__(self, rows: list[int]) -> Tensor:
        """Read a batch. Each worker opens the cache for itself."""
        if self.rows is None:
            self.rows = FramedRows(Framer(Framing(self.size), FramedStore(self.folder)), self.examples)
        return self.rows[torch.tensor(rows)]


def loader_rows(folder: Path, examples: list[Example], count: int, device: torch.device, rounds: int) -> list[Row]:
    """Measure forward passes on batches from the cache: read in our own thread, and through torch's DataLoader."""
    config = make_config("default", {"encoder": "resnet18", "size": 128, "weights": "none"})
    torch.manual_seed(0)
    model = build_model(config, len(CLASSES)).to(device).to(memory_format=torch.channels_last).eval()
    normalize, framer = Normalizer(config, device), Framer(Framing(config.size), FramedStore(folder))
    wanted = [examples[n % len(examples)] for n in range(count)]
    load_framed(examples, CLASSES, framer)

    def score(squares_B3SS: Tensor) -> None:
        with torch.inference_mode(), precision(config, device):
            model(normalize(unit_images(squares_B3SS, device)))

    def ours() -> None:
        for piece in FramedStream(wanted, CLASSES, framer, batch_size=config.batch_size):
            for rows_B in torch.arange(len(piece)).split(config.batch_size):
                score(piece.images_N3SS[rows_B])

    def through_loader(workers: int) -> None:
        squares = Squares(wanted, folder, config.size)
        loader = DataLoader(
            squares, batch_size=config.batch_size, num_workers=workers, collate_fn=lambda batch: batch, pin_memory=False
        )
        for squares_B3SS in loader:
            score(squares_B3SS)

    loaders = [partial(through_loader, workers) for workers in WORKERS]
    ours_s, *theirs_s = alternate([ours, *loaders], rounds, device)
    told = ", ".join(f"{count / took:.1f} with {n} workers" for n, took in zip(WORKERS, theirs_s, strict=True))
    print(f"one view of {count} images: {count / ours_s:.1f} a second; through torch's DataLoader {told}", flush=True)
    return [("forward passes fed by us / by torch's DataLoader at its best", min(theirs_s) / ours_s, ">=", 0.95)]


def speed_rows(given: argparse.Namespace) -> list[Row]:
    """Measure training and scoring."""
    device = choose_device("auto")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        examples = registered(write_images(folder / "images", given.trained))
        rows = training_rows(folder, examples, device, 3 * given.rounds)
        rows += loader_rows(folder, examples, min(given.scored, 2048), device, given.rounds)
        return rows + scoring_rows(folder, examples, given.scored, device, given.rounds)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("all", "memory", "speed"), default="all")
    parser.add_argument("--images", type=int, nargs=2, default=(10_000, 200_000), metavar=("N", "M"))
    parser.add_argument("--trained", type=int, default=256)
    parser.add_argument("--scored", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2, help="best of so many; of three times as many epochs")
    parser.add_argument("--child", nargs=2, metavar=("TASK", "DIR"))
    given = parser.parse_args()
    if given.child:
        task, root = given.child
        print(json.dumps(first_result(Path(root)) if task == "first" else measure(Path(root), task)))
        return 0
    rows: list[Row] = []
    if given.part != "memory":
        rows += speed_rows(given)
    if given.part != "speed":
        rows += memory_rows(given.images)
    return print_limits(rows)


if __name__ == "__main__":
    sys.exit(main())
