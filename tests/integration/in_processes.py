"""A program for test_processes: what two processes find, as JSON from the first.

    python in_processes.py PROJECT PRESET...

The losses of some steps of both stages, in double precision, so that only what is wrong differs, and not how sums are
rounded; then an evaluation and proposals of the project's newest run.
"""

import json
import sys
from pathlib import Path

import torch

from cli.documents import document_of
from db.registry import open_registry
from learner.config import make_config
from learner.data.dataset import FramedData
from learner.data.examples import Example
from learner.data.letterbox import frame_of
from learner.distributed import start_processes
from learner.evaluation.evaluate import evaluate_run
from learner.inference.propose import ProposeRequest, propose_locations
from learner.network.build import build_model
from learner.network.forward import Normalizer
from learner.training.loop import add_gradients, epoch_generator
from learner.training.stages import make_stages
from learner.training.state import make_learner
from learner.training.step import Batch

STEPS, IMAGES, KNOWN, SIDE = 5, 7, 4, 64
SETTINGS = {"encoder": "resnet10t", "size": SIDE, "head_channels": 8, "weights": "none", "device": "cpu", "tau": 0.6,
            "alpha_rampup": 0.0, "ignore_low": 0.5, "ignore_high": 0.5}  # fmt: skip


def some_data():
    torch.manual_seed(1)
    targets = torch.zeros(IMAGES, 1, SIDE, SIDE, dtype=torch.uint8)
    targets[:KNOWN, :, 8:24, 8:24] = 255
    return FramedData(
        examples=[Example(__file__, SIDE, SIDE, "a")] * IMAGES,
        frames=[frame_of(SIDE, SIDE, SIDE, "resize")] * IMAGES,
        images_N3SS=torch.randint(0, 255, (IMAGES, 3, SIDE, SIDE), dtype=torch.uint8),
        targets_N1SS=targets,
        known_N=torch.arange(IMAGES) < KNOWN,
        class_N=torch.tensor([0, 1, -100, 0, 1, 0, 0]),
        presence_N=torch.where(torch.arange(IMAGES) < KNOWN, 1, -1).to(torch.int8),
    )


def losses_of_steps(processes, preset, accumulate):
    config = make_config(preset, {**SETTINGS, "accumulate": accumulate})
    torch.manual_seed(0)
    learner = make_learner(build_model(config, 2).double(), config, processes.device("cpu"), processes)
    learner.class_weight_K = torch.tensor([0.5, 2.0])
    usual = Normalizer(config, learner.device)
    learner.normalize = lambda image: usual(image).double()
    # Statistics of parts are those of parts: with fixed ones, parts must add up to the whole.
    learner.trained.train(accumulate == 1)
    data, found = some_data(), []
    for stage in make_stages(config):
        for step in range(STEPS):
            # The last batch has one image, so that one of two processes has none.
            batch = torch.arange(IMAGES) if step < STEPS - 1 else torch.tensor([1])
            learner.optimizer.zero_grad(set_to_none=True)
            generator = epoch_generator(config, stage, step)
            found.append(add_gradients(learner, data, stage, Batch(batch, torch.ones(IMAGES)), generator))
            learner.optimizer.step()
    return found


def main(project, *presets):
    torch.set_num_threads(1)
    root = Path(project)
    registry = open_registry(f"sqlite:///{root}/registry.sqlite3", root)
    with start_processes("cpu", devices=2) as processes:
        losses = {preset: losses_of_steps(processes, preset, 1) for preset in presets}
        scored = evaluate_run(registry, processes=processes)
        proposed = propose_locations(registry, ProposeRequest(tau=0.05), processes=processes)
        if processes.is_first:
            sys.stdout.write(
                json.dumps({"losses": losses, "scored": scored.to_document(), "proposed": document_of(proposed)})
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
