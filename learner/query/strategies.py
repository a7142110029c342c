"""Query strategies: in which order images should be asked for. Small pure functions by name.

A strategy is given a pool, how many images are wanted and a source of random numbers, and returns candidates in order,
the first to be asked first. It may return more than are wanted, and should: candidates of a group that is in the batch
already are passed over by the caller (`learner.query.batch`), and so is nobody's second image.

A strategy of one's own: a function like these in any installed package, named in its pyproject.toml:

    [project.entry-points."partly.strategies"]
    mine = "my_package:mine"

with the attributes `needs` (a frozenset of "features" and "model") and `about` (a line), both optional. It imports
what it is given and returns from `partly.strategies`.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from learner.errors import StrategyUnknown, StrategyUnusable
from learner.query.clusters import clusters_of, spread_out, typicality
from learner.query.pool import Choice, Pool

Choose = Callable[[Pool, int, Generator], Sequence[Choice]]

FEATURES, MODEL = "features", "model"
GROUP = "partly.strategies"
"""Entry points under this name are strategies, too."""
WIDER = 4
"""`mixed` spreads its choice over this many times as many uncertain images as are wanted (Yang et al. 2024, PPAL)."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy, and what it has to be given."""

    name: str
    choose: Choose
    about: str
    needs: frozenset[str] = frozenset()
    """`features` of the images, a `model` that has scored them, both or nothing."""


def random(pool: Pool, wanted: int, chance: Generator) -> list[Choice]:
    """Any order, every class in proportion to its share of the pool."""
    score_N = chance.random(len(pool))
    return [Choice(n, float(score_N[n]), "at random") for n in by_class(pool, np.argsort(score_N))]


def typical(pool: Pool, wanted: int, chance: Generator) -> list[Choice]:
    """The image most like its neighbours in each cluster of features, clusters without a known location first.

    Each class has clusters of its own, as many as it has known locations and images wanted of it.
    Source: Hacohen et al. 2022, Active learning on a budget: opposite strategies suit high and low budgets
    (TypiClust), arXiv:2202.02794.
    """
    feature_NF, known_MF = _features(pool)
    found: dict[int, Choice] = {}
    order_of_class: list[list[int]] = []
    for name, members in _classes(pool).items():
        known = [m for m, class_name in enumerate(pool.known_classes) if class_name == name]
        share = max(1, round(wanted * len(members) / max(1, len(pool))))
        both_PF = np.concatenate([feature_NF[members], known_MF[known]])
        cluster_P = clusters_of(both_PF, share + len(known), seed=int(chance.integers(2**31)))
        typical_P = typicality(both_PF, cluster_P)
        turns = _turns(cluster_P[: len(members)], cluster_P[len(members) :], typical_P[: len(members)])
        sizes = np.bincount(cluster_P)
        for n in turns:
            alike = int(sizes[cluster_P[n]])
            why = f"typical of {alike} alike" if alike > 1 else "like no other"
            found[members[n]] = Choice(members[n], float(typical_P[n]), why)
        order_of_class.append([members[n] for n in turns])
    return [found[n] for n in interleaved(order_of_class)]


def entropy(pool: Pool, wanted: int, chance: Generator) -> list[Choice]:
    """The least sure of the lesion's outline first: entropy over the lesion and a band around it.

    Source: Ma et al. 2024, Selective uncertainty-based active learning, arXiv:2401.16298.
    """
    score_N = _scores(pool, "entropy")
    return [Choice(int(n), float(score_N[n]), _unsure(pool, int(n))) for n in np.argsort(-score_N, kind="stable")]


def disagreement(pool: Pool, wanted: int, chance: Generator) -> list[Choice]:
    """The least agreed upon by the image's views first."""
    score_N = _scores(pool, "disagreement")
    order = np.argsort(-score_N, kind="stable")
    return [Choice(int(n), float(score_N[n]), f"its views disagree by {score_N[n]:.2f}") for n in order]


def clasp(pool: Pool, wanted: int, chance: Generator) -> list[Choice]:
    """Entropy, disturbed by noise that halves with every query, each class in proportion.

    The score is log entropy plus Gumbel noise, divided by 2 to the number of queries made before: a draw without
    replacement in proportion to a power of the entropy (Kirsch et al. 2023, arXiv:2106.12059), as in class-stratified
    scheduled power predictive entropy (arXiv:2601.13677).
    """
    power = 2.0 ** min(pool.round, 30)
    score_N = np.log(np.maximum(_scores(pool, "entropy"), 1e-9)) + chance.gumbel(size=len(pool)) / power
    order = by_class(pool, np.argsort(-score_N, kind="stable"))
    return [Choice(n, float(score_N[n]), _unsure(pool, n)) for n in order]


def mixed(pool: Pool, wanted: int, chance: Generator) -> list[Choice]:
    """Uncertain images that differ from each other: by entropy and disagreement, then spread over the features.

    Of each class four times its share are kept, the most uncertain; among them the first are drawn as k-means++
    draws its centres, far from each other and from those whose location is known.
    Source: Yang et al. 2024, Plug and play active learning for object detection (PPAL), arXiv:2211.11612.
    """
    feature_NF, known_MF = _features(pool)
    score_N = _scores(pool, "entropy") + _scores(pool, "disagreement")
    order = by_class(pool, np.argsort(-score_N, kind="stable"))
    first, rest = order[: WIDER * wanted], order[WIDER * wanted :]
    picked = spread_out(feature_NF[first], score_N[first], known_MF, chance)
    order = [*(first[n] for n in picked), *rest]
    return [Choice(n, float(score_N[n]), f"{_unsure(pool, n)}, unlike the others") for n in order]


def _about(choose: Choose) -> str:
    return (choose.__doc__ or "").strip().split("\n")[0]


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        name: Strategy(name, choose, _about(choose), frozenset(needs))
        for name, choose, needs in (
            ("random", random, ()),
            ("typical", typical, (FEATURES,)),
            ("entropy", entropy, (MODEL,)),
            ("disagreement", disagreement, (MODEL,)),
            ("clasp", clasp, (MODEL,)),
            ("mixed", mixed, (FEATURES, MODEL)),
        )
    }
)
"""Those that come with partly, by name."""


def find_strategy(name: str) -> Strategy:
    """Return a strategy by its name: one of partly's, or one that an installed package brings.

    Raises:
        StrategyUnknown: there is none; the message lists those there are.
        StrategyUnusable: the package that brings it cannot be imported.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    further = {point.name: point for point in entry_points(group=GROUP)}
    if name in further:
        return _imported(further[name])
    names = [*STRATEGIES, *further]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise StrategyUnknown(f"there is no query strategy {name!r}; {meant}there are: {', '.join(names)}")


def all_strategies() -> list[Strategy]:
    """Return all strategies, those of installed packages last; one that cannot be imported is left out."""
    found = list(STRATEGIES.values())
    for point in entry_points(group=GROUP):
        with suppress(StrategyUnusable):
            found.append(_imported(point))
    return found


def _imported(point: EntryPoint) -> Strategy:
    try:
        choose = point.load()
    except (ImportError, AttributeError) as exc:
        raise StrategyUnusable(
            f"the query strategy {point.name} ({point.value}) cannot be imported: {exc}; install its package again"
        ) from exc
    about = getattr(choose, "about", None) or _about(choose)
    return Strategy(point.name, _checked(point.name, choose), about, frozenset(getattr(choose, "needs", ())))


def _checked(name: str, choose: Choose) -> Choose:
    """Turn what goes wrong in somebody else's strategy into an error that names it."""

    def checked(pool: Pool, wanted: int, chance: Generator) -> Sequence[Choice]:
        try:
            choices = list(choose(pool, wanted, chance))
            positions = [choice.position for choice in choices]
        except Exception as exc:
            raise StrategyUnusable(f"the query strategy {name} failed: {type(exc).__name__}: {exc}") from exc
        wrong = [place for place in positions if place not in range(len(pool))]
        if wrong or len(set(positions)) < len(positions):
            what = f"names candidate {wrong[0]}" if wrong else "names a candidate twice"
            raise StrategyUnusable(f"the query strategy {name} {what}; there are {len(pool)}, counted from 0")
        return choices

    return checked


def by_class(pool: Pool, order_N: NDArray[np.intp]) -> list[int]:
    """Merge an order so that every stretch of it has the classes in proportion to their shares of the pool."""
    queues: dict[str | None, list[int]] = {}
    for n in order_N.tolist():
        queues.setdefault(pool.candidates[n].class_name, []).append(n)
    return interleaved(list(queues.values()))


def interleaved(queues: Sequence[Sequence[int]]) -> list[int]:
    """Merge queues, each spread evenly over the whole; of two that are due at once the longer comes first."""
    due = [
        ((n + 0.5) / len(queue), -len(queue), which, item)
        for which, queue in enumerate(queues)
        for n, item in enumerate(queue)
    ]
    return [item for _, _, _, item in sorted(due)]


def _classes(pool: Pool) -> dict[str | None, list[int]]:
    found: dict[str | None, list[int]] = {}
    for n, candidate in enumerate(pool.candidates):
        found.setdefault(candidate.class_name, []).append(n)
    return found


def _turns(cluster_N: NDArray[np.intp], known_M: NDArray[np.intp], typical_N: NDArray[np.float64]) -> list[int]:
    """Take one of each cluster in turn: first where fewest locations are known, of these the largest cluster."""
    known = np.bincount(known_M, minlength=int(cluster_N.max(initial=-1)) + 1)
    sizes = np.bincount(cluster_N, minlength=len(known))
    queues: dict[int, list[int]] = {}
    for n in np.argsort(-typical_N, kind="stable").tolist():
        queues.setdefault(int(cluster_N[n]), []).append(n)
    due = [
        (int(known[cluster]) + turn, -int(sizes[cluster]), cluster, n)
        for cluster, queue in queues.items()
        for turn, n in enumerate(queue)
    ]
    return [n for *_, n in sorted(due)]


def _features(pool: Pool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if pool.feature_NF is None:
        raise StrategyUnusable("this query strategy needs features of the images")
    known_MF = pool.known_MF
    return pool.feature_NF, np.zeros((0, pool.feature_NF.shape[1]), np.float32) if known_MF is None else known_MF


def _scores(pool: Pool, name: str) -> NDArray[np.float64]:
    values = [getattr(candidate, name) for candidate in pool.candidates]
    if any(value is None for value in values):
        raise StrategyUnusable("this query strategy needs a model that has scored the images")
    return np.array(values, dtype=np.float64)


def _unsure(pool: Pool, position: int) -> str:
    return f"unsure of its outline (entropy {pool.candidates[position].entropy:.2f})"
