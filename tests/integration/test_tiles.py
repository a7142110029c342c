"""Training and scoring in tiles, from the settings to proposals."""

import pytest
import torch

from db.records import Split
from learner.config import make_config
from learner.errors import ConfigInvalid
from learner.evaluation.evaluate import evaluate_run
from learner.inference.propose import ProposeRequest, propose_locations
from learner.inference.trained_model import open_run
from learner.reporting.explain import ExplainRequest, explain_images
from learner.training.train import train_model
from tests.integration.test_training import tiny
from tests.spoken import Spoken


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_a_run_in_tiles_is_trained_scored_and_explained(filled, tmp_path, preset):
    said = Spoken()
    result = train_model(filled, tiny(preset, epochs=1, tiles=3), progress=said)
    model = open_run(filled)
    assert model.framer().framing.size == 96
    seen = []
    handle = model.network.register_forward_hook(lambda module, given, output: seen.append(given[0].shape))
    model.network(torch.zeros(1, 3, 32, 32))
    handle.remove()
    assert seen == [(1, 3, 32, 32)]
    evaluation = evaluate_run(filled, run=result.run, split=Split.TEST)
    assert evaluation.rows
    propose_locations(filled, ProposeRequest(tau=0.0))
    assert explain_images(filled, tmp_path, ExplainRequest(limit=1)).items


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_weights(filled):
    config = tiny(epochs=1, tiles=2)
    weights = []
    for _ in range(2):
        train_model(filled, config)
        weights.append(open_run(filled).network.state_dict())
    assert all(torch.equal(one, weights[1][name]) for name, one in weights[0].items())


def test_tiles_go_on_from_a_run_without_them(filled):
    first = train_model(filled, tiny(epochs=1)).run
    assert train_model(filled, tiny(epochs=1, tiles=2, weights=first)).weights == first


def test_boxes_that_are_too_small_can_be_shown_by_tiles(filled):
    said = Spoken()
    train_model(filled, tiny(epochs=1, size=32), progress=said)
    (warning,) = [line for line in said.lines if "can hardly be learned" in line]
    assert "--set tiles=" in warning
    tiles = warning.split("--set tiles=")[1].split(",")[0]
    said = Spoken()
    train_model(filled, tiny(epochs=1, size=32, tiles=tiles), progress=said)
    assert not [line for line in said.lines if "can hardly be learned" in line]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tiles": 0}, "tiles must be at least 1"),
        ({"size": 4096, "tiles": 3}, "at most 8192 px, got 3 x 4096"),
        ({"tiles": 2, "method": "classifier"}, "is for methods that localize, but method=classifier does not"),
    ],
)
def test_tiles_that_cannot_be_are_said(settings, why):
    with pytest.raises(ConfigInvalid, match=why):
        make_config("default", settings)
