"""Eq. 8, AUC and AP50 against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.records import Box
from learner.metrics import (
    average_precision,
    classification_metrics,
    mask_dice,
    mask_iou,
    pairwise_dice,
    roc_auc,
)


def one_hot(predicted, classes=2):
    return np.eye(classes)[predicted] * 0.8 + 0.1


def test_eq_8_classification_by_hand():
    # Truth 0 0 0 1 1, predicted 0 0 1 1 0.
    found = classification_metrics(np.array([0, 0, 0, 1, 1]), one_hot([0, 0, 1, 1, 0]))
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["recall"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_recall_equals_accuracy_on_a_balanced_set():
    found = classification_metrics(np.array([0, 0, 1, 1]), one_hot([0, 1, 1, 1]))
    assert found["recall"] == found["accuracy"] == 0.75


def test_auc_by_hand():
    # Of the four pairs of a positive and a negative, three are in order.
    probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])
    assert roc_auc(np.array([0, 0, 1, 1]), probability) == pytest.approx(3 / 4)
    assert roc_auc(np.array([1, 1]), probability[:2]) is None


def test_auc_beyond_two_classes_is_the_mean_of_one_against_the_rest():
    truth = np.array([0, 1, 2, 0])
    probability = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.4, 0.5, 0.1]])
    # Class 0: pairs (.6,.5) (.6,.2) (.4,.5) (.4,.2): 3/4; class 1: .4 against .3 .2 .5: 2/3; class 2: 1.
    assert roc_auc(truth, probability) == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)


def test_nothing_to_score_gives_none():
    assert set(classification_metrics(np.array([], dtype=int), np.zeros((0, 2))).values()) == {None}


def test_eq_8_masks_by_hand():
    a = np.array([[1, 1, 0, 0]], dtype=bool)
    b = np.array([[0, 1, 1, 1]], dtype=bool)
    assert mask_iou(a, b) == pytest.approx(1 / 4)
    assert mask_dice(a, b) == pytest.approx(2 / 5)
    assert mask_iou(a, np.zeros_like(a)) == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_dice_and_iou_agree(pixels):
    a, b = (np.array(values)[None] for values in zip(*pixels, strict=True))
    iou = mask_iou(a, b)
    assert mask_dice(a, b) == pytest.approx(2 * iou / (1 + iou))


T, FAR = Box(0, 0, 10, 10), Box(50, 50, 10, 10)


def test_ap50_by_hand():
    assert average_precision([[T]], [[T]], [0.9]) == pytest.approx(1)
    assert average_precision([[T]], [[FAR]], [0.9]) == 0
    assert average_precision([[T]], [[]], [0.9]) == 0
    assert average_precision([[]], [[]], [0.9]) is None
    # Right at .9, wrong at .8, right at .7: precision 1 up to recall 1/2, then 2/3. Recalls 0 ... .50 are 51 steps.
    ap = average_precision([[T], [T], []], [[T], [T], [FAR]], [0.9, 0.7, 0.8])
    assert ap == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_ap50_threshold_on_both_sides():
    half = Box(0, 0, 10, 5)  # IoU exactly .5
    less = Box(0, 0, 10, 4.9)
    assert average_precision([[T]], [[half]], [1]) == pytest.approx(1)
    assert average_precision([[T]], [[less]], [1]) == 0


def test_one_truth_is_found_only_once():
    # The second box on the same lesion is wrong: precision at full recall stays 1 because it comes after.
    assert average_precision([[T]], [[T, T]], [0.9]) == pytest.approx(1)
    assert average_precision([[T], [T]], [[T, T], []], [0.9, 0.1]) == pytest.approx(51 / 101)


def test_views_agree_by_their_mean_dice():
    a = np.array([[1, 1, 0, 0]], dtype=bool)
    b = np.array([[1, 0, 0, 0]], dtype=bool)
    assert pairwise_dice(np.stack([a, a, b])) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert pairwise_dice(np.stack([a & False, a])) == 0
