"""Classes that reviewers stated, with where they come from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db.records.runs import run_name


class ClassSource(StrEnum):
    """How a reviewer came to a class."""

    ACCEPTED = "accepted"
    """The class that a run proposed, left as it was."""
    CHOSEN = "chosen"
    """Chosen by the reviewer."""
    WITHDRAWN = "withdrawn"
    """The annotation that said so was deleted, or turned into a skip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClassLabel:
    """A class that a reviewer stated for an image."""

    image_id: int
    class_name: str
    source: ClassSource
    reviewer: str
    review_id: int
    run_id: int | None = None
    """The run that proposed it, where it was accepted."""
    operation_id: int | None = None
    """The pull that stores it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLabelRecord(NewClassLabel):
    """A stored statement; the image's own record says which class holds."""

    id: int
    created_at: datetime
    connection_id: int
    annotation_id: int
    """In Label Studio."""

    @property
    def run_name(self) -> str | None:
        """Public name of the run that proposed it."""
        return run_name(self.run_id) if self.run_id is not None else None
