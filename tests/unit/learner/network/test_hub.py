"""ImageNet weights: from the cache without asking anybody, and a hub that does not answer is given up in seconds."""

import socket
import threading
import time

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

import learner.network.hub
from learner.errors import WeightsUnavailable
from learner.network.encoder import Encoder
from learner.network.weights import load_encoder_weights

REPOSITORY = "models--timm--test_resnet.r160_in1k"
COMMIT = "0" * 40


@pytest.fixture
def silent_hub(monkeypatch, tmp_path):
    """A hub that takes every call and never says a word, as behind some firewalls."""
    server = socket.create_server(("127.0.0.1", 0))
    taken = []

    def take():
        while True:
            try:
                taken.append(server.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(learner.network.hub, "PATIENCE_S", 0.5)
    yield taken
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for connection in taken:
        connection.close()
    thread.join(5)


def test_a_hub_that_says_nothing_is_given_up_in_seconds(silent_hub):
    started = time.monotonic()
    with pytest.raises(WeightsUnavailable, match=r"127.0.0.1:\d+\) cannot be reached .*--weights none"):
        load_encoder_weights(Encoder("test_resnet", size=64), "imagenet")
    assert time.monotonic() - started < 5
    assert len(silent_hub) == 1, "it was asked once"


def test_what_was_fetched_before_is_used_without_asking(silent_hub, tmp_path):
    snapshot = tmp_path / "cache" / REPOSITORY / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (tmp_path / "cache" / REPOSITORY / "refs").mkdir()
    (tmp_path / "cache" / REPOSITORY / "refs" / "main").write_text(COMMIT)
    whole = timm.create_model("test_resnet", pretrained=False)
    save_file({key: torch.full_like(value, 0.25) for key, value in whole.state_dict().items()},
              snapshot / "model.safetensors")  # fmt: skip
    encoder = Encoder("test_resnet", size=64)
    load_encoder_weights(encoder, "imagenet")
    assert all(bool((value == 0.25).all()) for value in encoder.body.parameters())
    assert silent_hub == []
    assert constants.HF_HUB_OFFLINE is False
    assert socket.getdefaulttimeout() is None


def test_who_wants_to_stay_offline_is_not_asked_to_wait(silent_hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE"):
        load_encoder_weights(Encoder("test_resnet", size=64), "imagenet")
    assert silent_hub == []


def test_an_encoder_without_weights_says_so(silent_hub):
    with pytest.raises(WeightsUnavailable, match="there are no ImageNet weights of resnet14t_none"):
        learner.network.hub.fetch_pretrained(no_weights, "resnet14t_none")
    assert silent_hub == []


def no_weights():
    return timm.create_model("test_resnet", pretrained=True, pretrained_cfg={"url": "", "hf_hub_id": ""})
