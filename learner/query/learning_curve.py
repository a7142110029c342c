"""How IoU grows with the number of known locations: a power law through the rounds, and what it promises. Pure.

Shape legend: R rounds, D draws of groups of images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST = 3
"""Rounds that a curve with three unknowns takes at least."""
STEEPEST, FLATTEST = 2.0, 0.1
"""Powers between which learning curves lie: beyond them a fit follows the noise of a few points."""


@dataclass(frozen=True, slots=True)
class Curve:
    """IoU after n locations: limit - scale * n^-power.

    Source: Hestness et al. 2017, Deep learning scaling is predictable, empirically, arXiv:1712.00409.
    """

    limit: float
    """What it approaches, 0 to 1."""
    scale: float
    power: float

    def iou(self, located: float) -> float:
        """Return the IoU after so many locations."""
        return float(self.limit - self.scale * max(located, 1.0) ** -self.power)

    def located_for(self, iou: float) -> float | None:
        """Return the locations that an IoU takes; None where the curve never comes to it."""
        if iou >= self.limit or not self.scale:
            return None
        return float((self.scale / (self.limit - iou)) ** (1 / self.power))


def fit_curve(located_R: Sequence[float], iou_R: Sequence[float]) -> Curve | None:
    """Fit a power law by least squares; None with fewer than three different numbers of locations.

    For a given power the curve is linear in the other two, so the powers are tried one by one.
    """
    located = np.asarray(located_R, dtype=float)
    iou = np.asarray(iou_R, dtype=float)
    if len(np.unique(located)) < LEAST:
        return None
    best: tuple[float, Curve] | None = None
    for power in np.geomspace(FLATTEST, STEEPEST, 40):
        curve = _fit_with(located, iou, float(power))
        error = float(sum((curve.iou(n) - value) ** 2 for n, value in zip(located, iou, strict=True)))
        if best is None or error < best[0] - 1e-15:
            best = (error, curve)
    return best[1] if best is not None else None


def _fit_with(located_R: NDArray[np.float64], iou_R: NDArray[np.float64], power: float) -> Curve:
    fallen_R = np.maximum(located_R, 1.0) ** -power
    spread = fallen_R - fallen_R.mean()
    scale = float(-(spread @ (iou_R - iou_R.mean())) / (spread @ spread))
    limit = float(iou_R.mean() + scale * fallen_R.mean())
    if scale < 0:
        # More locations do no harm in truth, only in the noise.
        return Curve(float(iou_R.mean()), 0.0, power)
    if limit > 1:
        scale = float(((1 - iou_R) @ fallen_R) / (fallen_R @ fallen_R))
        return Curve(1.0, scale, power)
    return Curve(limit, scale, power)


def band(curves: Sequence[Curve], located: float) -> tuple[float, float]:
    """Return the 95% interval of the IoU after so many locations, over draws."""
    low, high = np.quantile([curve.iou(located) for curve in curves], [0.025, 0.975])
    return float(low), float(high)
