import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.errors import StrategyUnknown, StrategyUnusable
from learner.query import strategies
from learner.query.pool import Candidate, Choice, Pool
from learner.query.strategies import STRATEGIES, all_strategies, by_class, find_strategy, interleaved


def pool_of(classes="aaab", features=None, known=None, known_classes=(), entropy=None, disagreement=None, round=0):
    entropy = entropy or [0.5] * len(classes)
    disagreement = disagreement or [0.5] * len(classes)
    return Pool(
        [
            Candidate(n + 1, str(n), name, h, d)
            for n, (name, h, d) in enumerate(zip(classes, entropy, disagreement, strict=True))
        ],
        feature_NF=np.array(features, dtype=np.float32) if features is not None else None,
        known_MF=np.array(known, dtype=np.float32) if known is not None else None,
        known_classes=known_classes,
        round=round,
    )


def ask(name, pool, wanted=2, seed=0):
    return list(find_strategy(name).choose(pool, wanted, np.random.default_rng(seed)))


def towards(*degrees):
    return [[np.cos(np.radians(angle)), np.sin(np.radians(angle))] for angle in degrees]


@given(
    classes=st.lists(st.sampled_from(["benign", "malignant", None]), min_size=1, max_size=25),
    name=st.sampled_from(sorted(STRATEGIES)),
    seed=st.integers(0, 50),
    wanted=st.integers(1, 30),
    known=st.integers(0, 4),
)
def test_every_strategy_names_every_candidate_once_and_the_same_ones_again(classes, name, seed, wanted, known):
    drawn = np.random.default_rng(seed)
    vectors = drawn.normal(size=(len(classes) + known, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pool = pool_of(
        classes,
        features=vectors[: len(classes)],
        known=vectors[len(classes) :],
        known_classes=["benign"] * known,
        entropy=drawn.random(len(classes)).tolist(),
        disagreement=drawn.random(len(classes)).tolist(),
    )
    found = ask(name, pool, wanted, seed)
    assert sorted(choice.position for choice in found) == list(range(len(classes)))
    assert found == ask(name, pool, wanted, seed)
    assert all(np.isfinite(choice.score) and choice.reason for choice in found)


def test_queues_are_merged_in_proportion():
    # Due at 1/8, 3/8, 5/8, 7/8 and at 1/4, 3/4.
    assert interleaved([[1, 2, 3, 4], [10, 20]]) == [1, 10, 2, 3, 20, 4]
    assert interleaved([]) == []


def test_the_order_within_a_class_stays():
    assert by_class(pool_of("abab"), np.array([3, 2, 1, 0])) == [3, 2, 1, 0]
    assert by_class(pool_of("aaab"), np.array([0, 1, 2, 3])) == [0, 1, 3, 2]


def test_random_has_every_class_in_proportion():
    pool = pool_of("a" * 30 + "b" * 10)
    for seed in range(5):
        first = [pool.candidates[choice.position].class_name for choice in ask("random", pool, 8, seed)[:8]]
        assert first.count("b") == 2
    assert ask("random", pool, 8, 0) != ask("random", pool, 8, 1)


def test_entropy_asks_for_the_least_sure_first():
    found = ask("entropy", pool_of("aaab", entropy=[0.1, 0.9, 0.4, 0.9]))
    assert [choice.position for choice in found] == [1, 3, 2, 0]
    assert found[0].reason == "unsure of its outline (entropy 0.90)"


def test_disagreement_asks_for_the_least_agreed_first():
    found = ask("disagreement", pool_of("aaab", disagreement=[0.1, 0.2, 0.8, 0.0]))
    assert [choice.position for choice in found] == [2, 1, 0, 3]


def test_typical_takes_the_middle_of_each_cluster():
    pool = pool_of("aaaaaa", features=towards(0, 10, 20, 90, 100, 110))
    found = ask("typical", pool, 2)
    assert {choice.position for choice in found[:2]} == {1, 4}
    assert found[0].reason == "typical of 3 alike"


def test_typical_begins_where_no_location_is_known():
    pool = pool_of("aaaaaa", features=towards(0, 10, 20, 90, 100, 110), known=towards(5), known_classes=["a"])
    # Two clusters for one image wanted and one known: the second has nothing known in it.
    assert ask("typical", pool, 1)[0].position == 4


def test_typical_looks_at_each_class_apart():
    pool = pool_of("aaabbb", features=towards(0, 10, 20, 0, 10, 20))
    assert {choice.position for choice in ask("typical", pool, 2)[:2]} == {1, 4}


def test_the_noise_of_clasp_halves_with_every_query():
    entropy = [0.9, 0.5, 0.3, 0.1]

    def misplaced(round):
        pool = pool_of("aaaa", entropy=entropy, round=round)
        return sum(ask("clasp", pool, 1, seed)[0].position != 0 for seed in range(200))

    # Of a draw in proportion to the entropy itself the first is 0.9 / 1.8; to its square, .81 / 1.16.
    assert misplaced(0) == pytest.approx(100, abs=25)
    assert misplaced(1) == pytest.approx(200 * (1 - 0.81 / 1.16), abs=22)
    assert misplaced(12) == 0


def test_mixed_takes_no_two_alike():
    # The two least sure look the same; the third is elsewhere.
    pool = pool_of("aaa", features=towards(0, 0, 90), entropy=[0.9, 0.89, 0.6])
    for seed in range(20):
        first = {choice.position for choice in ask("mixed", pool, 2, seed)[:2]}
        assert first in ({0, 2}, {1, 2})


def test_mixed_keeps_away_from_what_is_known():
    pool = pool_of("aa", features=towards(0, 90), known=towards(0), known_classes=["a"], entropy=[0.9, 0.5])
    assert all(ask("mixed", pool, 1, seed)[0].position == 1 for seed in range(20))


def test_mixed_passes_over_the_sure():
    count = 40
    pool = pool_of("a" * count, features=towards(*range(count)), entropy=[0.9] * 4 + [0.1] * (count - 4))
    assert ask("mixed", pool, 1)[0].position < 4


def test_an_unknown_strategy_is_refused_with_those_there_are():
    with pytest.raises(StrategyUnknown, match="'hardest'; there are: random, typical, entropy"):
        find_strategy("hardest")


def newest(pool, wanted, chance):
    """The newest image first.

    More than a line.
    """
    return [Choice(n, float(n), "new") for n in reversed(range(len(pool)))]


newest.needs = frozenset({"features"})


def test_a_package_can_bring_a_strategy(monkeypatch):
    points = [EntryPoint("newest", f"{__name__}:newest", strategies.GROUP), EntryPoint("gone", "no_such:thing", "x")]
    monkeypatch.setattr(strategies, "entry_points", lambda group: points if group == strategies.GROUP else [])
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    found = find_strategy("newest")
    assert (found.about, found.needs) == ("The newest image first.", {"features"})
    assert [choice.position for choice in found.choose(pool_of("aa"), 1, None)] == [1, 0]
    assert [item.name for item in all_strategies()] == [*STRATEGIES, "newest"]
    with pytest.raises(StrategyUnusable, match=r"gone \(no_such:thing\) cannot be imported"):
        find_strategy("gone")
    with pytest.raises(StrategyUnknown, match="mixed, newest, gone"):
        find_strategy("other")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda pool: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda pool: [1, 2], "failed: AttributeError"),
        (lambda pool: [Choice(7, 0.0, "far")], "names candidate 7; there are 2, counted from 0"),
        (lambda pool: [Choice(0, 0.0, "a"), Choice(0, 0.0, "b")], "names a candidate twice"),
    ],
)
def test_what_goes_wrong_in_a_strategy_of_a_package_is_named(monkeypatch, answer, says):
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "theirs", lambda pool, wanted, chance: answer(pool), raising=False)
    point = EntryPoint("theirs", f"{__name__}:theirs", strategies.GROUP)
    monkeypatch.setattr(strategies, "entry_points", lambda group: [point])
    with pytest.raises(StrategyUnusable, match=f"the query strategy theirs {says}"):
        ask("theirs", pool_of("aa"))


@pytest.mark.parametrize("name", ["typical", "mixed"])
def test_a_strategy_without_its_features_says_so(name):
    with pytest.raises(StrategyUnusable, match="needs features"):
        ask(name, pool_of("aa"))


@pytest.mark.parametrize("name", ["entropy", "clasp"])
def test_a_strategy_without_a_model_says_so(name):
    pool = Pool([Candidate(1, "1", "a")])
    with pytest.raises(StrategyUnusable, match="needs a model"):
        ask(name, pool)
