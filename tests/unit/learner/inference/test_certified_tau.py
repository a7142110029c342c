import math
import warnings
from fractions import Fraction

import numpy as np
import pytest

from learner.data.validation_cut import cut_validation
from learner.inference.certified_tau import (
    MAX_THRESHOLDS,
    boxes_needed,
    certify_tau,
    delta_of_attempt,
    error_p_value,
    images_needed,
    one_of_each,
    precision_lower_bound,
)


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


def at_most(delta, trials):
    """Three standard errors above a share that is delta."""
    return delta + 3 * (delta * (1 - delta) / trials) ** 0.5


SIZES = [(20, 1), (40, 4), (100, 1), (100, 4), (100, 10), (1000, 10), (5000, 4), (5000, 10)]


@pytest.mark.parametrize(("images", "size"), SIZES)
def test_the_promise_holds_for_images_in_groups(images, size):
    rng = np.random.default_rng([images, size])
    broken, trials = 0, 300 if images <= 1000 else 60
    for _ in range(trials):
        # All images of a group are alike: of one patient, all right or all wrong.
        score_G = rng.random(images // size)
        right_G = rng.random(images // size) < score_G
        items = [(group, score_G[group], right_G[group]) for group in range(images // size) for _ in range(size)]
        drawn = one_of_each(items, lambda item: str(item[0]), seed=0)
        found = certify_tau([score for _, score, _ in drawn], [right for *_, right in drawn])
        broken += found.is_certified and (1 + found.tau) / 2 < found.precision
    assert broken / trials <= at_most(0.2, trials)


def false_certificates(images, size, *, cut, trials=100, epochs=30, precision=0.84):
    """Share of trainings that get a certificate of .85, though every epoch of theirs is right in .84 only.

    The epoch that is right most often on validation is kept.
    """
    rng = np.random.default_rng([images, size])
    groups = {image: str(image // size) for image in range(images)}
    broken = 0
    for seed in range(trials):
        right_EG = rng.random((epochs, images // size)) < precision
        score_G = rng.random(images // size)
        choosing, certifying = cut_validation(groups, range(images), seed) if cut else (range(images),) * 2
        kept = right_EG[:, [image // size for image in choosing]].mean(axis=1).argmax()
        drawn = [image // size for image in one_of_each(certifying, groups.__getitem__, seed)]
        broken += certify_tau(score_G[drawn], right_EG[kept, drawn]).is_certified
    return broken / trials


@pytest.mark.parametrize(("images", "size"), [(20, 1), (100, 1), (400, 4), (1000, 10), (5000, 10)])
def test_the_half_that_did_not_choose_the_epoch_keeps_the_promise(images, size):
    assert false_certificates(images, size, cut=True) <= at_most(0.2, 100)


@pytest.mark.parametrize(("images", "size"), [(100, 1), (400, 4), (1000, 10)])
def test_images_that_chose_the_epoch_break_the_promise(images, size):
    assert false_certificates(images, size, cut=False) > at_most(0.2, 100)


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


@pytest.mark.parametrize(("accepted", "errors", "delta"), [(30, 0, 0.2), (52, 2, 0.1), (400, 37, 0.05), (3, 3, 0.2)])
def test_the_lower_bound_is_where_the_test_would_just_pass(accepted, errors, delta):
    bound = precision_lower_bound(accepted, errors, delta)
    if errors == accepted:
        assert bound == 0
        return
    assert bound < 1 - errors / accepted
    assert error_p_value(accepted, errors, bound) == pytest.approx(delta, rel=1e-6)


def test_what_is_certified_has_a_lower_bound_of_at_least_the_precision():
    scores = np.linspace(0, 1, 400)
    found = certify_tau(scores, scores > 0.3, precision=0.9, delta=0.1)
    assert found.lower_bound >= 0.9
    assert found.needed == 0
    nothing = certify_tau(scores, scores > 0.95, precision=0.9, delta=0.1)
    assert (nothing.lower_bound, nothing.accepted, nothing.errors) == (None, 400, 380)


@pytest.mark.parametrize("images", [0, 1, 2, 5, 10])
@pytest.mark.parametrize(("precision", "delta"), [(0.85, 0.2), (0.9, 0.1), (0.5, 0.5)])
def test_so_many_more_right_ones_are_just_enough(images, precision, delta):
    def certified(count):
        return certify_tau(np.linspace(0.5, 1, count), [True] * count, precision=precision, delta=delta)

    needed = certified(images).needed
    if certified(images).is_certified:
        assert needed == 0
        return
    assert certified(images + needed).is_certified
    assert not certified(images + needed - 1).is_certified


def test_the_more_errors_the_more_images_it_takes():
    counts = [images_needed(100, 20, errors, precision=0.85, delta=0.2) for errors in range(2, 21)]
    assert counts == sorted(counts)
    assert counts[0] > 0
    # A fifth of the images comes above the threshold, so it takes five for one.
    assert images_needed(101, 20, 4, precision=0.85, delta=0.2) % 5 == 0
    assert images_needed(10, 10, 10, precision=1 - 1e-9, delta=1e-9) > 10**9


def test_mapie_finds_no_looser_threshold():
    """Its p-values (Hoeffding and Bentkus) are never below the exact ones; its test goes from strict to loose too."""
    risk_control = pytest.importorskip("mapie.risk_control", reason="mapie is not installed")
    rng, compared = np.random.default_rng(7), 0
    for _ in range(20):
        scores = rng.random(400)
        right = rng.random(400) < scores**0.5
        ours = certify_tau(scores, right, precision=0.85, delta=0.2)
        grid = np.unique(np.quantile(scores, np.linspace(0, 1, MAX_THRESHOLDS), method="lower"))[::-1]
        grid = np.array([tau for tau in grid if (scores > tau).sum() >= 2 * boxes_needed(0.85, 0.2)])
        theirs = risk_control.BinaryClassificationController(
            lambda X: np.column_stack([1 - X[:, 0], X[:, 0]]),
            risk="precision",
            target_level=0.85,
            confidence_level=0.8,
            # Accepted there is what is not below, here what is above.
            list_predict_params=np.nextafter(grid, 1),
            fwer_method="fixed_sequence",
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.calibrate(scores[:, None], right.astype(int))
        valid = np.asarray(theirs.valid_predict_params, dtype=float)
        if len(valid):
            compared += 1
            assert valid.min() >= ours.tau
    assert compared >= 10


def test_the_shares_of_all_attempts_add_up():
    assert sum(delta_of_attempt(0.2, attempt) for attempt in range(1, 100_000)) == pytest.approx(0.2, rel=1e-4)
