"""YOLO of the ultralytics package (AGPL-3.0), in a process and an environment of its own, with its own defaults."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from peer_methods.answers import Answer
from peer_methods.task import Task
from PIL import Image

from db.imaging.decode import read_image
from db.records import Box, ImageRecord

MODEL = "yolo11n"
SHOWN_FROM = 0.25
"""Score from which the tool shows boxes, its own default."""
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class NotInstalled(Exception):
    """The environment with ultralytics cannot be made."""


def environment(folder: Path) -> Path:
    """Make the environment that has ultralytics, unless it is there, and return its Python.

    Raises:
        NotInstalled: it cannot be installed; the message says why.
    """
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    marker = folder / ".installed"
    if marker.is_file() and marker.read_text(encoding="utf-8") == REQUIREMENTS.read_text(encoding="utf-8"):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        said = getattr(exc, "stderr", b"") or str(exc).encode()
        raise NotInstalled(f"ultralytics cannot be installed: {said.decode(errors='replace')[-300:]}") from exc
    marker.write_text(REQUIREMENTS.read_text(encoding="utf-8"), encoding="utf-8")
    return python


def write_layout(task: Task, folder: Path) -> tuple[Path, list[Path]]:
    """Write the images whose location is known in the tool's own layout.

    Returns:
        data.yaml, and the files of the test images in their order.
    """
    names = [name for name in task.classes if name not in task.empty]
    shutil.rmtree(folder, ignore_errors=True)
    for part, images in (("train", task.train), ("val", task.val)):
        for image in images:
            if image.is_located and (image.class_name in names or not image.boxes):
                _write_image(image, folder / "images" / part)
                lines = [_line(names.index(image.class_name or ""), box, image) for box in image.boxes]
                label = folder / "labels" / part / f"{image.id}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text("".join(lines), encoding="utf-8")
    tested = [_write_image(image, folder / "images" / "test") for image in task.test.values()]
    described = {"path": str(folder.resolve()), "train": "images/train", "val": "images/val", "names": names}
    (folder / "data.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    return folder / "data.yaml", tested


def train(task: Task, python: Path, size: int, weights: Path | None = None) -> tuple[list[Answer], str, str]:
    """Train within the time, and answer for the test images.

    Args:
        task: what is known, and the time.
        python: of the environment that has ultralytics.
        size: side of its square, pixels.
        weights: its pretrained weights, where they can be had.

    Returns:
        The answers, what it started from, and how long it was trained.

    Raises:
        subprocess.CalledProcessError: the tool failed.
    """
    folder = task.folder.resolve()
    data, tested = write_layout(task, folder / "data")
    request = {
        "model": MODEL,
        "weights": str(weights) if weights is not None else None,
        "data": str(data),
        "minutes": task.minutes,
        "size": size,
        "seed": task.seed,
        "device": "cpu",
        "folder": str(folder),
        "images": [str(path) for path in tested],
    }
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    script, target = Path(__file__).with_name("yolo_process.py"), folder / "answer.json"
    with (folder / "log.txt").open("wb") as log:
        command = [str(python), str(script), str(folder / "request.json"), str(target)]
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    document = json.loads(target.read_text(encoding="utf-8"))
    return list(answers_of(document["answers"], list(task.test))), document["started"], f"{size} px"


def answers_of(found: Iterable[dict[str, Any]], ids: Sequence[int]) -> Iterable[Answer]:
    """Turn what the process wrote into answers."""
    for number, item in zip(ids, found, strict=True):
        boxes = tuple(Box(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in item["corners"])
        yield Answer(number, boxes, tuple(item["scores"]), tuple(item["classes"]))


def _write_image(image: ImageRecord, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{image.id}.png"
    Image.fromarray(read_image(image.path)).save(file)
    return file


def _line(number: int, box: Box, image: ImageRecord) -> str:
    x, y = (box.x + box.width / 2) / image.width, (box.y + box.height / 2) / image.height
    return f"{number} {x:.6f} {y:.6f} {box.width / image.width:.6f} {box.height / image.height:.6f}\n"
