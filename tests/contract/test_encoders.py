"""Encoders of every family that timm has: the joint model learns on top of each."""

import pytest
import torch

from learner.config import make_config
from learner.network.build import build_model


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "efficientnet_lite0", "convnext_atto", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224"],
)
@pytest.mark.parametrize("head", ["paper", "fpn", "unet"])
def test_any_encoder_that_returns_features_works(name, head):
    size = 224 if "224" in name else 64
    model = build_model(make_config("default", {"encoder": name, "head": head, "size": size}), 2)
    output = model(torch.randn(2, 3, size, size))
    (output.mask_logits_B1HW.mean() + output.class_logits_BK.mean()).backward()
    assert output.class_logits_BK.shape == (2, 2)
    assert all(torch.isfinite(p.grad).all() for p in model.lanet.parameters() if p.grad is not None)
