"""Which images a training would see, counted by split, class and what is known of their location."""

from collections import Counter
from dataclasses import dataclass

from db.records import LocationStatus
from learner.data.examples import Examples
from learner.data.location_share import examples_with_share
from learner.training.prepare import Plan


@dataclass(frozen=True, slots=True)
class SeenImages:
    """Images of one class in one split of a training run."""

    split: str
    """`train` or `val`."""
    class_name: str | None
    """None if it is not known."""
    located: int
    """With something at a known location."""
    empty: int
    """Known to be empty."""
    unknown: int
    """With a location that is unknown, or hidden by `location_share`."""

    @property
    def images(self) -> int:
        """All of them."""
        return self.located + self.empty + self.unknown


def count_seen(plan: Plan) -> list[SeenImages]:
    """Count the images of a planned training; test images are not among them."""
    shown = {
        name: examples_with_share(examples, plan.config.location_share, plan.config.seed)
        for name, examples in (("train", plan.data.train), ("val", plan.data.val))
    }
    return [row for split, examples in shown.items() for row in _of_split(split, examples)]


def _of_split(split: str, examples: Examples) -> list[SeenImages]:
    counts = Counter(zip(examples.class_names, examples.statuses, strict=True))
    names = sorted({name for name, _ in counts}, key=lambda name: (name is None, name or ""))
    kinds = (LocationStatus.PRESENT, LocationStatus.EMPTY, LocationStatus.UNKNOWN)
    return [SeenImages(split, name, *(counts[name, kind] for kind in kinds)) for name in names]
