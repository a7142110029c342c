"""Which run is exported or described: one of the project, or a run's folder wherever it lies. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.plain_text import shown
from db.records import RunRecord
from db.registry import Registry
from learner.description import read_description
from learner.early_checks import finished_run
from learner.errors import CheckpointIncompatible
from learner.export.places import DESCRIPTION


@dataclass(frozen=True, slots=True)
class RunSource:
    """A run's checkpoint, and the registry that knows more about it where there is one."""

    name: str
    folder: Path
    """Of the checkpoint."""
    description: Mapping[str, Any]
    record: RunRecord | None = None
    """None of a folder outside a project."""
    registry: Registry | None = None

    @property
    def weights_sha256(self) -> str:
        """What the run's weights are known by."""
        return str(self.description["sha256"])


def source_of_folder(folder: Path) -> RunSource:
    """Find a run in its folder; no registry is needed.

    Raises:
        CheckpointIncompatible: there is no checkpoint in it, or it cannot be read.
    """
    if not folder.is_dir():
        raise CheckpointIncompatible(f"{shown(str(folder))}: there is no such folder")
    return RunSource(folder.resolve().name, folder, _described(folder))


def source_of_run(registry: Registry, run: str | None) -> RunSource:
    """Find a run of a project; None for the newest finished one.

    Raises:
        NotFound: there is no such run. CheckpointIncompatible: it has not finished, or its checkpoint is gone.
    """
    record = finished_run(registry, run)
    assert record.checkpoint is not None, "a run that can be used has one"
    return RunSource(record.name, record.checkpoint, _described(record.checkpoint), record, registry)


def _described(folder: Path) -> Mapping[str, Any]:
    try:
        return read_description(folder / DESCRIPTION)
    except FileNotFoundError:
        raise CheckpointIncompatible(
            f"{shown(str(folder))}: no complete checkpoint ({DESCRIPTION} is missing)"
        ) from None
