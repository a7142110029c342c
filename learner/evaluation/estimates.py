"""A metric over several trainings, as the tables of `partly bench` show it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of a metric over trainings."""

    mean: float | None
    """None where no training has it."""
    ci95: float | None
    """Half the width of the 95% confidence interval over seeds; None for fewer than two. All seeds are tested on the
    same images, so it says nothing about other images."""
    n: int
    """Trainings that have it."""
    paper: float | None
    """The paper's own number, where it gives one."""


@dataclass(frozen=True, slots=True)
class ComparedEstimate(Estimate):
    """The mean of a metric with what the images alone leave open, and a test of it."""

    over_images: tuple[float, float] | None
    """95% interval over groups of test images."""
    p: float | None
    """Two-sided p-value of the difference from the reference, after Holm; None for the reference itself."""


def half_width(values: Sequence[float]) -> float | None:
    """Half the width of the 95% confidence interval of a mean (Student's t); None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values)))
