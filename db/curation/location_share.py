"""Which of the known locations a trial may use, where it is to see only a share of them; pure."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable


def choose_located(
    images: Iterable[tuple[str, str]], share: float, seed: int, *, rounded: Callable[[float], int] = round
) -> set[str]:
    """Choose a share of the located images, stratified by class. A smaller share lies within a larger one.

    Args:
        images: name and class of every located image; names are unique.
        share: of every class, 0 to 1.
        seed: the same seed and images give the same choice, in whatever order they come.
        rounded: how a share of a class becomes a whole number of images.

    Returns:
        The names of the images whose location is used.
    """
    by_class: dict[str, list[str]] = defaultdict(list)
    for name, class_name in images:
        by_class[class_name].append(name)
    kept: set[str] = set()
    for class_name, names in by_class.items():
        # All of them in random order, and from its beginning as many as are wanted: so shares are nested.
        order = random.Random(f"{seed}/{class_name}").sample(sorted(names), len(names))
        kept.update(order[: rounded(share * len(names))])
    return kept
