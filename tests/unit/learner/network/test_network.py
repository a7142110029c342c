import pytest
import torch

from learner.config import make_config
from learner.errors import ConfigInvalid
from learner.network.attention import CBAM, ChannelAttention, SpatialAttention
from learner.network.build import build_model
from learner.network.classifier import attend_to_mask
from learner.network.encoder import Encoder


def test_eq_4_by_hand():
    feature = torch.tensor([[[[1.0, 2.0]], [[3.0, -4.0]]]])  # 1 x 2 x 1 x 2
    mask = torch.tensor([[[[0.5, 1.0]]]])
    assert attend_to_mask(feature, mask).tolist() == [[[[1.5, 4.0]], [[4.5, -8.0]]]]


def test_eq_4_averages_a_larger_mask():
    feature = torch.ones(1, 1, 1, 1)
    mask = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert float(attend_to_mask(feature, mask)) == 1.5


def test_cbam_shapes_and_parameters():
    feature = torch.randn(2, 32, 7, 5)
    assert CBAM(32)(feature).shape == feature.shape
    assert [tuple(p.shape) for p in ChannelAttention(32).parameters()] == [(2, 32, 1, 1), (32, 2, 1, 1)]
    assert [tuple(p.shape) for p in SpatialAttention().parameters()] == [(1, 2, 7, 7)]
    assert ChannelAttention(8)(torch.randn(1, 8, 3, 3)).shape == (1, 8, 3, 3)


def test_attention_weighs_by_hand():
    # A bottleneck of zeros gives a weight of sigmoid(0) = one half.
    channel, spatial = ChannelAttention(4), SpatialAttention()
    for module in (channel, spatial):
        for parameter in module.parameters():
            torch.nn.init.zeros_(parameter)
        feature = torch.randn(1, 4, 3, 3)
        assert torch.allclose(module(feature), feature / 2)


def test_the_parts_can_be_left_out():
    feature = torch.randn(1, 8, 4, 4)
    assert torch.equal(CBAM(8, cam=False, sam=False)(feature), feature)
    assert not list(CBAM(8, cam=False, sam=False).parameters())


@pytest.mark.parametrize(("head", "mask"), [("paper", 2), ("fpn", 16), ("unet", 32)])
def test_the_mask_has_the_heads_resolution(head, mask):
    model = build_model(make_config("default", {"head": head, "encoder": "resnet10t"}), 3).eval()
    output = model(torch.randn(2, 3, 64, 64))
    assert output.mask_logits_B1HW.shape == (2, 1, mask, mask)
    assert output.class_logits_BK.shape == (2, 3)


@pytest.mark.parametrize("part", ["cam", "sam", "mam"])
@pytest.mark.parametrize("head", ["paper", "fpn", "unet"])
def test_every_switch_changes_the_computation(part, head):
    base = {"encoder": "resnet10t", "head": head}
    image = torch.randn(2, 3, 64, 64)
    torch.manual_seed(0)
    weights = build_model(make_config("default", base), 2).state_dict()
    outputs = []
    for wanted in (True, False):
        model = build_model(make_config("default", base | {part: wanted}), 2).eval()
        model.load_state_dict({key: value for key, value in weights.items() if key in model.state_dict()})
        outputs.append(model(image))
    with_part, without = outputs
    assert not torch.allclose(with_part.class_logits_BK, without.class_logits_BK)
    same_mask = torch.allclose(with_part.mask_logits_B1HW, without.mask_logits_B1HW)
    assert same_mask == (part == "mam")


def test_levels_are_at_strides_4_to_32():
    assert Encoder("resnet10t").strides == [4, 8, 16, 32]


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ConfigInvalid, match="resnet9000"):
        Encoder("resnet9000")


def test_u_net_narrows_from_block_to_block():
    model = build_model(make_config("default"), 2)
    assert model.encoder.strides == [2, 4, 8, 16, 32]
    assert [block[0][0].out_channels for block in model.lanet.blocks] == [128, 64, 32, 16]
    # Each sets a level beside what comes from below it.
    finer = model.encoder.channels[:-1]
    below = [model.encoder.channels[-1], 128, 64, 32]
    assert [block[0][0].in_channels for block in model.lanet.blocks] == [
        count + beside for count, beside in zip(below, reversed(finer), strict=True)
    ]


def test_u_net_answers_at_the_finest_level_that_an_encoder_has():
    model = build_model(make_config("default", {"encoder": "convnext_atto"}), 2)
    assert model.encoder.strides == [4, 8, 16, 32]
    assert model(torch.randn(2, 3, 64, 64)).mask_logits_B1HW.shape == (2, 1, 16, 16)
