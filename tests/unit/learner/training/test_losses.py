"""Every equation against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.training.losses import (
    balanced_weights,
    chosen_mean,
    dice_loss,
    hybrid_loss,
    localization_loss,
    mask_cross_entropy,
    passes_gate,
    pseudo_mask,
)


def logits(*probabilities):
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.log(p / (1 - p)).reshape(1, 1, 1, -1)


def test_eq_6_cross_entropy_by_hand():
    # Targets 1, 0 with probabilities .8, .4: -(ln .8 + ln .6) / 2.
    target = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    expected = -(math.log(0.8) + math.log(0.6)) / 2
    assert float(mask_cross_entropy(logits(0.8, 0.4), target)) == pytest.approx(expected)


def test_eq_6_is_two_sided_so_a_mask_of_ones_is_no_optimum():
    target = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    right = mask_cross_entropy(logits(0.99, 0.01), target)
    everything = mask_cross_entropy(logits(0.99, 0.99), target)
    assert float(right) < float(everything)


def test_ignored_pixels_teach_nothing():
    target, valid = torch.ones(1, 1, 1, 2, dtype=torch.float64), torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)
    assert float(mask_cross_entropy(logits(0.8, 0.1), target, valid)) == pytest.approx(-math.log(0.8))


def test_dice_by_hand():
    # p = .8, .4, t = 1, 0: 1 - (2 * .8 + 1) / (1.2 + 1 + 1).
    target = torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    assert float(dice_loss(logits(0.8, 0.4), target)) == pytest.approx(1 - 2.6 / 3.2)
    assert float(dice_loss(logits(0.8, 0.4), torch.zeros_like(target))) == 0


def test_a_larger_target_is_averaged_down():
    target = torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64).reshape(1, 1, 2, 2)
    one = logits(0.5)
    assert float(localization_loss(one, target, dice=False)) == pytest.approx(math.log(2))


def test_eq_7_by_hand():
    # .5 * 2 + .5 * (1 + .1 * 4)
    value = hybrid_loss(torch.tensor(2.0), torch.tensor(1.0), torch.tensor(4.0), lambda_=0.5, alpha=0.1)
    assert float(value) == pytest.approx(1.7)
    assert float(hybrid_loss(torch.tensor(2.0), torch.tensor(9.0), torch.tensor(9.0), lambda_=1, alpha=1)) == 2


def test_eq_7_pseudo_mask_is_binarized_at_one_half():
    mask, valid = pseudo_mask(torch.tensor([[[[0.2, 0.5, 0.51, 0.9]]]]))
    assert mask.flatten().tolist() == [0, 0, 1, 1]
    assert valid.flatten().tolist() == [1, 1, 1, 1]


def test_the_ignore_band_is_left_out():
    mask, valid = pseudo_mask(torch.tensor([[[[0.3, 0.31, 0.7, 0.71]]]]), low=0.3, high=0.7)
    assert mask.flatten().tolist() == [0, 0, 0, 1]
    assert valid.flatten().tolist() == [1, 0, 0, 1]


def test_eq_7_gate_on_both_sides_of_tau():
    probability = torch.tensor([[0.79, 0.21], [0.2, 0.8], [0.81, 0.19]], dtype=torch.float64)
    assert passes_gate(probability, 0.8).tolist() == [False, False, True]


def test_a_mean_over_nothing_is_zero_with_a_gradient():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    mean = chosen_mean(values, torch.tensor([False, False]), 0)
    mean.backward()
    assert mean.item() == 0
    assert values.grad.tolist() == [0, 0]
    assert chosen_mean(values, torch.tensor([False, True]), 1).item() == 2


def test_balanced_weights_by_hand():
    # Four images of two present classes: 4 / (2 * 3) and 4 / (2 * 1); the third class has none.
    weights = balanced_weights(torch.tensor([0, 0, 0, 1, -100]), 3)
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60))
def test_balanced_weights_are_those_of_scikit_learn(indices):
    from sklearn.utils.class_weight import compute_class_weight

    present = sorted(set(indices))
    expected = compute_class_weight("balanced", classes=np.array(present), y=np.array(indices))
    found = balanced_weights(torch.tensor(indices), 4)
    assert found[present].tolist() == pytest.approx(expected.tolist())
