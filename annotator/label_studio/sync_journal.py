"""The journal of a running push or pull: the plan is written down first, so that an interrupted one can be resumed.

One push at a time works on a project; two would look at the same empty list and both fill it. A push whose process has
died, or that has said nothing for long, is taken over.
"""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from annotator.errors import SyncBusy
from db.errors import RegistryError
from db.process import process_runs
from db.records import ConnectionRecord, TaskLink
from db.records.sync import AttentionCheck, StepState, SyncKind, SyncRecord, SyncStatus, SyncStep
from db.registry import Registry, Transaction

LEASE = timedelta(minutes=10)
"""A process that has said nothing for this long is taken for dead."""


class Journal:
    """A running push or pull."""

    def __init__(
        self, registry: Registry, connection: ConnectionRecord, sync_id: int, begun: Sequence[SyncStep]
    ) -> None:
        self._registry = registry
        self._connection = connection
        self.sync_id = sync_id
        self.begun = tuple(begun)
        """Steps of the interrupted sync that this one resumes, finished ones included."""
        self._outcome: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def plan(self, steps: Sequence[SyncStep], checks: Sequence[AttentionCheck] = ()) -> list[SyncStep]:
        """Write down what is to be done; returns the steps with their numbers."""
        with self._registry.begin() as tx:
            tx.attention_checks.add(self._connection.id, checks)
            return tx.journal.add_steps(self.sync_id, steps)

    def sent(self, steps: Sequence[SyncStep]) -> None:
        """Note that a request is about to be sent."""
        with self._registry.begin() as tx:
            tx.journal.mark_steps(self.sync_id, [step.ordinal for step in steps], StepState.SENT)

    def skipped(self, step: SyncStep, why: str) -> None:
        """Note that a step cannot be done."""
        with self._registry.begin() as tx:
            tx.journal.mark_steps(self.sync_id, [step.ordinal], StepState.SKIPPED, detail=why)

    def done(self, steps: Sequence[SyncStep], links: Sequence[TaskLink] = ()) -> None:
        """Note that steps are done, together with the tasks that came of it."""
        with self._registry.begin() as tx:
            tx.connections.set_links(self._connection.id, links)
            tx.journal.mark_steps(self.sync_id, [step.ordinal for step in steps], StepState.DONE)

    def keep_addresses(self, addresses: Mapping[int, str]) -> None:
        """Note where the server has images, by step."""
        if addresses:
            with self._registry.begin() as tx:
                tx.journal.set_addresses(self.sync_id, addresses)

    def finish(self, counts: Mapping[str, Any], mark: Mapping[str, Any] | None = None) -> None:
        """Say what came of it; stored when the sync ends without an error."""
        self._outcome = (dict(counts), dict(mark or {}))

    def _close(self, error: BaseException | None) -> None:
        counts, mark = self._outcome
        with self._registry.begin() as tx:
            if error is None:
                tx.journal.close(self.sync_id, SyncStatus.FINISHED, counts=counts, mark=mark)
            else:
                why = f"{type(error).__name__}: {error}"[:1000]
                tx.journal.close(self.sync_id, SyncStatus.FAILED, detail=why)


def begun_steps(
    registry: Registry, connection: ConnectionRecord, kind: SyncKind, options: Mapping[str, Any]
) -> list[SyncStep]:
    """Return the steps of a sync that was cut and that one with these options would go on with.

    Raises:
        SyncBusy: another push to the project is running.
    """
    with registry.read() as tx:
        return _unfinished(tx, connection, kind, options)[1]


def _unfinished(
    tx: Transaction, connection: ConnectionRecord, kind: SyncKind, options: Mapping[str, Any]
) -> tuple[SyncRecord | None, list[SyncStep]]:
    """Return the last sync if it was cut, and its steps if it is to go on."""
    last = tx.journal.last(connection.id, kind)
    if last is None or last.status not in (SyncStatus.RUNNING, SyncStatus.FAILED):
        return None, []
    if kind is not SyncKind.PUSH:
        return last, []
    if is_at_work(last):
        raise SyncBusy(
            f"another push to this project is running ({last.owner}, since {last.created_at:%H:%M} UTC); "
            "wait until it has finished"
        )
    return last, tx.journal.steps(last.id) if last.options == dict(options) else []


@contextmanager
def journaled(
    registry: Registry, connection: ConnectionRecord, kind: SyncKind, options: Mapping[str, Any]
) -> Iterator[Journal]:
    """Open the journal of a sync, or go on with one that was cut and asked for the same.

    Args:
        registry: where the journal is.
        connection: the project.
        kind: push or pull.
        options: what was asked for; a cut sync that asked for something else is given up.

    Raises:
        SyncBusy: another push to the project is running.
    """
    owner = _this_process()
    with registry.begin() as tx:
        last, begun = _unfinished(tx, connection, kind, options)
        if last is not None and begun:
            tx.journal.resume(last.id, owner=owner)
            sync_id = last.id
        else:
            if last is not None and not is_at_work(last):
                tx.journal.close(last.id, SyncStatus.REPLACED, detail=last.detail)
            sync_id = tx.journal.open(connection.id, kind, options=options, owner=owner)
    journal = Journal(registry, connection, sync_id, begun)
    try:
        yield journal
    except BaseException as exc:
        # A registry that cannot be written must not hide what went wrong first.
        with suppress(RegistryError):
            journal._close(exc)
        raise
    journal._close(None)


def is_at_work(sync: SyncRecord) -> bool:
    """Say whether the process that runs a sync is still there, as far as that can be seen from here."""
    silence = timedelta(seconds=sync.silent_s)
    # One that was last touched in the future, by a clock that was wrong, does not block for ever either.
    if sync.status is not SyncStatus.RUNNING or abs(silence) > LEASE:
        return False
    host, _, number = sync.owner.rpartition(":")
    if host != socket.gethostname() or not number.isdigit():
        return True
    # A process that began after the sync was last touched has only been given the same number.
    return process_runs(int(number), since=datetime.now(UTC) - silence)


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
