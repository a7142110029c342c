"""Grad-CAM: what speaks for a class or a lesion, at any layer with maps."""

import pytest
import torch
from PIL import Image

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.errors import InvalidArgument
from learner.errors import DataInvalid
from learner.network.build import build_model
from learner.reporting.explain import ExplainRequest, default_layer, explain_images, list_layers
from learner.training.train import train_model
from tests.integration.test_training import tiny

CPU = torch.device("cpu")


@pytest.fixture
def trained(registry, phantoms):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.6))
    split_images(registry, val=0.2, test=0.3)
    train_model(registry, tiny(epochs=1, size=64))
    return registry


def test_pictures_for_classes_and_lesions_at_chosen_layers(trained, tmp_path):
    of_class = explain_images(trained, tmp_path, ExplainRequest(limit=2))
    assert (of_class.layer, len(of_class.items)) == ("encoder.levels.4", 2)
    finer = "encoder.levels.0"
    of_lesion = explain_images(
        trained, tmp_path, ExplainRequest(target="lesion", layer=finer, image_ids=[of_class.items[0].image])
    )
    assert (of_lesion.layer, len(of_lesion.items)) == (finer, 1)
    first, second = (Image.open(done.items[0].picture) for done in (of_class, of_lesion))
    assert first.size == second.size
    assert first.tobytes() != second.tobytes()
    assert finer in of_class.layers


def test_what_cannot_be_explained_is_said(trained, tmp_path):
    with pytest.raises(InvalidArgument, match="--list-layers"):
        explain_images(trained, tmp_path, ExplainRequest(layer="classifier"))
    with pytest.raises(InvalidArgument, match="class, lesion"):
        explain_images(trained, tmp_path, ExplainRequest(target="patient"))
    with pytest.raises(DataInvalid):
        explain_images(trained, tmp_path, ExplainRequest(image_ids=[9999]))
    train_model(trained, tiny(epochs=1, method="classifier"))
    with pytest.raises(InvalidArgument, match="can explain: class"):
        explain_images(trained, tmp_path, ExplainRequest(run="run-2", target="lesion"))


@pytest.mark.parametrize(
    ("encoder", "levels"), [("resnet10t", 5), ("vit_tiny_patch16_224", 4), ("swin_tiny_patch4_window7_224", 4)]
)
def test_every_encoder_has_a_place_to_look_at(encoder, levels):
    network = build_model(tiny(encoder=encoder, size=64), 2)
    layers = list_layers(network, 64, CPU)
    assert default_layer(layers, "class") == f"encoder.levels.{levels - 1}"
    assert default_layer(layers, "lesion") in layers
    with pytest.raises(InvalidArgument, match="tokens"):
        default_layer({}, "class")
