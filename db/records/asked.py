"""Queries: which images people were asked about, and why those. Rounds: what each of the loop knew and asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Part(StrEnum):
    """What a question is for."""

    CONFIRM = "confirm"
    """A proposal above tau is shown: a look, and a key."""
    DRAW = "draw"
    """Chosen by the query strategy: to be drawn, or corrected where there is a proposal."""
    AUDIT = "audit"
    """Chosen at random and shown without a proposal: judges proposals, and what showing them does to people."""


LABEL_CHECK = "label check"
"""In the place of a strategy: a query about labels that may be wrong, located images included."""


@dataclass(frozen=True, slots=True)
class Question:
    """One image of a query."""

    image: int
    part: Part
    score: float | None
    """The proposal's where it is to be confirmed, the strategy's where it is to be drawn."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuery:
    """A batch of questions, and how it was chosen."""

    strategy: str
    seed: int
    budget: int
    """Images that were wanted."""
    options: Mapping[str, Any]
    """Shares of the parts."""
    run_id: int | None
    """The run whose model scored the images; None before there is one."""
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRecord(NewQuery):
    """A stored query."""

    id: int
    created_at: datetime

    @property
    def about_labels(self) -> bool:
        """Say whether it asks about labels that may be wrong."""
        return self.strategy == LABEL_CHECK


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRound:
    """One round of the loop."""

    run_id: int | None
    """The run that it trained; None where no location was known yet."""
    query_id: int | None
    """What it asked; None where it made no query."""
    located: int
    """Images outside test and validation whose location was known."""
    reviews: int
    """Reviews since the round before."""
    minutes: float | None
    """That these took, as far as it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord(NewRound):
    """A stored round."""

    id: int
    created_at: datetime
