from dataclasses import replace

import pytest

from db.errors import InvalidArgument
from learner.errors import StrategyUnknown
from learner.simulation.replay import BEGINNING, EVERYTHING, ReplayPlan, RoundRow
from learner.simulation.simulate import _result, iou_after, mean_over, plan_replays

FIRST = ReplayPlan(strategy="", seed=0, rounds=2, budget=5, start=0.1)


def row(number, minutes, iou, located=10):
    return RoundRow(number, located, minutes, {}, iou, iou, iou)


def test_what_was_reached_after_some_minutes_lies_on_a_line():
    rows = (row(0, 10, 0.2), row(1, 20, 0.4), row(2, 40, 0.5))
    assert [iou_after(rows, minutes) for minutes in (10, 15, 20, 30, 50)] == pytest.approx([0.2, 0.3, 0.4, 0.45, 0.5])
    assert iou_after(rows, 5) is None
    assert iou_after((row(0, 0, None), row(1, 10, 0.3)), 10) == 0.3
    assert iou_after((row(0, 0, None),), 10) is None


def test_a_mean_has_students_interval():
    found = mean_over([0.4, 0.5, 0.6])
    # t(.975, 2) = 4.3027, a deviation of .1 over the root of 3.
    assert (found.mean, found.n) == (pytest.approx(0.5), 3)
    assert found.ci95 == pytest.approx(4.3027 * 0.1 / 3**0.5, abs=1e-4)
    assert (mean_over([0.4, None]).ci95, mean_over([None])) == (None, None)


def test_strategies_are_compared_in_pairs():
    found = {
        ("random", 0): (row(0, 10, 0.2), row(1, 20, 0.4)),
        ("random", 1): (row(0, 10, 0.4), row(1, 20, 0.6)),
        ("entropy", 0): (row(0, 10, 0.2), row(1, 15, 0.5)),
        ("entropy", 1): (row(0, 10, 0.4), row(1, 15, 0.7)),
        (EVERYTHING, 0): (row(0, 60, 0.55),),
        (EVERYTHING, 1): (row(0, 60, 0.75),),
    }
    result = _result(found, 30)
    assert (result.seeds, result.held_back, result.all_boxes.iou.mean) == (2, 30, pytest.approx(0.65))
    baseline, entropy = result.strategies
    assert (baseline.strategy, baseline.same_boxes, baseline.same_minutes) == ("random", None, None)
    # Ahead by .1 with both seeds; after 15 minutes random had .3 and .5.
    assert (entropy.same_boxes.mean, entropy.same_boxes.ci95) == (pytest.approx(0.1), pytest.approx(0, abs=1e-9))
    assert entropy.same_minutes.mean == pytest.approx(0.2)
    assert entropy.short_of_all.mean == pytest.approx(0.05)
    assert (entropy.minutes_share, baseline.minutes_share) == (0.25, pytest.approx(1 / 3))


def test_random_and_all_boxes_are_always_there():
    plans = plan_replays(FIRST, ["entropy", "entropy"], 2)
    names = [(EVERYTHING, 0), (BEGINNING, 0), ("entropy", 2), ("random", 2)]
    assert [(plan.strategy, plan.rounds, plan.seed) for plan in plans] == [
        (*name, seed) for seed in (0, 1) for name in names
    ]


def test_a_cold_start_has_no_beginning_to_share():
    names = [plan.strategy for plan in plan_replays(replace(FIRST, start=0.0), ["entropy"], 1)]
    assert names == [EVERYTHING, "entropy", "random"]


@pytest.mark.parametrize(
    ("fields", "seeds", "error"),
    [({"rounds": 0}, 1, InvalidArgument), ({"budget": 0}, 1, InvalidArgument), ({"start": 1.0}, 1, InvalidArgument),
     ({}, 0, InvalidArgument)],
)  # fmt: skip
def test_what_makes_no_simulation_is_refused(fields, seeds, error):
    with pytest.raises(error):
        plan_replays(replace(FIRST, **fields), ["random"], seeds)


def test_an_unknown_strategy_is_refused_before_anything_is_trained():
    with pytest.raises(StrategyUnknown):
        plan_replays(FIRST, ["best"], 1)
