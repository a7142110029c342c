"""partly's own methods within a time: how many steps fit is measured first."""

import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from db.progress import Progress, SilentProgress
from db.records import Split
from db.registry import Registry, open_registry
from learner.config import TrainConfig, make_config
from learner.evaluation.evaluate import Evaluation, evaluate_run
from learner.training.train import train_model
from learner.training.train_once import train_once

SEGMENTER = {"weights": "imagenet", "encoder": "tf_efficientnet_lite0"}
METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "default": ("default", {}),
    "default, located images alone": ("default", {"images": "located"}),
    "default, feature pyramid": ("default", {"head": "fpn"}),
    "paper": ("paper", {}),
    "U-Net": ("default", {"method": "unet", **SEGMENTER}),
    "DeepLabV3": ("default", {"method": "deeplabv3", **SEGMENTER}),
}
"""By name: preset and settings."""
EPOCHS = 4
"""A stage's; how long they are is what fits into the time."""
USED = 0.95
"""Share of the time that is planned for: the machine is not always as fast as in the probe."""


def steps_within(minutes: float, probes: tuple[int, int], seconds: tuple[float, float], stages: int) -> int:
    """Work out how many steps of each stage fit into a time.

    Args:
        minutes: the time.
        probes: steps of each stage of a short training, and of one twice as long.
        seconds: that both took; what is beside the steps cancels out.
        stages: how many.
    """
    a_step = max((seconds[1] - seconds[0]) / (stages * (probes[1] - probes[0])), 1e-6)
    beside = max(0.0, seconds[0] - stages * probes[0] * a_step)
    return max(1, int((60 * minutes * USED - beside) / (stages * a_step)))


def configure(name: str, share: float, seed: int, overrides: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of a method, the length left open."""
    preset, settings = METHODS[name]
    return make_config(preset, {**settings, "location_share": share, "seed": seed, **overrides})


def train(
    registry: Registry, config: TrainConfig, minutes: float, progress: Progress
) -> tuple[Evaluation, str, str, float]:
    """Train within the time, and score the test images.

    Returns:
        The evaluation, what the weights started from, how long it was trained, and the minutes that took.
    """
    stages = 2 if config.localizes and config.classifies else 1
    with registry.read() as tx:
        images = len(tx.images.select())
    # No shorter than an epoch is anyway, in which every image of unknown location is shown once.
    short = int(images / (config.batch_size * (1 - config.located_share))) + 1
    probes = (short, 2 * short)
    seconds = (_probe(registry, config, probes[0]), _probe(registry, config, probes[1]))
    steps = steps_within(minutes, probes, seconds, stages)
    run, _ = train_once(registry, _lasting(config, steps, EPOCHS), progress)
    evaluation = evaluate_run(registry, run=run.name, split=Split.TEST, progress=progress)
    source = run.config["started_from"]
    started = source["name"] or "none"
    return evaluation, started, f"{stages} x {steps} steps", float((run.metrics or {})["seconds"]) / 60


def _lasting(config: TrainConfig, steps: int, epochs: int) -> TrainConfig:
    return replace(config, stage1_epochs=epochs, stage2_epochs=epochs, min_steps=steps)


def _probe(registry: Registry, config: TrainConfig, steps: int) -> float:
    """Return the seconds of a short training, of which nothing is kept."""
    with tempfile.TemporaryDirectory() as folder:
        with sqlite3.connect(registry.root / "registry.sqlite3") as original:
            original.execute("VACUUM INTO ?", (f"{folder}/registry.sqlite3",))
        copy = open_registry(f"sqlite:///{folder}/registry.sqlite3", Path(folder))
        try:
            return train_model(copy, _lasting(config, steps, 1), progress=SilentProgress()).seconds
        finally:
            copy.close()
