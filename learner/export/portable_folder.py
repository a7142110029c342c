"""A run's weights and settings as a folder that `--run FOLDER` reads: in another project, or in none.

It is a checkpoint without what means something in its own project only: the numbers of the images, each epoch's losses.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.checkpoint import BEST, load_checkpoint, save_checkpoint
from learner.distributed import Processes
from learner.export.agreement import expected
from learner.export.exportable import Answer
from learner.export.places import EXPORTED_BY
from learner.inference.trained_model import TrainedModel, load_model

KEPT = ("run", "classes", "snapshot", "epoch", "metrics")
"""What a checkpoint says that holds anywhere."""


def exported_by() -> str:
    """Say what wrote an export."""
    return f"partly {version('partly')}"


@contextmanager
def portable_files(source: Path) -> Iterator[Path]:
    """Make such a folder for a while.

    Args:
        source: a run's checkpoint folder.

    Yields:
        The folder, complete.

    Raises:
        CheckpointIncompatible: the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(source)
    said = {key: checkpoint.description[key] for key in KEPT if key in checkpoint.description}
    said |= {
        "config": _without_paths(checkpoint.description["config"]),
        "started_from": without_path(checkpoint.description.get("started_from")),
        EXPORTED_BY: exported_by(),
    }
    with TemporaryDirectory(prefix="partly-export-") as folder:
        save_checkpoint(Path(folder), BEST, checkpoint.tensors, said)
        yield Path(folder)


def portable_answer(model: TrainedModel, folder: Path) -> Answer:
    """Load such a folder, and ask it as `partly predict` would."""
    loaded = load_model(model.run, folder, Processes())
    copy = on_cpu(loaded)

    def answer(image_HW3: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return expected(copy, image_HW3).values

    return answer


def on_cpu(model: TrainedModel) -> TrainedModel:
    """Return a model on the CPU, in full precision: how an exported one computes."""
    import torch

    cpu = torch.device("cpu")
    config = dataclasses.replace(model.config, device="cpu", amp="off")
    return dataclasses.replace(model, network=model.network.to(cpu).float(), config=config, device=cpu)


def _without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that do not say where files lay on this machine."""
    said = dict(config)
    if isinstance(said.get("weights"), str):
        said["weights"] = Path(said["weights"]).name
    return said


def without_path(started_from: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return where weights came from, of a file only its name."""
    if started_from is None:
        return None
    said = dict(started_from)
    if said.get("kind") == "file" and isinstance(said.get("name"), str):
        said["name"] = Path(said["name"]).name
    return said
