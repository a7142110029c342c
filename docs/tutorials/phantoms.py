"""Draws the images of the tutorial: phantoms in a folder for each class, and boxes.csv with the boxes of every fourth.

python docs/tutorials/phantoms.py FOLDER [COUNT]
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from annotator.datasets.phantoms import CLASSES, SHARES, make_phantom

BOXED = 4
"""One image in this many has its boxes in the table."""


def write_tutorial(folder: Path, count: int = 240, seed: int = 7) -> Path:
    """Write images/CLASS/NNN.png and boxes.csv below a folder.

    Args:
        folder: to be made, or empty.
        count: images.
        seed: of the random numbers.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for number in range(count):
        class_name = str(rng.choice(CLASSES, p=SHARES))
        phantom = make_phantom(class_name, rng)
        place = Path("images") / class_name / f"{number:03}.png"
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(phantom.image_HW).save(folder / place)
        if number % BOXED:
            continue
        known: dict[str, object] = {"image": place.as_posix(), "class": class_name}
        rows += [
            known | {"x": box.x, "y": box.y, "width": box.width, "height": box.height} for box in phantom.boxes
        ] or [known | {"location": "empty"}]
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["image", "class", "x", "y", "width", "height", "location"])
        table.writeheader()
        table.writerows(rows)
    return folder


if __name__ == "__main__":
    made = write_tutorial(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
    print(f"written: {made}/images and {made}/boxes.csv")
