"""A run's model, loaded from its checkpoint and ready to score images."""

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch

from db.progress import Progress
from db.records import RunRecord
from db.registry import Registry
from learner.checkpoint import load_checkpoint
from learner.config import TrainConfig, config_from_dict
from learner.data.dataset import FramedStream
from learner.data.examples import Example, taken
from learner.data.framed_store import FramedStore
from learner.data.framing import Framer, Framing
from learner.data.validation_cut import chosen_by
from learner.distributed import Processes
from learner.early_checks import finished_run
from learner.errors import CheckpointIncompatible, ConfigInvalid
from learner.network.build import build_model
from learner.network.interface import Network


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A run's model, ready to score images."""

    run: RunRecord
    network: Network
    config: TrainConfig
    classes: list[str]
    device: torch.device
    seen: Collection[int] = ()
    """Numbers of the images that it learned from or was chosen by, each once; packed, as there may be millions."""
    learned_from: Collection[int] = ()
    """Those that it learned from."""
    chose: Collection[int] = ()
    """Validation images that chose the epoch which was kept; none where the last one is kept whatever they say."""
    store: FramedStore | None = None
    """The project's cache of framed images; None outside a project."""

    def framer(self, progress: Progress | None = None) -> Framer:
        """Return what frames images as this model wants them."""
        return Framer(Framing.of_training(self.config), self.store, progress)


def open_run(registry: Registry, run: str | None = None, *, processes: Processes | None = None) -> TrainedModel:
    """Load a run's model.

    Args:
        registry: where the run is.
        run: its name, None for the newest finished one.
        processes: those that share the work.

    Raises:
        NotFound: there is no such run; CheckpointIncompatible: its checkpoint is missing or damaged.
    """
    record = finished_run(registry, run)
    assert record.checkpoint is not None, "a run that can be used has one"
    return replace(load_model(record, record.checkpoint, processes or Processes()), store=FramedStore(registry.root))


def load_model(record: RunRecord, folder: Path, processes: Processes) -> TrainedModel:
    """Build a run's model from its checkpoint folder.

    Raises:
        CheckpointIncompatible: the checkpoint is missing, damaged, or does not fit its own configuration.
    """
    checkpoint = load_checkpoint(folder)
    classes = list(checkpoint.description["classes"])
    try:
        config = config_from_dict(checkpoint.description["config"])
        network = build_model(config, len(classes))
    except ConfigInvalid as exc:
        raise CheckpointIncompatible(f"{folder}: the settings stored with the weights cannot be used: {exc}") from exc
    try:
        network.load_state_dict(checkpoint.tensors)
    except RuntimeError as exc:
        raise CheckpointIncompatible(f"{folder}: the weights do not match the configuration stored with them") from exc
    _check_size(network, config, folder)
    chosen = processes.device(config.device if config.device == "cpu" else "auto")
    placed = network.to(chosen).to(memory_format=torch.channels_last)
    # What the weights that it started from have seen, it has seen.
    parts = [checkpoint.description.get(key, {}) for key in ("images", "seen_before")]
    seen = _packed(number for part in parts for ids in part.values() for number in ids)
    learned_from = _packed(number for part in parts for number in part.get("train", ()))
    before = checkpoint.description.get("seen_before", {})
    chose = _packed(chain(chosen_by(checkpoint.description), before.get("chose", ())))
    return TrainedModel(record, placed.eval(), config, classes, chosen, seen, learned_from, chose)


def _packed(numbers: Iterable[int]) -> Collection[int]:
    return array("q", sorted(set(numbers)))


@torch.inference_mode()
def _check_size(network: Network, config: TrainConfig, folder: Path) -> None:
    """Make sure that a network can look at images of the size stored with it.

    Raises:
        CheckpointIncompatible: it cannot: the settings are of another network.
    """
    try:
        network.eval()(torch.zeros(1, 3, config.size, config.size))
    except RuntimeError as exc:
        raise CheckpointIncompatible(
            f"{folder}: the network cannot take images of size={config.size}, the size in its settings"
        ) from exc


def frame_share(
    model: TrainedModel, examples: Sequence[Example], processes: Processes, progress: Progress | None
) -> FramedStream:
    """Frame this process's share of images for a model, as they are scored; `positions` are those among all images."""
    mine = processes.share(range(len(examples)))
    return FramedStream(
        taken(examples, mine),
        model.classes,
        model.framer(progress),
        batch_size=model.config.batch_size,
        positions=mine,
        progress=progress,
    )
