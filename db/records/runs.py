"""Trainings."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class RunStatus(StrEnum):
    """State of a training."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One training."""

    id: int
    preset: str
    status: RunStatus
    config: dict[str, Any]
    snapshot: str
    checkpoint: Path | None
    metrics: dict[str, Any]
    created_at: datetime
    finished_at: datetime | None
    host: str | None = None
    """Machine of the process that trains it; None where none does, or it left word that it stopped."""
    pid: int | None = None
    """That process's number there."""
    heartbeat_at: datetime | None = None
    """When that process last said that it lives."""
    silent_s: float | None = None
    """How long ago that was when this was read, by the clock that it was written by; see db/queries/clock.py."""

    @property
    def name(self) -> str:
        """The run's public name, also the model version in Label Studio."""
        return run_name(self.id)

    @property
    def is_of_bench(self) -> bool:
        """Say whether it was trained for a table of `partly bench`; such runs are used only by name."""
        return "bench" in self.metrics


def run_name(run_id: int) -> str:
    """Return a run's public name, which is also its model version in Label Studio."""
    return f"run-{run_id}"
