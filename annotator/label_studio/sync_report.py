"""What a push and a pull report alike: images that were skipped, planned actions, and the counts that are journaled."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image or a task that was left out, and why."""

    reason: str
    image: int | None = None
    """None for a task whose image is not in this registry."""
    task: int | None = None
    """None for an image without a task."""
    annotation: int | None = None
    """None if the whole image or task was left out."""


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One action that a push would take."""

    action: str
    """create, update, gone or conflict."""
    image: int
    task: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedPull:
    """One action that a pull would take."""

    action: str
    """create, update, conflict or gone."""
    image: int
    task: int | None
    annotation: int
    outcome: str | None = None
    """None if an annotation was deleted; so is the reviewer."""
    reviewer: str | None = None


def counts_of(report: Any) -> dict[str, int]:
    """Return the counts of a push's or a pull's report, as they are written into the journal."""
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    return {name: value for name, value in values.items() if isinstance(value, int)}
