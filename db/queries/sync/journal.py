"""The journal of pushes and pulls: every step is recorded before it is carried out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.queries.bulk import chunks, insert_rows
from db.queries.clock import database_now, silent_seconds
from db.records.sync import StepAction, StepState, SyncKind, SyncRecord, SyncStatus, SyncStep
from db.tables import Sync, now
from db.tables import SyncStep as StepRow


class JournalQueries:
    """Pushes and pulls of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(self, connection_id: int, kind: SyncKind, *, options: Mapping[str, Any], owner: str) -> int:
        """Start a sync and return its number."""
        row = Sync(
            connection_id=connection_id,
            kind=kind,
            options=dict(options),
            status=SyncStatus.RUNNING,
            owner=owner,
            touched_at=database_now(self._session),
        )
        self._session.add(row)
        self._session.flush()
        return row.id

    def resume(self, sync_id: int, *, owner: str) -> None:
        """Hand a sync over to another process, which resumes it."""
        self._change(sync_id, status=SyncStatus.RUNNING, owner=owner, detail=None, finished_at=None)

    def close(
        self,
        sync_id: int,
        status: SyncStatus,
        *,
        counts: Mapping[str, Any] | None = None,
        mark: Mapping[str, Any] | None = None,
        detail: str | None = None,
    ) -> None:
        """End a sync."""
        values: dict[str, Any] = {"status": status, "detail": detail, "finished_at": now()}
        values |= {"counts": dict(counts)} if counts is not None else {}
        values |= {"mark": dict(mark)} if mark is not None else {}
        self._change(sync_id, **values)

    def touch(self, sync_id: int) -> None:
        """Record that a sync is still being worked on."""
        self._change(sync_id)

    def _change(self, sync_id: int, **values: Any) -> None:
        self._session.execute(
            update(Sync).where(Sync.id == sync_id).values(touched_at=database_now(self._session), **values)
        )

    def last(self, connection_id: int, kind: SyncKind, *, status: SyncStatus | None = None) -> SyncRecord | None:
        """Return the newest sync of a kind, of one status where that is given."""
        statement = select(Sync).where(Sync.connection_id == connection_id, Sync.kind == kind)
        if status is not None:
            statement = statement.where(Sync.status == status)
        row = self._session.scalar(statement.order_by(Sync.id.desc()).limit(1))
        return self._record(row) if row is not None else None

    def all(self, *, limit: int = 20) -> list[SyncRecord]:
        """Return the newest syncs, newest first."""
        return [self._record(row) for row in self._session.scalars(select(Sync).order_by(Sync.id.desc()).limit(limit))]

    def add_steps(self, sync_id: int, steps: Sequence[SyncStep]) -> list[SyncStep]:
        """Append steps to those already stored, and return them with their numbers."""
        highest = self._session.scalar(select(func.max(StepRow.ordinal)).where(StepRow.sync_id == sync_id))
        first = 0 if highest is None else highest + 1
        numbered = [replace(step, ordinal=first + n) for n, step in enumerate(steps)]
        rows = [
            {
                "sync_id": sync_id,
                "ordinal": step.ordinal,
                "action": step.action,
                "state": step.state,
                "image_id": step.image_id,
                "task_id": step.task_id,
                "annotation_id": step.annotation_id,
                "proposal_id": step.proposal_id,
                "control": step.control,
                "readers": step.annotators,
                "round": step.round,
                "address": step.address,
                "detail": step.detail,
            }
            for step in numbered
        ]
        insert_rows(self._session, StepRow, rows)
        return numbered

    def steps(self, sync_id: int, *, states: Iterable[StepState] | None = None) -> list[SyncStep]:
        """Return the steps of a sync in their order, of some states where those are given."""
        statement = select(StepRow).where(StepRow.sync_id == sync_id)
        if states is not None:
            statement = statement.where(StepRow.state.in_(list(states)))
        return [
            SyncStep(
                action=StepAction(row.action),
                image_id=row.image_id,
                task_id=row.task_id,
                annotation_id=row.annotation_id,
                proposal_id=row.proposal_id,
                control=row.control,
                annotators=row.readers,
                round=row.round,
                address=row.address,
                detail=row.detail,
                state=StepState(row.state),
                ordinal=row.ordinal,
            )
            for row in self._session.scalars(statement.order_by(StepRow.ordinal))
        ]

    def mark_steps(self, sync_id: int, ordinals: Sequence[int], state: StepState, *, detail: str | None = None) -> None:
        """Store the state of steps."""
        values: dict[str, Any] = {"state": state} | ({"detail": detail} if detail is not None else {})
        for chunk in chunks(ordinals):
            self._session.execute(
                update(StepRow).where(StepRow.sync_id == sync_id, StepRow.ordinal.in_(chunk)).values(**values)
            )
        self.touch(sync_id)

    def set_addresses(self, sync_id: int, addresses: Mapping[int, str]) -> None:
        """Store the server's addresses of the images of steps, by step number."""
        for ordinal, address in addresses.items():
            self._session.execute(
                update(StepRow).where(StepRow.sync_id == sync_id, StepRow.ordinal == ordinal).values(address=address)
            )
        self.touch(sync_id)

    def _record(self, row: Sync) -> SyncRecord:
        return SyncRecord(
            id=row.id,
            connection_id=row.connection_id,
            kind=SyncKind(row.kind),
            status=SyncStatus(row.status),
            owner=row.owner,
            options=row.options,
            counts=row.counts,
            mark=row.mark,
            detail=row.detail,
            created_at=row.created_at,
            touched_at=row.touched_at,
            finished_at=row.finished_at,
            silent_s=silent_seconds(self._session, row.touched_at) or 0.0,
        )
