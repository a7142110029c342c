"""Every encoder and every method keeps the same promises to the training loop."""

import pytest
import torch

from learner.config import make_config
from learner.data.dataset import FramedData
from learner.errors import ConfigInvalid
from learner.network.build import METHODS, build_model
from learner.network.encoder import Encoder
from learner.network.weights import load_encoder_weights
from learner.training.loop import epoch_batches, epoch_generator
from learner.training.stages import make_stages
from learner.training.state import make_learner
from learner.training.step import Batch, batch_losses

ENCODERS = ["resnet18", "resnet50", "efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224",
            "swin_tiny_patch4_window7_224"]  # fmt: skip
SIZE = 64


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_answers_at_four_strides(name):
    size = 96 if "swin" not in name else 224
    encoder = Encoder(name, size=size).eval()
    with torch.inference_mode():
        features = encoder(torch.randn(2, 3, size, size))
    assert encoder.strides == [4, 8, 16, 32]
    assert [tuple(feature.shape) for feature in features] == [
        (2, channels, size // stride, size // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_every_level_reaches_the_mask(name):
    model = build_model(make_config("default", {"encoder": name, "size": SIZE}), 3)
    model.locate(torch.randn(2, 3, SIZE, SIZE)).sum().backward()
    unused = [key for key, value in model.lanet.named_parameters() if value.grad is None]
    assert unused == []


def framed(count=8):
    generator = torch.Generator().manual_seed(0)
    known = torch.tensor([True, False] * (count // 2))
    targets = torch.zeros(count, 1, SIZE, SIZE, dtype=torch.uint8)
    targets[:, :, 20:40, 10:50] = 255
    targets[~known] = 0
    images = torch.randint(0, 255, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    presence = torch.where(known, 1, -1).to(torch.int8)
    return FramedData([None] * count, [None] * count, images, targets, known, torch.arange(count) % 3, presence)


def config_of(method, **overrides):
    base = {"method": method, "encoder": "resnet18", "size": SIZE, "weights": "none", "device": "cpu", "batch_size": 4}
    return make_config("default", base | overrides)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_learns_what_it_answers_and_nothing_else(method):
    config = config_of(method)
    learner = make_learner(build_model(config, 3), config, torch.device("cpu"))
    model = learner.model
    assert (model.localizes, model.classifies) == (config.localizes, config.classifies)
    output = model.eval()(torch.randn(2, 3, SIZE, SIZE))
    assert output.class_logits_BK.shape == (2, 3)
    assert output.mask_logits_B1HW.shape[:2] == (2, 1)
    assert (output.mask_logits_B1HW < -10).all() == (not model.localizes)
    assert (output.class_logits_BK == 0).all() == (not model.classifies)
    stages = [stage for stage in make_stages(config) if stage.epochs]
    assert len(stages) == (2 if model.localizes and model.classifies else 1)
    data = framed()
    model.train()
    for stage in stages:
        generator = epoch_generator(config, stage, 1)
        epoch = epoch_batches(data, stage, config, generator)
        seen = set(torch.cat(epoch.batches).tolist())
        located_only = not stage.all_images
        assert seen <= set(range(0, 8, 2)) if located_only else len(seen) == 8
        losses = batch_losses(learner, data, stage, Batch(epoch.batches[0], epoch.draws_N), generator)
        losses["loss"].backward()
    trained = {key for key, value in model.named_parameters() if value.grad is not None and value.grad.abs().sum() > 0}
    assert any(key.startswith("encoder.") for key in trained)
    assert any(not key.startswith("encoder.") for key in trained)


def test_without_semi_supervision_only_located_images_are_seen():
    for method in ("lanet", "rmtl", "agn", "classifier"):
        _, second = make_stages(config_of(method, images="located"))
        assert (second.all_images, second.pseudo) == (False, "none")
    _, second = make_stages(config_of("rmtl"))
    assert (second.all_images, second.pseudo) == (True, "teacher")


def test_a_segmenter_answers_with_logits():
    """A sigmoid in the network would keep them from being negative, and another one in the loss would squash them."""
    for method in ("unet", "deeplabv3"):
        model = build_model(config_of(method), 2).eval()
        with torch.inference_mode():
            image = torch.randn(2, 3, SIZE, SIZE)
            before = model(image).mask_logits_B1HW
            model.head[0].bias.sub_(100.0)
            after = model(image).mask_logits_B1HW
        assert torch.allclose(after, before - 100, atol=1e-3)


def test_an_unknown_encoder_is_refused_by_every_method():
    for method in METHODS:
        with pytest.raises(ConfigInvalid, match="resnet1"):
            build_model(config_of(method, encoder="resnet1"), 2)


@pytest.mark.parametrize("method", METHODS)
def test_weights_come_from_a_file(method, tmp_path):
    from safetensors.torch import save_file

    config = config_of(method)
    source, target = build_model(config, 2), build_model(config, 2)
    state = {key: value.contiguous() for key, value in source.encoder.body.state_dict().items()}
    save_file(state, tmp_path / "encoder.safetensors")
    load_encoder_weights(target.encoder, str(tmp_path / "encoder.safetensors"))
    for key, value in target.encoder.body.state_dict().items():
        assert torch.equal(value, state[key])
