import math
from fractions import Fraction

import numpy as np
import pytest

from learner.inference.certified_tau import boxes_needed, certify_tau, error_p_value, one_of_each


@pytest.mark.parametrize(("precision", "needed"), [(0.80, 11), (0.85, 15), (0.90, 22), (0.95, 45)])
def test_boxes_without_an_error_that_certify(precision, needed):
    assert boxes_needed(precision, 0.1) == needed
    assert error_p_value(needed, 0, precision) <= 0.1 < error_p_value(needed - 1, 0, precision)


@pytest.mark.parametrize(("accepted", "errors"), [(38, 1), (52, 2), (65, 3)])
def test_boxes_with_errors_that_certify_ninety_percent(accepted, errors):
    assert error_p_value(accepted, errors, 0.9) <= 0.1 < error_p_value(accepted - 1, errors, 0.9)


def test_a_good_score_is_certified_down_to_where_errors_begin():
    scores = np.linspace(0, 1, 400)
    found = certify_tau(scores, scores > 0.5, precision=0.9, delta=0.1)
    assert found.is_certified
    assert 0.4 < found.tau < 0.52
    assert found.errors / found.accepted < 0.1


def test_nothing_is_certified_from_few_or_wrong_boxes():
    assert certify_tau([0.9] * 5, [True] * 5).tau == math.inf
    assert certify_tau([], []).tau == math.inf
    scores = np.linspace(0, 1, 200)
    assert not certify_tau(scores, np.arange(200) % 2 == 0).is_certified


def test_the_promise_is_broken_less_often_than_delta():
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(200):
        scores = rng.random(150)
        found = certify_tau(scores, rng.random(150) < scores, precision=0.85, delta=0.2)
        # Above tau the true precision is the mean score, (1 + tau) / 2.
        broken += found.is_certified and (1 + found.tau) / 2 < 0.85
    assert broken / 200 <= 0.2


@pytest.mark.parametrize(("images", "size"), [(20, 1), (100, 1), (100, 4), (100, 10), (1000, 10), (5000, 4)])
def test_the_promise_holds_for_images_in_groups(images, size):
    rng = np.random.default_rng([images, size])
    broken, trials = 0, 300
    for _ in range(trials):
        # All images of a group are alike: of one patient, all right or all wrong.
        score_G = rng.random(images // size)
        right_G = rng.random(images // size) < score_G
        items = [(group, score_G[group], right_G[group]) for group in range(images // size) for _ in range(size)]
        drawn = one_of_each(items, lambda item: str(item[0]), seed=0)
        found = certify_tau([score for _, score, _ in drawn], [right for *_, right in drawn])
        broken += found.is_certified and (1 + found.tau) / 2 < found.precision
    # Two standard errors of a share of .2 in 300 trials.
    assert broken / trials <= 0.2 + 2 * (0.2 * 0.8 / trials) ** 0.5


def test_of_every_group_one_is_drawn_and_always_the_same():
    items = [("a", n) for n in range(50)] + [("b", n) for n in range(50)]
    first = one_of_each(items, lambda item: item[0], seed=3)
    assert [group for group, _ in first] == ["a", "b"]
    assert one_of_each(items, lambda item: item[0], seed=3) == first
    assert any(one_of_each(items, lambda item: item[0], seed=seed) != first for seed in range(9))


def test_arguments_out_of_range_are_refused():
    for bad in ({"precision": 1.0}, {"delta": 0.0}):
        with pytest.raises(ValueError, match="between"):
            certify_tau([0.5], [True], **bad)
    with pytest.raises(ValueError, match="1 scores"):
        certify_tau([0.5], [])


def test_a_long_list_does_not_overflow():
    share = Fraction(15, 100)
    exact = sum(math.comb(2000, k) * share**k * (1 - share) ** (2000 - k) for k in range(281))
    assert error_p_value(2000, 280, 0.85) == pytest.approx(float(exact), rel=1e-9)


def test_a_score_that_equals_tau_is_not_accepted():
    scores = [0.5] * 30 + [0.9] * 30
    found = certify_tau(scores, [n % 2 == 0 for n in range(30)] + [True] * 30)
    assert (found.tau, found.accepted, found.errors) == (0.5, 30, 0)
