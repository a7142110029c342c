"""kill -9 in the middle of a training: it goes on to the very weights that it would have had."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.registry import create_registry
from learner.checkpoint import load_checkpoint
from learner.config import make_config
from learner.training.train import train_model

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
SETTINGS = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
            "stage1_epochs": 2, "stage2_epochs": 12}  # fmt: skip


def test_a_killed_training_goes_on_to_the_same_weights(phantoms, tmp_path):
    weights = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        registry = create_registry(f"sqlite:///{folder}/registry.sqlite3", folder)
        import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.4))
        split_images(registry, val=0.2, test=0.2)
        run = folder / "runs" / "run-1"
        if name == "killed":
            kill_after_an_epoch(folder, run)
            assert not list(run.glob(".last.json.partial")) or (run / "last.json").exists()
        result = train_model(registry, make_config("default", SETTINGS), resume=name == "killed")
        assert (result.run, result.epochs) == ("run-1", 14)
        weights[name] = load_checkpoint(run).tensors
        registry.close()
    assert all(torch.equal(weights["whole"][key], weights["killed"][key]) for key in weights["whole"])


def kill_after_an_epoch(folder, run):
    """Begin a training in a process of its own, and kill it when it is past its first epoch, wherever it then is."""
    (folder / "partly.toml").touch()
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items() if key != "weights"]
    command = [sys.executable, "-m", "cli.main", "--project", str(folder), "train", "--weights", "none", *settings]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not (run / "last.json").exists():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(0.15)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        process.kill()
        process.wait()
