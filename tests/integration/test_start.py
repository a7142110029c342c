"""What a training starts from: ImageNet's weights or none, a file, or the network of an earlier run."""

import hashlib
import json
import shutil

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

import learner.training.train
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.progress import SilentProgress
from db.records import RunStatus, Split
from db.registry import create_registry
from learner.checkpoint import load_checkpoint
from learner.config import config_from_dict, make_config
from learner.errors import CheckpointIncompatible, WeightsUnavailable
from learner.inference.trained_model import open_run
from learner.network.build import build_model
from learner.network.forward import Normalizer
from learner.training.start import load_start
from learner.training.state import make_learner
from learner.training.train import train_model
from learner.training.train_once import train_once
from tests.spoken import Spoken

HALF = "0.5,0.5,0.5/0.5,0.5,0.5"
COMMIT = "0" * 40
TINY = {"encoder": "test_resnet", "size": 32, "batch_size": 8, "head_channels": 8, "device": "cpu", "epochs": 1}


def tiny(**overrides):
    return make_config("default", TINY | overrides)


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that cannot be reached, and nothing that was fetched before."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def fetched(cache, name="test_resnet", tag="r160_in1k"):
    """Put weights where those lie that were fetched before, and return them."""
    torch.manual_seed(1)
    state = timm.create_model(name, pretrained=False).state_dict()
    folder = cache / f"models--timm--{name}.{tag}"
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    save_file(state, folder / "snapshots" / COMMIT / "model.safetensors")
    return state


def stored(registry, name):
    with registry.read() as tx:
        return tx.runs.get(name)


def test_auto_without_a_hub_starts_from_scratch_says_so_and_is_the_training_without_weights(filled, no_hub):
    said = Spoken()
    result = train_model(filled, tiny(), progress=said)
    assert "127.0.0.1:9) cannot be reached" in said.text
    assert "starts from scratch: it takes more epochs" in said.text
    assert (result.weights, result.plan.config["weights"]) == ("none", "auto")
    run = stored(filled, result.run)
    assert (run.config["weights"], run.config["normalize"]) == ("none", "imagenet")
    assert run.config["requested"] == {"weights": "auto", "normalize": "auto", "split_lesions": "auto"}
    assert run.config["started_from"] == {"kind": "none", "name": None, "sha256": None}
    assert load_checkpoint(run.checkpoint).description["config"]["weights"] == "none"
    plain = train_model(filled, tiny(weights="none"))
    one, other = (load_checkpoint(stored(filled, name).checkpoint).tensors for name in (result.run, plain.run))
    assert all(torch.equal(one[key], other[key]) for key in one), "the rate of the encoder follows what was loaded"


def test_auto_takes_what_was_fetched_with_its_own_statistics(filled, no_hub):
    fetched(no_hub)
    said = Spoken()
    result = train_model(filled, tiny(), progress=said)
    assert result.weights == "imagenet"
    assert "starts from the ImageNet weights of test_resnet" in said.text
    run = stored(filled, result.run)
    assert (run.config["weights"], run.config["normalize"]) == ("imagenet", HALF)
    # The network needs no hub, no cache and no timm that agrees, to be used as it was trained.
    shutil.rmtree(no_hub)
    model = open_run(filled, result.run)
    assert model.config.normalize == HALF
    assert Normalizer(model.config, model.device)(torch.ones(1, 3, 2, 2)).unique().tolist() == [1.0]


@pytest.mark.parametrize(("cached", "factor"), [(True, 0.1), (False, 1.0)])
def test_the_encoders_rate_follows_what_was_loaded(filled, no_hub, cached, factor):
    if cached:
        fetched(no_hub)
    config = tiny(encoder_lr_factor=0.1)
    model = build_model(config, 2)
    start = load_start(model, config, ["a", "b"], filled, SilentProgress())
    rates = [group["lr"] for group in make_learner(model, start.config, torch.device("cpu")).optimizer.param_groups]
    assert rates == [pytest.approx(start.config.lr * factor), start.config.lr]


def test_an_input_range_that_was_asked_for_holds_whatever_the_weights(filled, no_hub):
    fetched(no_hub)
    for wanted in ("imagenet", "unit", "0.1,0.2,0.3/0.4,0.5,0.6"):
        config = tiny(normalize=wanted)
        start = load_start(build_model(config, 2), config, ["a", "b"], filled, SilentProgress())
        assert (start.config.weights, start.config.normalize) == ("imagenet", wanted)


def test_a_training_is_found_again_by_what_was_asked_for_and_by_what_it_came_to(filled, no_hub):
    first, trained = train_once(filled, tiny(), SilentProgress())
    assert trained
    for config in (tiny(), tiny(weights="none"), tiny(weights="none", normalize="imagenet")):
        assert train_once(filled, config, SilentProgress()) == (first, False)
    with pytest.raises(WeightsUnavailable, match="--weights none"):
        train_once(filled, tiny(weights="imagenet"), SilentProgress())


def test_a_training_that_was_cut_goes_on_with_what_it_started_from(filled, no_hub, monkeypatch):
    fetched(no_hub)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("learner.training.train.validate", interrupted_at(3))
        train_model(filled, tiny(epochs=2))
    shutil.rmtree(no_hub)
    result = train_model(filled, tiny(), resume=True)
    assert (result.run, result.weights, result.epochs) == ("run-1", "imagenet", 4)
    assert open_run(filled, "run-1").config.normalize == HALF


def interrupted_at(call):
    real, calls = learner.training.train.validate, []

    def validating(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments)

    return validating


def test_a_file_of_the_encoder_has_the_encoders_statistics(filled, no_hub, tmp_path):
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "w.safetensors")
    run = stored(filled, train_model(filled, tiny(weights=str(tmp_path / "w.safetensors"))).run)
    assert (run.config["weights"], run.config["normalize"]) == (str(tmp_path / "w.safetensors"), HALF)


def test_where_the_weights_came_from_stands_in_the_runs_record(filled, no_hub, tmp_path):
    state = fetched(no_hub)
    file = tmp_path / "w.safetensors"
    save_file(state, file)
    of_hub = train_model(filled, tiny())
    of_file = train_model(filled, tiny(weights=str(file)))
    of_run = train_model(filled, tiny(weights=of_hub.run))
    digest = load_checkpoint(of_hub.checkpoint).description["sha256"]
    wanted = {
        of_hub.run: {"kind": "hub", "name": "timm/test_resnet.r160_in1k", "sha256": None},
        of_file.run: {"kind": "file", "name": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
        of_run.run: {"kind": "run", "name": of_hub.run, "sha256": digest},
    }
    for name, source in wanted.items():
        run = stored(filled, name)
        assert run.config["started_from"] == source
        assert load_checkpoint(run.checkpoint).description["started_from"] == source


def test_a_run_that_cannot_have_its_weights_is_never_begun(filled, no_hub, tmp_path):
    save_file({"conv1.0.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    for weights in ("imagenet", str(tmp_path / "w.safetensors")):
        with pytest.raises(WeightsUnavailable):
            train_model(filled, tiny(weights=weights))
    with filled.read() as tx:
        assert tx.runs.all() == []


@pytest.fixture
def first(filled):
    """A run to go on from."""
    return train_model(filled, tiny(weights="none", normalize="0.1,0.2,0.3/0.4,0.5,0.6"))


def start_from(registry, weights, classes=("benign", "malignant", "normal"), **overrides):
    config, said = tiny(weights=str(weights), **overrides), Spoken()
    torch.manual_seed(9)
    model = build_model(config, len(classes))
    return model, load_start(model, config, classes, registry, said), said


def test_the_next_round_goes_on_from_a_run(filled, first):
    tensors = load_checkpoint(first.checkpoint).tensors
    (file,) = first.checkpoint.glob("checkpoint-*.safetensors")
    for weights in (first.run, file, first.checkpoint, first.checkpoint / "checkpoint.json"):
        model, start, said = start_from(filled, weights)
        assert all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())
        assert start.config.normalize == "0.1,0.2,0.3/0.4,0.5,0.6"
        read_from = "" if weights == first.run else f", read from {weights}"
        assert f"starts from {first.run}{read_from}\n" in f"{said.text}\n"
        assert "anew" not in said.text
    result = train_model(filled, tiny(weights=first.run))
    assert (result.run, result.weights) == ("run-2", first.run)
    assert train_once(filled, tiny(weights=first.run), SilentProgress())[1] is False


def test_other_classes_start_the_last_layer_anew_and_nothing_else(filled, first):
    tensors = load_checkpoint(first.checkpoint).tensors
    for classes in (("benign", "malignant"), ("benign", "malignant", "other")):
        torch.manual_seed(9)
        random = build_model(tiny(), len(classes)).state_dict()
        model, _, said = start_from(filled, first.run, classes)
        fresh = {"classifier.score.weight", "classifier.score.bias"}
        for name, value in model.state_dict().items():
            assert torch.equal(value, random[name] if name in fresh else tensors[name]), name
        assert f"were benign, malignant, normal, and are {', '.join(classes)} here" in said.text


def test_a_run_that_does_not_fit_is_refused_with_the_reason(filled, first):
    with pytest.raises(WeightsUnavailable, match="method=lanet, but method=classifier is trained here"):
        start_from(filled, first.run, method="classifier")
    with pytest.raises(WeightsUnavailable, match=r"another shape \(lanet.*trained with --set head_channels=8"):
        start_from(filled, first.run, head_channels=16)
    with pytest.raises(WeightsUnavailable, match="trained with --set encoder=test_resnet"):
        start_from(filled, first.run, encoder="resnet10t")
    file = first.checkpoint / "checkpoint.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sha256": "0"}))
    with pytest.raises(CheckpointIncompatible, match="damaged"):
        start_from(filled, first.run)


def test_a_network_is_not_judged_on_what_its_predecessor_has_seen(filled, first):
    before = load_checkpoint(first.checkpoint).description["images"]
    moved = before["train"][0]
    with filled.begin() as tx:
        tx.images.set_splits({moved: Split.TEST})
    second = train_model(filled, tiny(weights=first.run))
    third = train_model(filled, tiny(weights=second.run))
    for result in (second, third):
        model = open_run(filled, result.run)
        assert moved not in load_checkpoint(result.checkpoint).description["images"]["train"]
        assert moved in model.seen
        assert moved in model.learned_from


def test_a_run_of_another_project_is_taken_with_a_word_of_warning(filled, first, phantoms, tmp_path):
    root = tmp_path / "other"
    root.mkdir()
    registry = create_registry(f"sqlite:///{root}/r.sqlite3", root)
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.6))
    split_images(registry, val=0.2, test=0.2)
    said = Spoken()
    result = train_model(registry, tiny(weights=str(first.checkpoint)), progress=said)
    assert "not a run of this project" in said.text
    assert load_checkpoint(result.checkpoint).description["seen_before"] == {}
    registry.close()


def test_a_finished_run_whose_checkpoint_is_gone_is_trained_again(filled):
    config, said = tiny(weights="none"), Spoken()
    first, _ = train_once(filled, config, said)
    shutil.rmtree(first.checkpoint)
    second, trained = train_once(filled, config, said)
    assert (second.name, trained, second.status) == ("run-2", True, RunStatus.FINISHED)
    assert f"{first.name} was trained with these settings, but its checkpoint is gone" in said.text
    assert train_once(filled, config, said) == (second, False)
    next(second.checkpoint.glob("*.safetensors")).unlink()
    assert train_once(filled, config, said)[1], "without its weights it is no model either"


def test_settings_of_an_old_run_mean_what_they_meant(filled, first):
    old = {**stored(filled, first.run).config, "normalize": "imagenet"}
    old.pop("requested", None)
    assert config_from_dict(old).normalize == "imagenet"
