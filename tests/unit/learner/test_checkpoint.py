import json

import pytest
import torch

from learner.checkpoint import load_checkpoint, save_checkpoint
from learner.errors import CheckpointIncompatible

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3)}


def test_what_is_saved_is_loaded(tmp_path):
    save_checkpoint(tmp_path, "checkpoint", WEIGHTS, {"epoch": 3, "classes": ["x"]})
    loaded = load_checkpoint(tmp_path)
    assert torch.equal(loaded.tensors["a"], WEIGHTS["a"])
    assert loaded.description["epoch"] == 3


def test_a_newer_checkpoint_replaces_the_older_one_and_its_file(tmp_path):
    save_checkpoint(tmp_path, "checkpoint", WEIGHTS, {"epoch": 1})
    save_checkpoint(tmp_path, "checkpoint", {"a": torch.ones(2)}, {"epoch": 2})
    assert load_checkpoint(tmp_path).description["epoch"] == 2
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_writer_stopped_before_the_rename_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, "checkpoint", WEIGHTS, {"epoch": 1})
    with monkeypatch.context() as patched:
        patched.setattr("learner.checkpoint.json.dumps", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, "checkpoint", {"a": torch.ones(2)}, {"epoch": 2})
    assert load_checkpoint(tmp_path).description["epoch"] == 1


def test_damage_is_found(tmp_path):
    save_checkpoint(tmp_path, "checkpoint", WEIGHTS, {})
    weights = next(tmp_path.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckpointIncompatible, match="damaged"):
        load_checkpoint(tmp_path)
    weights.unlink()
    with pytest.raises(CheckpointIncompatible, match="missing"):
        load_checkpoint(tmp_path)


def test_another_format_is_refused(tmp_path):
    file = save_checkpoint(tmp_path, "checkpoint", WEIGHTS, {})
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointIncompatible, match="format 99"):
        load_checkpoint(tmp_path)
