"""Grad-CAM against the formula, worked out by hand on a network of one channel."""

import torch
from torch import nn

from learner.config import make_config
from learner.inference.trained_model import TrainedModel
from learner.network.interface import Network, Output
from learner.reporting.explain import heat_of


class TwoChannels(Network):
    """Class 0 likes bright places, class 1 dark ones; the lesion is where it is bright."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.maps.weight.copy_(torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]])[:, :, None, None])

    def forward(self, image_B3HW):
        maps = self.maps(image_B3HW)
        return Output(maps[:, :1] - 0.5, maps.relu().mean(dim=(2, 3)))


def test_heat_lies_where_the_formula_says():
    config = make_config("paper", {"size": 32, "device": "cpu"})
    model = TrainedModel(None, TwoChannels(), config, ["a", "b"], torch.device("cpu"))
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[:, 0, 4:8, 4:8] = 255
    image[:, 0, 20:24, 20:24] = 51
    bright = heat_of(model, image, "maps", "class", 0)
    # The weight of channel 0 is the mean of its gradient, which is positive; ReLU(weight * map) is 1 and 51/255.
    assert bright[5, 5] == 1
    assert abs(float(bright[21, 21]) - 0.2) < 1e-6
    assert float(bright[0, 0]) == 0
    # Nothing is dark enough for class 1: its map is negative or 0, and so is the heat.
    assert heat_of(model, image, "maps", "class", 1).abs().max() == 0
    lesion = heat_of(model, image, "maps", "lesion", 0)
    assert lesion[5, 5] == 1
