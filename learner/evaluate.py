"""The evaluation use-case: scores a split of the registry, or images that are not registered at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from db.images import mask_from_png
from db.leaks import relatives
from db.progress import Progress
from db.records import NewImage, RunRecord, Split
from db.regions import boxes_dice, boxes_iou
from db.registry import Registry
from learner.checkpoint import load_checkpoint
from learner.config import TrainConfig, config_from_dict
from learner.data import Example, FramedData, example_from_new, examples_from_records, load_framed
from learner.device import choose_device
from learner.errors import CheckpointIncompatible, DataInvalid
from learner.image_results import image_results, write_results
from learner.methods import build_model
from learner.metrics import average_precision, classification_metrics, mask_dice, mask_iou
from learner.network.interface import Network
from learner.predict import Prediction, known_classes, predict


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A run's model, ready to score images."""

    run: RunRecord
    network: Network
    config: TrainConfig
    classes: list[str]
    device: torch.device
    seen: frozenset[int] = frozenset()
    """Numbers of the images that it learned from or was chosen by."""


def open_run(registry: Registry, run: str | None = None, *, device: str | None = None) -> TrainedModel:
    """Load a run's model.

    Args:
        registry: where the run is.
        run: its name, None for the newest finished one.
        device: where to compute, None for what the run was configured with.

    Raises:
        NotFound: there is no such run; CheckpointIncompatible: its checkpoint is missing or damaged.
    """
    with registry.read() as tx:
        record = tx.runs.get(run) if run is not None else tx.runs.latest()
    if record.checkpoint is None:
        raise CheckpointIncompatible(
            f"{record.name} has not finished, so it has no checkpoint; see: partly train --resume"
        )
    return load_model(record, record.checkpoint, device=device)


def load_model(record: RunRecord, folder: Path, *, device: str | None = None) -> TrainedModel:
    """Build a run's model from its checkpoint folder.

    Raises:
        CheckpointIncompatible: the checkpoint is missing, damaged, or does not fit its own configuration.
    """
    checkpoint = load_checkpoint(folder)
    config = config_from_dict(checkpoint.description["config"])
    classes = list(checkpoint.description["classes"])
    network = build_model(config, len(classes))
    try:
        network.load_state_dict(checkpoint.tensors)
    except RuntimeError as exc:
        raise CheckpointIncompatible(f"{folder}: the weights do not fit the configuration beside them") from exc
    chosen = choose_device(device or (config.device if config.device == "cpu" else "auto"))
    placed = network.to(chosen).to(memory_format=torch.channels_last)
    seen = frozenset(key for ids in checkpoint.description.get("images", {}).values() for key in ids)
    return TrainedModel(record, placed.eval(), config, classes, chosen, seen)


def evaluate_run(
    registry: Registry,
    *,
    run: str | None = None,
    split: Split = Split.TEST,
    images: Sequence[NewImage] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a run on a split of the registry, or on images that are not registered (and stay so).

    On test, images that the run has seen (or another image of their group) are left out: they were put into test
    after it. What was said about every image of a split is kept beside the checkpoint.

    Returns:
        n, classification, localization, empty: see the command line's contract; with the run's name and `left_out`.

    Raises:
        DataInvalid: there is no image to score; NotFound, CheckpointIncompatible: the run cannot be used.
    """
    model = open_run(registry, run)
    left_out = 0
    if images is not None:
        examples = [example_from_new(image) for image in images]
    else:
        with registry.read() as tx:
            records = tx.images.select(splits=[split])
            if not records:
                raise DataInvalid(f"the {split} split is empty; fill it with: partly split --{split} 0.2")
            seen = relatives(tx, model.seen) if split is Split.TEST else set()
            fair = [record for record in records if record.id not in seen]
            examples = examples_from_records(tx, fair)
        left_out = len(records) - len(fair)
    if not examples:
        raise DataInvalid(
            f"there is no image to score{f': {model.run.name} was trained on all {left_out} of them' * bool(left_out)}"
        )
    data = frame_examples(model, examples, progress=progress)
    network = model.network
    predictions = list(predict(network, data, model.config, model.device, progress=progress))
    if images is None and model.run.checkpoint is not None:
        rows = image_results(predictions, model.classes, classifies=network.classifies, localizes=network.localizes)
        write_results(model.run.checkpoint, split, rows)
    report = _report(predictions, network, model.config, model.classes)
    return {"run": model.run.name, "left_out": left_out, **report}


def frame_examples(model: TrainedModel, examples: Sequence[Example], *, progress: Progress | None) -> FramedData:
    """Decode images for a model."""
    config = model.config
    return load_framed(examples, model.classes, size=config.size, framing=config.framing, progress=progress)


def evaluate_data(
    network: Network,
    data: FramedData,
    config: TrainConfig,
    classes: Sequence[str],
    device: torch.device,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score framed data in the images' own frames."""
    predictions = list(predict(network, data, config, device, progress=progress))
    return _report(predictions, network, config, classes)


def _report(
    predictions: Sequence[Prediction], network: Network, config: TrainConfig, classes: Sequence[str]
) -> dict[str, Any]:
    report = measure(predictions, classes, config.gate)
    # What a method does not answer is not measured, rather than counted as wrong.
    if not network.classifies:
        report["classification"] = dict.fromkeys(report["classification"])
    if not network.localizes:
        unmeasured = dict.fromkeys(report["localization"])
        report["localization"] = unmeasured | {"n": report["localization"]["n"]}
        report["empty"]["false_positive_rate"] = None
    return report


def measure(predictions: Sequence[Prediction], classes: Sequence[str], gate: str) -> dict[str, Any]:
    """Turn predictions into the report that `partly evaluate` prints.

    Localization counts the images with a known lesion, a miss as 0; images known to be empty are counted apart.
    """
    known = known_classes([prediction.example for prediction in predictions], classes)
    truth_N = np.array([index for index in known if index is not None], dtype=np.int64)
    rows = [p.class_probability_K for p, index in zip(predictions, known, strict=True) if index is not None]
    probability_NK = np.stack(rows) if rows else np.zeros((0, len(classes)))
    located = [p for p in predictions if p.example.location is not None and p.example.location.boxes]
    empty = [p for p in predictions if p.example.location is not None and not p.example.location.boxes]
    return {
        "n": len(predictions),
        "classification": classification_metrics(truth_N, probability_NK),
        "localization": _localization(located, classes, gate),
        "empty": {
            "n": len(empty),
            "false_positive_rate": sum(bool(p.boxes) for p in empty) / len(empty) if empty else None,
        },
    }


def _localization(located: Sequence[Prediction], classes: Sequence[str], gate: str) -> dict[str, Any]:
    truths = [p.example.location.boxes for p in located if p.example.location is not None]
    known = known_classes([p.example for p in located], classes)
    scores = [p.score(gate, index) for p, index in zip(located, known, strict=True)]
    masks = [
        (p.mask_HW, mask_from_png(p.example.location.mask_png))
        for p in located
        if p.example.location is not None and p.example.location.mask_png is not None
    ]
    return {
        "n": len(located),
        "iou": _mean([boxes_iou(p.boxes, truth) for p, truth in zip(located, truths, strict=True)]),
        "dice": _mean([boxes_dice(p.boxes, truth) for p, truth in zip(located, truths, strict=True)]),
        "ap50": average_precision(truths, [p.boxes for p in located], scores),
        "mask_iou": _mean([mask_iou(found, truth) for found, truth in masks]),
        "mask_dice": _mean([mask_dice(found, truth) for found, truth in masks]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
