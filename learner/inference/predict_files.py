"""Predictions for image files that are not registered: decoded once, scored as a stream, nothing kept."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from db.errors import ImageUnreadable
from db.imaging.files import ImageFile
from db.progress import Progress
from db.records import RunRecord, RunStatus
from db.records.predictions import FilePrediction, UnreadableFile
from learner.checkpoint import BEST
from learner.data.dataset import CHUNK_BATCHES, FramedData, framed_data
from learner.data.examples import Example
from learner.data.framing import ahead
from learner.description import read_description
from learner.distributed import Processes
from learner.errors import CheckpointIncompatible
from learner.inference.predict import predict
from learner.inference.trained_model import TrainedModel, load_model

Opened = tuple[Example, NDArray[np.uint8]] | UnreadableFile


def open_run_folder(folder: Path) -> TrainedModel:
    """Load a run's model from its folder, wherever that lies; no registry is needed.

    Raises:
        CheckpointIncompatible: there is no checkpoint in it, or it is damaged.
    """
    if not folder.is_dir():
        raise CheckpointIncompatible(f"{folder}: there is no such folder")
    found = re.fullmatch(r"run-(\d{1,9})", folder.resolve().name)
    record = RunRecord(
        id=int(found[1]) if found else 0,
        preset="",
        status=RunStatus.FINISHED,
        config={},
        snapshot="",
        checkpoint=folder,
        metrics={},
        created_at=datetime.now(UTC),
        finished_at=None,
    )
    return load_model(record, folder, Processes())


def weights_sha256(model: TrainedModel) -> str:
    """Return what a run's weights are known by, wherever its folder lies."""
    assert model.run.checkpoint is not None, "a model comes from a checkpoint"
    return str(read_description(model.run.checkpoint / f"{BEST}.json")["sha256"])


def predict_files(
    model: TrainedModel, files: Sequence[ImageFile], *, gate: str | None = None, progress: Progress
) -> Iterator[FilePrediction | UnreadableFile]:
    """Say what a model finds in files, in their order; a file that cannot be read takes no other with it.

    Args:
        model: what is asked.
        files: images; of a DICOM file that holds several without a frame named, the first frame.
        gate: `class` or `agreement`; None for the run's.
        progress: where to show how far it is.
    """
    together, framer, chosen = (
        CHUNK_BATCHES * model.config.batch_size,
        model.framer(progress),
        gate or model.config.gate,
    )

    def open_one(file: ImageFile) -> Opened:
        try:
            square_3SS, width, height = framer.open(file)
        except ImageUnreadable as exc:
            return UnreadableFile(str(file), exc.reason)
        return Example(file, width, height, None), square_3SS

    with progress.task("scoring", len(files)) as task, ThreadPoolExecutor() as pool:
        pieces = (files[start : start + together] for start in range(0, len(files), together))
        for opened in ahead(lambda piece: list(pool.map(open_one, piece)), pieces):
            good = [one for one in opened if not isinstance(one, UnreadableFile)]
            said: Iterator[FilePrediction] = iter(())
            if good:
                squares_N3SS = torch.from_numpy(np.stack([square_3SS for _, square_3SS in good]))
                examples = [example for example, _ in good]
                data = framed_data(examples, model.classes, framer, list(range(len(good))), [], squares_N3SS)
                said = _score(model, data, chosen)
            for one in opened:
                yield one if isinstance(one, UnreadableFile) else next(said)
            task.advance(len(opened))


def _score(model: TrainedModel, data: FramedData, gate: str) -> Iterator[FilePrediction]:
    classifies = model.network.classifies
    for found in predict(model.network, data, model.config, model.device):
        index = found.class_index
        yield FilePrediction(
            file=str(found.example.path),
            width=found.example.width,
            height=found.example.height,
            class_name=model.classes[index] if classifies else None,
            class_probability=float(found.class_probability_K[index]) if classifies else None,
            score=min(1.0, found.score(gate)),
            presence=found.presence if found.judges_presence else None,
            boxes=found.boxes,
            box_scores=tuple(min(1.0, score) for score in found.box_scores),
        )
