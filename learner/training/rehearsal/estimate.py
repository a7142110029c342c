"""From a few measured steps to what a whole training takes: pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.1
"""What is added to both ends of a range: machines are not always equally busy."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Something that was measured a few times."""

    seconds: tuple[float, ...]
    """Of each time, in order; never empty."""
    alone: float | None = None
    """Seconds that one of them would take if nothing else ran on this machine; None where that is not known."""

    @property
    def mean(self) -> float:
        """Mean, in seconds."""
        return sum(self.seconds) / len(self.seconds)

    @property
    def low(self) -> float:
        """Lower end of a range for the mean: the quickest, or one on an idle machine, less the margin, in seconds."""
        quickest = min(self.seconds)
        return (quickest if self.alone is None else min(quickest, self.alone)) * (1 - MARGIN)

    @property
    def high(self) -> float:
        """Upper end of a range for the mean: the slowest one, and the margin, in seconds."""
        return max(self.seconds) * (1 + MARGIN)


@dataclass(frozen=True, slots=True)
class PartEstimate:
    """One part of a training run: the same thing, so many times."""

    part: str
    """`setup`, `decoding`, `stage 1`, `stage 2`, `validation`, `checkpoints` or `scoring`."""
    count: int
    """Steps, images, or checkpoints."""
    epochs: int | None
    """Of a stage; None for other parts."""
    measured: int
    """How many of them were actually run."""
    seconds_each: float
    seconds: float
    low: float
    """Lower end of the likely range of the total seconds."""
    high: float


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    """What a training run would take on this machine, in this process alone."""

    device: str
    seconds: float
    low: float
    """Lower end of the likely range, seconds."""
    high: float
    memory_bytes: int
    """Peak memory in use: of the GPU if there is one, else of this process."""
    memory_of: str
    """`gpu` or `process`."""
    parts: tuple[PartEstimate, ...]
    weights: str
    """Where the initial weights would come from."""


def part_estimate(part: str, count: int, timed: Timed, *, epochs: int | None = None, each: int = 1) -> PartEstimate:
    """Estimate a part from what was measured.

    Args:
        part: its name.
        count: how many there are in the whole training.
        timed: what was measured.
        epochs: of a stage.
        each: how many of them were done in each measurement.
    """
    times = count / each
    return PartEstimate(
        part=part,
        count=count,
        epochs=epochs,
        measured=len(timed.seconds) * each,
        seconds_each=timed.mean / each,
        seconds=times * timed.mean,
        low=times * timed.low,
        high=times * timed.high,
    )


def total_estimate(
    parts: Sequence[PartEstimate], *, device: str, memory_bytes: int, memory_of: str, weights: str
) -> TrainingEstimate:
    """Put the parts together, those left out that nothing of is to be done."""
    kept = tuple(part for part in parts if part.count)
    seconds, low, high = (sum(getattr(part, name) for part in kept) for name in ("seconds", "low", "high"))
    return TrainingEstimate(device, seconds, low, high, memory_bytes, memory_of, kept, weights)
