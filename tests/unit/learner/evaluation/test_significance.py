import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.evaluation.significance import drawn_weights, holm, paired_test, share_interval, statistic_interval
from learner.evaluation.weighted import weighted_mean


def test_a_difference_of_runs_that_are_alike_is_found_as_often_as_promised_in_groups():
    rng = np.random.default_rng(0)
    groups = [str(n // 8) for n in range(160)]
    found, trials = 0, 120
    for trial in range(trials):
        # Two runs of the same quality: in a group of 8 either gets all images right or all wrong.
        first, second = (np.repeat(rng.random(20) < 0.8, 8).astype(float) for _ in range(2))
        p = paired_test(weighted_mean(first), weighted_mean(second), groups, seed=trial, draws=200)
        found += p is not None and p <= 0.05
    # Images taken for independent would give .45; two standard errors of .05 in 120 trials are .04.
    assert found / trials <= 0.05 + 0.04


def test_what_cannot_be_measured_is_not_tested():
    assert paired_test(lambda _: None, lambda _: 1.0, ["a", "b"]) is None
    assert paired_test(lambda _: 0.0, lambda _: 1.0, ["a", "a"]) is None
    # The same runs never differ.
    assert paired_test(lambda w: float(w[0]), lambda w: float(w[0]), ["a", "b"], draws=50) == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_helps(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = rng.normal(0.3, 1, 60)
        low, high = statistic_interval(weighted_mean(values), [str(n) for n in range(60)], seed=trial, draws=400)
        covered += low <= 0.3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_a_share_of_a_few_images_is_never_known_exactly():
    ten = [str(n) for n in range(10)]
    assert share_interval(weighted_mean(np.ones(10)), ten) == pytest.approx((0.6915, 1.0), abs=1e-4)
    assert share_interval(weighted_mean(np.zeros(10)), ten) == pytest.approx((0.0, 0.3085), abs=1e-4)
    # Ten images of two patients are two trials.
    assert share_interval(weighted_mean(np.ones(10)), ["a", "b"] * 5) == pytest.approx((0.1581, 1.0), abs=1e-4)
    assert share_interval(weighted_mean(np.ones(10)), ["a"] * 10) is None


@pytest.mark.parametrize("true", [0.05, 0.5, 0.9])
def test_the_interval_of_a_share_of_a_few_images_covers_it(true):
    rng = np.random.default_rng(3)
    ten, covered = [str(n) for n in range(10)], 0
    for trial in range(200):
        low, high = share_interval(weighted_mean((rng.random(10) < true).astype(float)), ten, seed=trial)
        covered += low <= true <= high
    assert covered / 200 >= 0.88


def test_images_of_one_group_are_not_independent():
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=12), 10)
    groups = np.repeat([f"patient {n}" for n in range(12)], 10).tolist()
    low, high = statistic_interval(weighted_mean(values), groups)
    naive_low, naive_high = statistic_interval(weighted_mean(values), [str(n) for n in range(120)])
    assert high - low > 2 * (naive_high - naive_low)
    assert statistic_interval(weighted_mean(np.array([1.0, 2.0])), ["a", "a"]) is None


def test_a_difference_is_found_and_none_is_not():
    rng = np.random.default_rng(2)
    base, groups = rng.normal(size=80), [str(n) for n in range(80)]
    better = base + 0.5 + rng.normal(0, 0.5, 80)
    other = base + rng.normal(0, 0.5, 80)
    assert paired_test(weighted_mean(better), weighted_mean(base), groups) < 0.01
    assert paired_test(weighted_mean(other), weighted_mean(base), groups) > 0.05
    assert paired_test(weighted_mean(base), weighted_mean(base), groups) == 1.0


def test_the_p_value_is_honest_where_there_is_no_difference():
    rng = np.random.default_rng(3)
    found = [
        paired_test(weighted_mean(rng.normal(size=40)), weighted_mean(rng.normal(size=40)), [str(n) for n in range(40)],
                    seed=trial, draws=300)
        for trial in range(200)
    ]  # fmt: skip
    assert np.mean(np.array(found) < 0.05) < 0.12


def test_drawing_does_not_take_memory_for_all_draws_at_once():
    """20,000 groups, 2,000 draws: 320 MB of numbers, of which one draw at a time is there."""
    import itertools
    import tracemalloc

    groups = [str(n) for n in range(20_000)]
    tracemalloc.start()
    for weights_N in itertools.islice(drawn_weights(groups, 0, 2000), 3):
        assert weights_N.sum() == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20
