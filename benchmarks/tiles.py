"""Small lesions in large images: what larger squares and tiles find, and what they cost, side by side.

    python benchmarks/tiles.py [--images 240] [--grid 4] [--seeds 2] [--steps 200] [--looks 64 64x2 64x4 256]

Each image is a mosaic of phantoms of which one at most has a mass, so a mass is a tenth of a side or less. A look is
the side of the square that the network sees, and how many tiles of that make a side. Every look gets the same images,
a quarter of the boxes and the same number of steps; a fifth of the images is held back and looked at once.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import CLASSES, Phantom, make_phantom
from db.curation.splitting import split_images
from db.progress import SilentProgress
from db.records import Split
from db.registry import Registry, create_registry
from learner.config import make_config
from learner.evaluation.evaluate import evaluate_run
from learner.training.train import train_model

CELL = (120, 140)
"""Height and width of each phantom in a mosaic; none is smaller."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One training, and how it did on the images held back."""

    training_s: float
    scoring_s: float
    """Of one image."""
    iou: float
    ap50: float
    auc: float


def mosaic(class_name: str, grid: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return an image HW and the mask of its mass, if it has one."""
    cells = [make_phantom("normal", rng) for _ in range(grid * grid)]
    cells[int(rng.integers(len(cells)))] = _whole_mass(class_name, rng)

    def joined(parts: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        cut = [part[: CELL[0], : CELL[1]] for part in parts]
        return np.vstack([np.hstack(cut[row * grid : (row + 1) * grid]) for row in range(grid)])

    image_HW = joined([cell.image_HW for cell in cells]).astype(np.uint8)
    return image_HW, joined([cell.mask_HW for cell in cells]).astype(bool)


def _whole_mass(class_name: str, rng: np.random.Generator) -> Phantom:
    """Draw one whose mass is not cut away with the rest of its cell."""
    while True:
        found = make_phantom(class_name, rng)
        if class_name == "normal" or found.mask_HW[: CELL[0], : CELL[1]].sum() == found.mask_HW.sum():
            return found


def write_mosaics(folder: Path, count: int, grid: int) -> None:
    """Write a data set in the csv layout."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("image", "class", "mask"))
        for number in range(count):
            name = CLASSES[number % len(CLASSES)]
            image_HW, mask_HW = mosaic(name, grid, rng)
            files = f"images/{number}.png", f"masks/{number}.png"
            Image.fromarray(image_HW).save(folder / files[0])
            Image.fromarray(mask_HW).save(folder / files[1])
            rows.writerow((files[0], name, files[1]))


def measure(registry: Registry, look: str, steps: int, seed: int) -> Measured:
    """Train with a look, and score the images held back."""
    size, _, tiles = look.partition("x")
    config = make_config(
        "default",
        {"size": int(size), "tiles": int(tiles or 1), "seed": seed, "location_share": 0.25}
        | {"stage1_epochs": 1, "stage2_epochs": 2, "min_steps": steps},
    )
    began = time.perf_counter()
    run = train_model(registry, config, progress=SilentProgress()).run
    trained = time.perf_counter()
    evaluation = evaluate_run(registry, run=run, split=Split.TEST, progress=SilentProgress())
    scoring_s = (time.perf_counter() - trained) / len(evaluation.rows)
    found = evaluation.summary
    assert found.localization.iou is not None
    assert found.localization.ap50_all is not None
    assert found.classification.auc is not None
    return Measured(
        trained - began, scoring_s, found.localization.iou, found.localization.ap50_all, found.classification.auc
    )


def rows(registry: Registry, given: argparse.Namespace) -> Iterator[tuple[str, list[Measured]]]:
    """Measure one look after the other."""
    for look in given.looks:
        yield look, [measure(registry, look, given.steps, seed) for seed in range(given.seeds)]


def main() -> int:
    """Print one row a look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--grid", type=int, default=4, help="phantoms along a side of an image")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200, help="of each of both stages")
    parser.add_argument("--looks", nargs="+", default=["64", "64x2", "64x4", "256"], metavar="SIZE[xTILES]")
    given = parser.parse_args()
    shown = Table(title=f"{given.images} images of {given.grid} x {given.grid} phantoms, {given.seeds} seeds")
    for column in ("square", "the network sees", "training, s", "scoring an image, s", "IoU", "AP50", "AUC"):
        shown.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        data, project = Path(folder) / "data", Path(folder) / "project"
        write_mosaics(data, given.images, given.grid)
        project.mkdir()
        registry = create_registry(f"sqlite:///{project}/registry.sqlite3", project)
        import_images(registry, ImportRequest(data, "csv"), progress=SilentProgress())
        split_images(registry, val=0.1, test=0.2, seed=0)
        console = Console()
        for look, found in rows(registry, given):
            size, _, tiles = look.partition("x")
            cells = [f"{fmean(one.training_s for one in found):.0f}", f"{fmean(one.scoring_s for one in found):.2f}"]
            for name in ("iou", "ap50", "auc"):
                values = [getattr(one, name) for one in found]
                cells.append(f"{fmean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})")
            side = int(size) * int(tiles or 1)
            shown.add_row(f"{side} px", f"{size} px" + (f", {tiles} tiles a side" if tiles else ""), *cells)
            console.print(f"{look}: {', '.join(cells)}")
        console.print(shown)
        registry.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
