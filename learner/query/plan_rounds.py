"""The planning use-case: what the next boxes are worth, what a target takes, and whether to go on at all.

All rounds' runs are measured on the same validation images, those whose location is known now, so that they compare in
pairs. Intervals come from drawing groups of these images; all runs are measured on the same draw.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.curation.leakage import group_names
from db.errors import InvalidArgument
from db.imaging.geometry import boxes_iou
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Split, run_name
from db.registry import Registry
from learner.checkpoint import is_there
from learner.errors import CheckpointIncompatible, DataInvalid
from learner.evaluation.evaluate import evaluate_run
from learner.evaluation.per_image import read_results
from learner.evaluation.significance import drawn_weights
from learner.evaluation.weighted import weighted_mean
from learner.query.learning_curve import LEAST, Curve, band, fit_curve
from learner.query.rounds import NO_ROUND

DRAWS = 300
LAST = 2
"""Rounds whose gain says whether to go on."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One round's run, scored on the validation images known now."""

    round: int
    run: str
    located: int
    """Number of locations it was trained on."""
    iou: float
    low: float
    """Lower end of the 95% interval over groups of images."""
    high: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What a number of further locations is expected to bring."""

    boxes: int
    located: int
    """Total number of locations then."""
    iou: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    minutes: float | None
    """At the pace of the reviews so far; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Target:
    """What reaching an IoU is expected to take."""

    iou: float
    located: int | None
    """None if the curve never reaches it."""
    boxes: int | None
    """In addition to those known."""
    minutes: float | None
    reached: float
    """Share of the draws in which the curve reaches it at all."""


@dataclass(frozen=True, slots=True)
class RecentGain:
    """What the last rounds gained."""

    rounds: int
    gain: float
    low: float
    high: float
    below_noise: bool
    """Whether the interval includes a gain of zero."""


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """What is known about the loop, and what to expect from it."""

    images: int
    """Validation images that all of this is based on."""
    points: tuple[CurvePoint, ...]
    curve: Curve | None
    """None with fewer than three rounds."""
    next: Expected | None
    target: Target | None
    recent: RecentGain | None
    """None with fewer than three rounds."""
    advice: str


def plan_rounds(
    registry: Registry, *, boxes: int = 50, target_iou: float | None = None, progress: Progress | None = None
) -> LoopPlan:
    """Fit a learning curve to the rounds, and say what to expect of further ones.

    Args:
        registry: where the rounds are.
        boxes: locations that the next round would add.
        target_iou: what is wanted, above 0 and below 1; None: nothing in particular.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: boxes or target are out of range.
        DataInvalid: no round has trained anything, or no validation image with a lesion is known.
    """
    if boxes < 1:
        raise InvalidArgument(f"--boxes must be at least 1, got {boxes}")
    if target_iou is not None and not 0 < target_iou < 1:
        raise InvalidArgument(f"--target-iou must be above 0 and below 1, got {target_iou:g}")
    progress = progress or SilentProgress()
    located, measures, groups = _measures(registry, progress)
    one_N = np.ones(len(groups))
    draws = [_on(measures, weights_N) for weights_N in drawn_weights(groups, 0, DRAWS)]
    values = _on(measures, one_N)
    points = tuple(
        CurvePoint(number, run, count, values[n], *_interval([drawn[n] for drawn in draws]))
        for n, (number, run, count) in enumerate(located)
    )
    counts = [point.located for point in points]
    curve = fit_curve(counts, values)
    curves = [fitted for drawn in draws if (fitted := fit_curve(counts, drawn)) is not None]
    minutes = _minutes_a_review(registry)
    recent = _recent(values, draws)
    expected = _expected(curve, curves, counts[-1], boxes, minutes) if curve is not None and curves else None
    target = _target(curve, curves, counts[-1], target_iou, minutes) if curve is not None and target_iou else None
    return LoopPlan(len(groups), points, curve, expected, target, recent, _advice(len(points), recent, expected))


Measure = Callable[[NDArray[np.float64]], float | None]


def _measures(registry: Registry, progress: Progress) -> tuple[list[tuple[int, str, int]], list[Measure], list[str]]:
    """Measure every round's run on validation; runs whose checkpoint is gone are left out and named."""
    with registry.read() as tx:
        rounds, groups = tx.asked.rounds(), group_names(tx)
        images = {image.id: image for image in tx.images.select(splits=[Split.VAL], located=True)}
    runs: list[tuple[int, str, int]] = []
    ious: list[dict[int, float]] = []
    for item in rounds:
        if item.run_id is None or any(run_name(item.run_id) == run for _, run, _ in runs):
            continue
        name = run_name(item.run_id)
        try:
            ious.append(_ious(registry, name, images, progress))
        except CheckpointIncompatible as exc:
            progress.say(f"{name} is left out: {exc}")
            continue
        runs.append((item.id, name, item.located))
    if not runs:
        raise DataInvalid(NO_ROUND)
    ids = sorted(set.intersection(*(set(found) for found in ious)))
    if not ids:
        raise DataInvalid("no validation image has a known lesion that all rounds can be judged on; review some first")
    measures = [weighted_mean(np.array([found[key] for key in ids])) for found in ious]
    return runs, measures, [groups[key] for key in ids]


def _ious(registry: Registry, run: str, images: Mapping[int, ImageRecord], progress: Progress) -> dict[int, float]:
    """Compare what a run said about validation images with what is known now; it is asked only where it has not been.

    Returns:
        By image, of those with a lesion.

    Raises:
        CheckpointIncompatible: it would have to be asked, and its checkpoint is gone.
    """
    with registry.read() as tx:
        folder = tx.runs.get(run).checkpoint
    rows = read_results(folder, Split.VAL) if folder is not None and is_there(folder) else None
    if rows is None or not set(images) <= {row.image for row in rows}:
        rows = list(evaluate_run(registry, run=run, split=Split.VAL, progress=progress).rows)
    known = [(row.image, row.boxes or ()) for row in rows if row.image is not None and row.image in images]
    return {key: boxes_iou(boxes, images[key].boxes) for key, boxes in known if images[key].boxes}


def _on(measures: Sequence[Measure], weights_N: NDArray[np.float64]) -> list[float]:
    return [measure(weights_N) or 0.0 for measure in measures]


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _minutes_a_review(registry: Registry) -> float | None:
    with registry.read() as tx:
        seconds = [review.seconds for review in tx.reviews.all() if review.seconds is not None]
    return float(np.mean(seconds)) / 60 if seconds else None


def _recent(values: Sequence[float], draws: Sequence[Sequence[float]]) -> RecentGain | None:
    if len(values) <= LAST:
        return None
    low, high = _interval([drawn[-1] - drawn[-1 - LAST] for drawn in draws])
    return RecentGain(LAST, values[-1] - values[-1 - LAST], low, high, below_noise=low <= 0)


def _expected(curve: Curve, curves: Sequence[Curve], located: int, boxes: int, minutes: float | None) -> Expected:
    after = located + boxes
    gains = [one.iou(after) - one.iou(located) for one in curves]
    return Expected(
        boxes,
        after,
        curve.iou(after),
        *band(curves, after),
        curve.iou(after) - curve.iou(located),
        *_interval(gains),
        boxes * minutes if minutes is not None else None,
    )


def _target(curve: Curve, curves: Sequence[Curve], located: int, iou: float, minutes: float | None) -> Target:
    wanted = curve.located_for(iou)
    reached = float(np.mean([one.located_for(iou) is not None for one in curves])) if curves else 0.0
    if wanted is None:
        return Target(iou, None, None, None, reached)
    boxes = max(0, int(np.ceil(wanted)) - located)
    return Target(iou, int(np.ceil(wanted)), boxes, boxes * minutes if minutes is not None else None, reached)


def _advice(rounds: int, recent: RecentGain | None, expected: Expected | None) -> str:
    if rounds < LEAST or recent is None or expected is None:
        return f"{rounds} of the {LEAST} rounds that a learning curve needs; run another: partly round"
    gained = (
        f"the last {recent.rounds} rounds gained {recent.gain:+.3f} in IoU ({recent.low:+.3f} to {recent.high:+.3f})"
    )
    if recent.below_noise:
        return f"{gained}, which may be due to chance: consider stopping, or what else could help"
    return (
        f"{gained}; {expected.boxes} more boxes are expected to add {expected.gain:+.3f} "
        f"({expected.gain_low:+.3f} to {expected.gain_high:+.3f})"
    )
