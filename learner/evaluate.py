"""The evaluation use-case: scores a split of the registry, or images that are not registered at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from db.leaks import already_seen, relatives
from db.progress import Progress
from db.records import NewImage, RunRecord, Split
from db.registry import Registry
from learner.checkpoint import load_checkpoint
from learner.config import TrainConfig, config_from_dict
from learner.data import Example, FramedData, example_from_new, examples_from_records, load_framed
from learner.errors import CheckpointIncompatible, DataInvalid
from learner.image_results import Rows, score_rows, write_results
from learner.methods import build_model
from learner.network.interface import Network
from learner.processes import Processes
from learner.summaries import summarize_results


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


def open_run(registry: Registry, run: str | None = None, *, processes: Processes | None = None) -> TrainedModel:
    """Load a run's model.

    Args:
        registry: where the run is.
        run: its name, None for the newest finished one.
        processes: those that share the work.

    Raises:
        NotFound: there is no such run; CheckpointIncompatible: its checkpoint is missing or damaged.
    """
    with registry.read() as tx:
        record = tx.runs.get(run) if run is not None else tx.runs.latest()
    if record.checkpoint is None:
        raise CheckpointIncompatible(
            f"{record.name} has not finished, so it has no checkpoint; see: partly train --resume"
        )
    return load_model(record, record.checkpoint, processes or Processes())


def load_model(record: RunRecord, folder: Path, processes: Processes) -> TrainedModel:
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
    chosen = processes.device(config.device if config.device == "cpu" else "auto")
    placed = network.to(chosen).to(memory_format=torch.channels_last)
    seen = frozenset(key for ids in checkpoint.description.get("images", {}).values() for key in ids)
    return TrainedModel(record, placed.eval(), config, classes, chosen, seen)


def evaluate_run(
    registry: Registry,
    *,
    run: str | None = None,
    split: Split = Split.TEST,
    images: Sequence[NewImage] | None = None,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a run on a split of the registry, or on images that are not registered (and stay so).

    On test, images that the run has seen (or another image of their group) are left out: they were put into test
    after it. What was said about every image of a split is kept beside the checkpoint.

    Returns:
        n, classification, localization, empty: see the command line's contract; with the run's name, `left_out`, and
        `leaks` where images that are not registered show what the run has seen: they count, and `without` has the
        numbers without them.

    Raises:
        DataInvalid: there is no image to score; NotFound, CheckpointIncompatible: the run cannot be used.
    """
    processes = processes or Processes()
    model = open_run(registry, run, processes=processes)
    left_out, leaking = 0, list[int]()
    if images is not None:
        with registry.read() as tx:
            leaking = already_seen(tx, images, model.seen)
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
    rows = score_examples(model, examples, processes, progress)
    if images is None and model.run.checkpoint is not None and processes.is_first:
        write_results(model.run.checkpoint, split, rows)
    report = {"run": model.run.name, "left_out": left_out, **summarize_results(rows, model.classes)}
    if leaking:
        named = [str(images[position].path) for position in leaking] if images is not None else []
        unseen = [row for row in rows if row["position"] not in set(leaking)]
        report["leaks"] = {"n": len(leaking), "images": named, "without": summarize_results(unseen, model.classes)}
    return report


def score_examples(
    model: TrainedModel, examples: Sequence[Example], processes: Processes, progress: Progress | None
) -> Rows:
    """Decode and score images, each process its share; all get everybody's rows, in the order of the images."""
    data = frame_share(model, examples, processes, progress)
    rows = score_rows(model.network, data, model.config, model.classes, model.device, progress)
    placed = [row | {"position": position} for position, row in zip(data.positions, rows, strict=True)]
    return processes.gather(zip(data.positions, placed, strict=True))


def frame_share(
    model: TrainedModel, examples: Sequence[Example], processes: Processes, progress: Progress | None
) -> FramedData:
    """Decode this process's share of images for a model; `positions` are those among all images."""
    config, mine = model.config, processes.share(range(len(examples)))
    data = load_framed(
        [examples[position] for position in mine],
        model.classes,
        size=config.size,
        framing=config.framing,
        progress=progress,
    )
    data.positions = [mine[position] for position in data.positions]
    return data
