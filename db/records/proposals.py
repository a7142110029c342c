"""Locations that a run suggests, before and after somebody has reviewed them."""

from dataclasses import dataclass
from datetime import datetime

from db.imaging.boxes import Box
from db.records.reviews import ReviewOutcome
from db.records.runs import run_name


@dataclass(frozen=True, slots=True)
class NewProposal:
    """What a run suggests for an image: a location, or without boxes that there is nothing to find."""

    image_id: int
    class_name: str
    """The class that the run predicts."""
    class_probability: float
    """Of that class."""
    score: float
    boxes: tuple[Box, ...]
    box_scores: tuple[float, ...] = ()
    """One a box, or none at all where they are not known."""
    presence: float | None = None
    """Probability that there is something to find, 0 to 1; None where the run does not say."""
    known_class_probability: float | None = None
    """Of the class that the image is known to have; None where it has none, or the run does not know it."""


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A stored proposal. `outcome` is None while nobody has reviewed it."""

    id: int
    image_id: int
    run_id: int
    class_name: str
    class_probability: float
    score: float
    tau: float
    gate: str
    boxes: tuple[Box, ...]
    outcome: ReviewOutcome | None = None
    created_at: datetime | None = None
    box_scores: tuple[float, ...] = ()
    presence: float | None = None
    known_class_probability: float | None = None
    certificate_id: int | None = None
    """The certificate under which it was made."""

    @property
    def is_nothing(self) -> bool:
        """Say whether it suggests that there is nothing to find."""
        return not self.boxes

    @property
    def run_name(self) -> str:
        """Public name of the run it comes from."""
        return run_name(self.run_id)
