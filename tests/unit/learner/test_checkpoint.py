import hashlib
import json
import os
import stat

import pytest
import torch
from safetensors.torch import save, save_file

from db.records import RunRecord
from learner.checkpoint import load_checkpoint, save_checkpoint
from learner.config import make_config
from learner.distributed import Processes
from learner.errors import CheckpointIncompatible, CheckpointNotSaved, TrainingDiverged
from learner.inference.trained_model import load_model
from learner.network.build import build_model

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


LISTS = {"images": {"train": [1, 2, 5], "val": [3]}, "seen_before": {}, "choosing": [3]}


def test_images_are_listed_once_whatever_is_saved(tmp_path):
    for epoch in range(3):
        save_checkpoint(tmp_path, "checkpoint", {"a": torch.full((2,), float(epoch))}, {"epoch": epoch, **LISTS})
        save_checkpoint(tmp_path, "last", {"a": torch.full((2,), float(epoch))}, {"epoch": epoch, **LISTS})
    assert len(list(tmp_path.glob("images-*.safetensors"))) == 1
    for name in ("checkpoint", "last"):
        assert not {"images", "choosing"} & set(json.loads((tmp_path / f"{name}.json").read_text()))
        found = load_checkpoint(tmp_path, name).description
        assert {key: found[key] for key in LISTS} == LISTS
    save_checkpoint(tmp_path, "last", WEIGHTS, {"images": {"train": []}, "seen_before": {}})
    assert load_checkpoint(tmp_path, "last").description["images"] == {"train": []}


def test_a_checkpoint_of_an_earlier_version_lists_its_images_itself(tmp_path):
    assert load_checkpoint(store(tmp_path, **LISTS)).description["images"] == LISTS["images"]


def test_lists_of_images_that_are_damaged_or_missing_are_said(tmp_path):
    save_checkpoint(tmp_path, "checkpoint", WEIGHTS, LISTS)
    (file,) = tmp_path.glob("images-*.safetensors")
    for wrong in (torch.tensor([1, 2, 6]), torch.tensor([[-1.0]]), torch.tensor(3), torch.tensor([-4])):
        save_file({"images.train": wrong}, file)
        with pytest.raises(CheckpointIncompatible, match="damaged"):
            load_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointIncompatible, match=r"images-.* is missing"):
        load_checkpoint(tmp_path)


def test_another_format_is_refused(tmp_path):
    file = save_checkpoint(tmp_path, "checkpoint", WEIGHTS, {})
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointIncompatible, match="format 99"):
        load_checkpoint(tmp_path)


def store(folder, weights=None, **said):
    """A checkpoint as somebody may have made it: its checksum is right, whatever is in it."""
    content = save(WEIGHTS) if weights is None else weights
    (folder / "w.safetensors").write_bytes(content)
    document = {"format": 1, "weights": "w.safetensors", "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "checkpoint.json").write_text(json.dumps(document | said))
    return folder


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", "{", '{"format": 1}', "\x00", "[" * 100_000, '{"format": 1, "weights": 3}', '{"format": "1"}'],
)
def test_a_description_that_is_none_is_refused(tmp_path, content):
    store(tmp_path)
    (tmp_path / "checkpoint.json").write_text(content)
    with pytest.raises(CheckpointIncompatible, match=r"checkpoint\.json"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "said",
    [
        {"config": []}, {"classes": "benign"}, {"classes": ["a", "a"]}, {"classes": []}, {"classes": [1, 2]},
        {"images": {"train": ["x"]}}, {"images": [1]}, {"choosing": [-1]}, {"epoch": "3"}, {"history": [3]},
        {"history": [{"loss": 1}]}, {"best": None}, {"stage": True}, {"seconds": "long"},

        {"images_seen": 10**400},
    ],
)  # fmt: skip
def test_what_a_description_says_is_of_the_right_kind(tmp_path, said):
    with pytest.raises(CheckpointIncompatible, match=r"checkpoint\.json"):
        load_checkpoint(store(tmp_path, **said))


def test_what_a_description_does_not_say_is_named(tmp_path):
    with pytest.raises(CheckpointIncompatible, match="'classes' is missing"):
        _ = load_checkpoint(store(tmp_path)).description["classes"]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (b"", "cut short|not a safetensors"),
        (b"\xff" * 100, "list of tensors would be"),
        ((2**30).to_bytes(8, "little") + b"{}", "list of tensors would be"),
        ((2).to_bytes(8, "little") + b"[]", "not a safetensors"),
        (save({"a": torch.tensor([1.0, float("nan")])}), "NaN or infinity"),
        (save({"a": torch.tensor([1.0, float("inf")], dtype=torch.bfloat16)}), "NaN or infinity"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path, weights, said):
    with pytest.raises(CheckpointIncompatible, match=said):
        load_checkpoint(store(tmp_path, weights))


def test_a_pipe_is_not_waited_for(tmp_path):
    store(tmp_path)
    (tmp_path / "w.safetensors").unlink()
    os.mkfifo(tmp_path / "w.safetensors")
    with pytest.raises(CheckpointIncompatible, match="missing"):
        load_checkpoint(tmp_path)


def test_weights_that_are_not_finite_are_not_saved_over_good_ones(tmp_path):
    save_checkpoint(tmp_path, "checkpoint", WEIGHTS, {"epoch": 1})
    with pytest.raises(TrainingDiverged, match="not finite"):
        save_checkpoint(tmp_path, "checkpoint", {"a": torch.tensor([float("nan")])}, {"epoch": 2})
    assert load_checkpoint(tmp_path).description["epoch"] == 1


def test_a_checkpoint_is_its_owners_alone(tmp_path):
    save_checkpoint(tmp_path / "runs" / "run-1", "checkpoint", WEIGHTS, {})
    found = [tmp_path / "runs", *(tmp_path / "runs").rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in found} == {0}


def test_a_folder_in_the_way_is_said_in_a_line(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(CheckpointNotSaved, match="resume with: partly train --resume"):
        save_checkpoint(tmp_path / "runs" / "run-1", "checkpoint", WEIGHTS, {})


TINY = {"encoder": "test_resnet", "size": 32, "head_channels": 8, "weights": "none", "normalize": "imagenet"}


def opened(folder):
    record = RunRecord(1, "default", "finished", {}, "sha256:0", folder, {}, None, None)
    return load_model(record, folder, Processes())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"encoder": "hf-hub:somebody/model"}, "not fetched"),
        ({"encoder": "local-dir:/etc"}, "not fetched"),
        ({"encoder": "timm/../../x"}, "not the name of a timm encoder"),
        ({"encoder": "no_such_net"}, "cannot be used"),
        ({"size": 10**9}, "size must be at most"),
        ({"head_channels": 10**9}, "head_channels must be at most"),
        ({"head_channels": 16}, "do not match"),
        ({"unheard_of": 1}, "unknown setting"),
        ({"lr": {"a": 1}}, "lr="),
    ],
)
def test_settings_that_come_with_weights_are_checked(tmp_path, changed, said):
    config = make_config("default", TINY)
    weights = save({name: value.contiguous() for name, value in build_model(config, 2).state_dict().items()})
    store(tmp_path, weights, config=config.to_dict() | changed, classes=["a", "b"], images={})
    with pytest.raises(CheckpointIncompatible, match=said) as caught:
        opened(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_weights_file_of_another_type_or_that_is_not_finite_is_refused(tmp_path):
    from learner.errors import WeightsUnavailable
    from learner.network.encoder import Encoder
    from learner.network.weights import load_encoder_weights

    encoder = Encoder("test_resnet", size=32)
    state = {name: value.contiguous() for name, value in encoder.body.state_dict().items()}
    first = next(name for name, value in state.items() if value.is_floating_point())
    for value, said in ((state[first].int(), "of another type"), (state[first] * float("nan"), "NaN")):
        save_file(state | {first: value}, tmp_path / "w.safetensors")
        with pytest.raises(WeightsUnavailable, match=said):
            load_encoder_weights(encoder, str(tmp_path / "w.safetensors"))
