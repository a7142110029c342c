"""Proposals: locations that a run suggests for images."""

from dataclasses import dataclass
from datetime import datetime

from db.imaging.boxes import Box
from db.records.reviews import ReviewOutcome
from db.records.runs import run_name


@dataclass(frozen=True, slots=True)
class NewProposal:
    """A location that a run suggests for an image."""

    image_id: int
    class_name: str
    class_probability: float
    score: float
    boxes: tuple[Box, ...]


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

    @property
    def run_name(self) -> str:
        """Public name of the run it comes from."""
        return run_name(self.run_id)
