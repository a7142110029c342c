"""The check before an export is written: it passes what is right, and stops what is not."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from db.records import RunRecord, RunStatus
from learner.config import make_config
from learner.errors import ExportFailed
from learner.export.agreement import TOLERANCE, check_images, compare, expected
from learner.export.exportable import Exportable
from learner.export.torchscript_file import torchscript_answer, torchscript_bytes
from learner.inference.trained_model import TrainedModel
from learner.network.build import build_model

RUN = RunRecord(1, "default", RunStatus.FINISHED, {}, "", Path("run-1"), {}, datetime(2026, 1, 1, tzinfo=UTC), None)


def model_of(**overrides):
    """A network with random weights, as a finished run would be loaded."""
    given = {"encoder": "resnet10t", "size": 40, "head_channels": 8, "device": "cpu"}
    config = make_config("default", given | overrides)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model(config, 3).eval()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    return TrainedModel(RUN, network, config, ["a", "b", "c"], torch.device("cpu"))


def eager(model):
    exportable = Exportable(model.network, model.config).eval()

    def answer(image_HW3):
        with torch.inference_mode():
            return {name: value.numpy() for name, value in exportable(torch.from_numpy(image_HW3)).items()}

    return answer


def test_the_images_are_of_every_kind_and_always_the_same():
    images = check_images(40)
    shapes = {name: image.shape for name, image in images.items()}
    assert any(height > width for height, width, _ in shapes.values())
    assert any(width > height for height, width, _ in shapes.values())
    assert any(max(height, width) < 40 for height, width, _ in shapes.values())
    grey = images["grey landscape"]
    assert (grey == grey[:, :, :1]).all()
    assert not (images["square"] == images["square"][:, :, :1]).all()
    assert all((image == check_images(40)[name]).all() for name, image in images.items())
    assert all(image.std() > 10 for image in images.values())


METHODS = [
    {}, {"presence": False, "gate": "class"}, {"tta": False}, {"framing": "resize", "head": "paper"},
    {"method": "classifier"}, {"method": "rmtl", "size": 64}, {"method": "agn"},
    {"method": "unet", "encoder": "resnet18", "size": 64}, {"method": "deeplabv3", "encoder": "resnet18", "size": 64},
    {"encoder": "vit_tiny_patch16_224", "size": 64, "normalize": "0.5,0.5,0.5/0.5,0.5,0.5"},
]  # fmt: skip


@pytest.mark.parametrize("overrides", METHODS, ids=str)
def test_every_method_agrees_with_itself_as_torchscript(overrides):
    model = model_of(**overrides)
    exportable = Exportable(model.network, model.config).eval()
    found = compare(model, torchscript_answer(torchscript_bytes(exportable, {"run": "run-1"})))
    assert found.images == len(check_images(40)) == 5
    assert found.largest_difference < TOLERANCE / 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: {**said, "presence": said["presence"] + 3 * TOLERANCE}, "presence of a landscape image of 80x50"),
        (lambda said: {**said, "class_probability": said["class_probability"][::-1]}, "class_probability of"),
        (lambda said: {**said, "mask": said["mask"][::-1]}, "mask of"),
        (lambda said: {**said, "mask": said["mask"][:-1]}, "mask of a landscape .* by inf"),
        (lambda said: {**said, "mask": np.full_like(said["mask"], np.nan)}, "mask of"),
        (lambda said: {**said, "score": said["score"] + 0.5}, "score of"),
        (lambda said: {name: said[name] for name in ("mask", "score")}, "returns mask, score instead of"),
    ],
)
def test_a_model_that_says_something_else_is_refused(change, message):
    model = model_of()
    answer = eager(model)
    compare(model, answer)
    with pytest.raises(ExportFailed, match=message):
        compare(model, lambda image_HW3: change(answer(image_HW3)))


def test_other_weights_or_statistics_are_noticed():
    """What an export with the wrong normalization would do: the encoder's own instead of ImageNet's."""
    model, other = model_of(), model_of(normalize="0.5,0.5,0.5/0.5,0.5,0.5")
    with pytest.raises(ExportFailed, match="nothing was written"):
        compare(model, eager(other))


def test_what_is_expected_is_what_predict_says():
    model = model_of()
    image_HW3 = check_images(40)["portrait"]
    said = expected(model, image_HW3).values
    assert list(said) == ["class_probability", "presence", "score", "mask"]
    assert said["class_probability"].sum() == pytest.approx(1)
    assert said["mask"].shape == image_HW3.shape[:2]
