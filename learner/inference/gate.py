"""The gate: the score that is compared with tau, and what tau may be. Pure.

A proposal passes where its score is *above* tau; one that equals tau does not.

Shape legend: V views, K classes, H W height and width.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from db.errors import InvalidArgument
from learner.config import Gate

GATES: tuple[str, ...] = get_args(Gate)
"""class: probability of the most probable class; agreement: agreement of views times probability of a finding."""

PRESENT_FROM = 0.5
"""Probability of a finding from which an image is said to have one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a model says about one image, as far as the gate asks."""

    class_probability_K: NDArray[np.float64]
    """Sums to 1."""
    agreement: float
    """Mean Dice over pairs of views, 0 to 1."""
    presence: float | None
    """Probability that there is something to find; None from a model that has no output for it."""
    has_boxes: bool
    """Whether a location is said, or that there is nothing to find."""


def gate_score(gate: str, said: Evidence, known_class: int | None = None) -> float:
    """Work out what is compared with tau: how sure a model is of what it says about an image's location.

    With `agreement` that is, for boxes, agreement of views times presence; that there is nothing to find is as sure
    as 1 - presence. How probable the class is does not enter: a surer "normal" must not make a box surer. Models
    without an output for presence are as sure of boxes as the views agree times the probability of the known class,
    and never say that there is nothing to find.

    Args:
        gate: `class` (probability of the most probable class, the paper's Eq. 7) or `agreement`.
        said: about the image.
        known_class: index of the image's class; None where it is not known, the most probable one then counts.

    Returns:
        0 to 1.
    """
    if not said.has_boxes and (gate == "class" or said.presence is None or said.presence >= PRESENT_FROM):
        # It does not say that there is nothing: it found no place for what it sees, or cannot tell.
        return 0.0
    if gate == "class":
        return float(said.class_probability_K.max())
    if said.presence is not None:
        return float(said.agreement * said.presence if said.has_boxes else 1 - said.presence)
    index = int(said.class_probability_K.argmax()) if known_class is None else known_class
    return float(said.agreement * said.class_probability_K[index])


def check_gate(gate: str) -> str:
    """Return the name of a gate.

    Raises:
        InvalidArgument: there is no such gate.
    """
    if gate not in GATES:
        raise InvalidArgument(f"--gate must be one of {', '.join(GATES)}, got {gate!r}")
    return gate


def check_tau(tau: float | str) -> float:
    """Return a threshold.

    Raises:
        InvalidArgument: it is not a number from 0 to 1.
    """
    threshold = float(tau)
    if not 0 <= threshold <= 1:
        raise InvalidArgument(f"--tau must be a number from 0 to 1, or auto; got {tau}")
    return threshold


def parse_tau(text: str | None) -> float | str | None:
    """Parse --tau: a number, `auto`, or None for the run's own.

    Raises:
        InvalidArgument: it is neither.
    """
    if text is None or text == "auto":
        return text
    try:
        return check_tau(float(text))
    except ValueError:
        raise InvalidArgument(f"--tau must be a number from 0 to 1, or auto; got {text!r}") from None


@dataclass(frozen=True, slots=True)
class Promise:
    """What `--tau auto` has to certify."""

    precision: float = 0.85
    """Share of the proposals above tau that are right, between 0 and 1."""
    confidence: float = 0.8
    """Chance that this holds, between 0 and 1."""

    def __post_init__(self) -> None:
        for name in ("precision", "confidence"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InvalidArgument(f"--{name} must be above 0 and below 1, such as 0.9; got {value:g}")

    @property
    def delta(self) -> float:
        """Accepted chance that the promise is wrong."""
        return round(1 - self.confidence, 12)


def parse_promise(tau: float | str | None, precision: float | None, confidence: float | None) -> Promise:
    """Put together what `--precision` and `--confidence` ask for; None for the defaults.

    Raises:
        InvalidArgument: they are out of range, or stand beside a threshold about which nothing is certified.
    """
    asked = {"precision": precision, "confidence": confidence}
    given = {name: value for name, value in asked.items() if value is not None}
    if given and tau != "auto":
        raise InvalidArgument(f"--{next(iter(given))} applies only to --tau auto; add --tau auto")
    return Promise(**given)


def pairwise_dice(masks_VHW: NDArray[np.bool_]) -> float:
    """Mean Dice over all pairs of V masks: how much several views of one image agree; 0 if the first is empty."""
    views = len(masks_VHW)
    if not masks_VHW[0].any():
        return 0.0
    if views == 1:
        return 1.0
    # Only what some view has: a lesion is a small part of an image. Counts up to 2^24 are exact in float32.
    flat_VP = masks_VHW[:, masks_VHW.any(axis=0)].astype(np.float32)
    both_VV = (flat_VP @ flat_VP.T).astype(np.float64)
    size_V = np.diag(both_VV)
    total_VV = size_V[:, None] + size_V[None, :]
    # Two masks with nothing in them are the same.
    dice_VV = np.divide(2 * both_VV, total_VV, out=np.ones_like(both_VV), where=total_VV > 0)
    return float((dice_VV.sum() - views) / (views * (views - 1)))
