"""A reviewer as numbers: what is said about an image, how long that takes, and how often it is wrong. Pure.

The seconds are of people who draw and check boxes on photographs; of experts with medical images little is published.
Take your own from `partly review`, and pass them on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from numpy.random import Generator

from db.errors import InvalidArgument
from db.imaging.geometry import boxes_iou
from db.records import Box, Location, LocationStatus


class Said(StrEnum):
    """What a reviewer did."""

    ACCEPTED = "accepted"
    EDITED = "edited"
    DRAWN = "drawn"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody who answers questions; times in seconds, shares from 0 to 1."""

    accept_s: float = 1.8
    """To look at a box and say yes. Konyushkova et al. 2018, arXiv:1712.08087, who take it from Papadopoulos et al.
    2016, arXiv:1602.08405."""
    draw_s: float = 25.5
    """To draw a box. Su, Deng and Fei-Fei 2012, Crowdsourcing annotations for visual object detection; with four
    clicks on the extremes 7.0 (Papadopoulos et al. 2017, arXiv:1708.02750)."""
    edit_s: float = 25.5
    """To correct a box; as long as drawing one, since nothing is published that says it takes less."""
    nothing_s: float = 1.8
    """To say that there is nothing to find; as long as to look at a box."""
    fits_iou: float = 0.7
    """A proposal that overlaps the truth at least this much is accepted as it is."""
    wrong_accepts: float = 0.0
    """Share of the proposals that do not fit and are accepted all the same."""
    misses: float = 0.0
    """Share of the lesions for which nothing is proposed and that are said not to be there."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_s"):
                if not 0 <= value < float("inf"):
                    raise InvalidArgument(f"{field.name} must be a time in seconds, at least 0; got {value:g}")
            elif not 0 <= value <= 1:
                raise InvalidArgument(f"{field.name} must be between 0 and 1, got {value:g}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reviewer says about one image."""

    said: Said
    location: Location
    seconds: float


EMPTY = Location(LocationStatus.EMPTY)


def answer(reviewer: Reviewer, truth: Location, proposal: Sequence[Box] | None, chance: Generator) -> Reply:
    """Review one image.

    Args:
        reviewer: who.
        truth: what is there.
        proposal: what is shown: boxes, none for "nothing to find"; None where nothing is shown.
        chance: source of mistakes; two numbers are drawn, whatever is said.

    Returns:
        What is said. What is accepted is the proposal itself, not the truth.
    """
    errs, misses = chance.random(2)
    if proposal is not None:
        fits = (
            boxes_iou(proposal, truth.boxes) >= reviewer.fits_iou
            if truth.boxes and proposal
            else (not truth.boxes and not proposal)
        )
        if fits or errs < reviewer.wrong_accepts:
            shown = Location(LocationStatus.PRESENT, tuple(proposal)) if proposal else EMPTY
            return Reply(Said.ACCEPTED, shown, reviewer.accept_s if proposal else reviewer.nothing_s)
    if not truth.boxes:
        return Reply(Said.EMPTY, EMPTY, reviewer.nothing_s)
    if not proposal and misses < reviewer.misses:
        return Reply(Said.EMPTY, EMPTY, reviewer.nothing_s)
    boxes = Location(LocationStatus.PRESENT, truth.boxes)
    # Every box has to be drawn; one that is corrected, too.
    if proposal:
        return Reply(Said.EDITED, boxes, reviewer.edit_s * len(truth.boxes))
    return Reply(Said.DRAWN, boxes, reviewer.draw_s * len(truth.boxes))
