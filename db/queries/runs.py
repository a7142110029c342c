"""Runs: one row per training, from its start to its metrics."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.errors import Conflict, RunMissing, RunUnknown
from db.imaging.paths import ProjectPaths
from db.queries.bulk import chunks
from db.queries.clock import database_now, silent_seconds
from db.records import RunRecord, RunStatus, Split
from db.tables import Image, Run, now


class RunQueries:
    """Runs of the registry."""

    def __init__(self, session: Session, paths: ProjectPaths) -> None:
        self._session = session
        self._paths = paths

    def start(
        self, *, preset: str, config: Mapping[str, Any], snapshot: str, image_ids: Sequence[int] = ()
    ) -> RunRecord:
        """Store the start of a training and return its run.

        Args:
            preset: name of the preset it began from.
            config: its whole configuration.
            snapshot: hash of the registry's state that it is trained on.
            image_ids: the images that it will see, to learn from or to choose an epoch by.

        Raises:
            Conflict: one of these images is in test.
        """
        for chunk in chunks(image_ids):
            in_test = select(Image.id).where(Image.id.in_(chunk), Image.split == Split.TEST).limit(1)
            found = self._session.scalar(in_test)
            if found is not None:
                raise Conflict(f"image {found} is in the test split, which training must not use")
        run = Run(preset=preset, config=dict(config), snapshot=snapshot, status=RunStatus.RUNNING, metrics={})
        self._session.add(run)
        self._session.flush()
        return self._record(run)

    def set_checkpoint(self, run_id: int, checkpoint: Path) -> None:
        """Store the path of the run's checkpoint."""
        self._row(run_id).checkpoint = self._paths.uri_from_path(checkpoint)

    def finish(self, run_id: int, status: RunStatus, metrics: Mapping[str, Any]) -> None:
        """Store the end of a training."""
        run = self._row(run_id)
        run.status = status
        run.metrics = dict(metrics)
        run.finished_at = now()
        run.host = run.pid = run.heartbeat_at = None

    def reopen(self, run_id: int) -> RunRecord:
        """Note that a training that failed goes on."""
        run = self._row(run_id)
        run.status, run.finished_at, run.metrics = RunStatus.RUNNING, None, {}
        return self._record(run)

    def take(self, run_id: int, *, host: str, pid: int) -> None:
        """Store which process trains a run, whoever did before."""
        run = self._row(run_id)
        run.host, run.pid, run.heartbeat_at = host, pid, database_now(self._session)

    def beat(self, run_id: int, *, host: str, pid: int) -> bool:
        """Note that the process that trains a run lives; returns False where the run is another's by now."""
        run = self._row(run_id)
        if (run.host, run.pid) != (host, pid):
            return False
        run.heartbeat_at = database_now(self._session)
        return True

    def release(self, run_id: int, *, host: str, pid: int) -> None:
        """Note that a process no longer trains a run; another's is left alone."""
        run = self._row(run_id)
        if (run.host, run.pid) == (host, pid):
            run.host = run.pid = run.heartbeat_at = None

    def add_metrics(self, run_id: int, metrics: Mapping[str, Any]) -> None:
        """Add metrics to those already stored for a training."""
        run = self._row(run_id)
        run.metrics = {**run.metrics, **metrics}

    def get(self, name: str | int) -> RunRecord:
        """Return a run by its id or public name ("3" or "run-3").

        Raises:
            RunUnknown: there is no such run.
        """
        match = re.fullmatch(r"(?:run-)?(\d{1,9})", str(name))
        run = self._session.get(Run, int(match[1])) if match else None
        if run is None:
            newest = self._session.scalar(select(func.max(Run.id)))
            named = "runs are named like run-1" if newest is None else f"the newest is run-{newest}"
            raise RunUnknown(f"there is no run {name!r}; {named}, see: partly runs")
        return self._record(run)

    def latest(self, status: RunStatus = RunStatus.FINISHED) -> RunRecord:
        """Return the newest run with this status; runs of a bench are skipped, they are used by name.

        Raises:
            RunMissing: there is none.
        """
        statement = select(Run).where(Run.status == status).order_by(Run.id.desc())
        runs = (self._record(run) for run in self._session.scalars(statement))
        found = next((run for run in runs if not run.is_of_bench), None)
        if found is None:
            wanted = "finished" if status is RunStatus.FINISHED else "interrupted"
            raise RunMissing(f"there is no {wanted} run yet; train one with: partly train")
        return found

    def all(self) -> list[RunRecord]:
        """Return all runs, oldest first."""
        return [self._record(run) for run in self._session.scalars(select(Run).order_by(Run.id))]

    def _row(self, run_id: int) -> Run:
        run = self._session.get(Run, run_id)
        if run is None:
            raise RunUnknown(f"there is no run {run_id}; see: partly runs")
        return run

    def _record(self, run: Run) -> RunRecord:
        return RunRecord(
            id=run.id,
            preset=run.preset,
            status=RunStatus(run.status),
            config=run.config,
            snapshot=run.snapshot,
            checkpoint=self._paths.path_from_uri(run.checkpoint) if run.checkpoint else None,
            metrics=run.metrics,
            created_at=run.created_at,
            finished_at=run.finished_at,
            host=run.host,
            pid=run.pid,
            heartbeat_at=run.heartbeat_at,
            silent_s=silent_seconds(self._session, run.heartbeat_at),
        )
