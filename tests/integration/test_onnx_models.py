"""Every kind of network as ONNX, read by ONNX Runtime: it says what the network says, for images of any size."""

import numpy as np
import onnx
import pytest
from torch import nn

from learner.config import make_config
from learner.errors import ExportFailed
from learner.export.agreement import TOLERANCE, check_images, compare, expected
from learner.export.exportable import Exportable
from learner.export.onnx_file import has_free_size, onnx_answer, onnx_bytes
from tests.unit.learner.export.test_agreement import model_of


def exported(model, **metadata):
    return onnx_bytes(Exportable(model.network, model.config).eval(), metadata)


NETWORKS = {
    "the default encoder": {"encoder": "tf_efficientnet_lite0", "size": 48},
    "resnet18, as in the paper": {
        **{"encoder": "resnet18", "head": "paper", "framing": "resize", "tta": False, "presence": False},
        **{"normalize": "unit", "gate": "class"},
    },
    # Its levels are no multiples of each other: 25, 13, 7 and 4.
    "an odd size": {"size": 100},
    "a vision transformer": {
        **{"encoder": "vit_tiny_patch16_224", "size": 64, "normalize": "0.5,0.5,0.5/0.5,0.5,0.5"},
    },
    "a classifier": {"method": "classifier", "encoder": "vit_tiny_patch16_224", "size": 32},
    "tiles": {"size": 32, "tiles": 2},
    "a U-Net": {"method": "unet", "encoder": "resnet18", "size": 64},
}


FIRST = ("the default encoder", "resnet18, as in the paper")
"""The others take half a minute."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FIRST else pytest.mark.thorough) for name in NETWORKS]
)
def test_onnx_says_what_the_network_says(name):
    model = model_of(**NETWORKS[name])
    written = exported(model, classes='["a", "b"]')
    assert has_free_size(written)
    answer = onnx_answer(written)
    assert compare(model, answer).largest_difference < TOLERANCE / 10
    # Sizes that are not among those checked before writing.
    for height, width in ((1, 1), (7, 300), (211, 190), (90, 40)):
        image_HW3 = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        said, wanted = answer(image_HW3), expected(model, image_HW3).values
        for key in wanted.keys() - {"score"}:
            assert said[key] == pytest.approx(wanted[key], abs=TOLERANCE), (key, height, width)
    kept = {entry.key: entry.value for entry in onnx.load_model_from_string(written).metadata_props}
    assert kept["classes"] == '["a", "b"]'


class Unwritable(nn.Module):
    """Answers with something that no graph holds."""

    judges_presence = False
    localizes = classifies = True

    def forward(self, image_B3HW):
        raise NotImplementedError("no such operator")


def test_what_cannot_be_written_is_said_in_a_line():
    with pytest.raises(ExportFailed, match=r"cannot be written as ONNX \(.*no such operator.*try --format torchscript"):
        onnx_bytes(Exportable(Unwritable(), make_config("default", {"size": 32})).eval(), {})


def test_what_onnx_runtime_does_not_take_is_said():
    with pytest.raises(ExportFailed, match="ONNX Runtime does not accept the exported model"):
        onnx_answer(b"no model")


def test_images_of_other_kinds_are_not_taken_for_right():
    """Red and blue exchanged, or an image that is not upright: another answer."""
    model = model_of()
    answer, image_HW3 = onnx_answer(exported(model)), check_images(40)["landscape"]
    said = answer(image_HW3)["mask"]
    assert np.abs(answer(np.ascontiguousarray(image_HW3[:, :, ::-1]))["mask"] - said).max() > TOLERANCE
