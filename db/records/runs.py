"""Runs: one record per training, and the public name of a run."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


def run_name(run_id: int) -> str:
    """Return the public name of a run, also its model version in Label Studio."""
    return f"run-{run_id}"


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

    @property
    def name(self) -> str:
        """The run's public name, also the model version in Label Studio."""
        return run_name(self.id)
