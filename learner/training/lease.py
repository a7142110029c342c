"""Which process trains a run: it says so in the registry, again and again, so that no second one goes on with the run.

A process that is killed leaves its name behind. On its own machine one can see that it is gone; elsewhere it counts as
gone when it has said nothing for `PATIENCE`. How long that is, is measured by one clock: the database server's where
there is one, so that machines whose clocks differ agree.
"""

import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from db.errors import RegistryError
from db.process import process_runs, process_stopped
from db.records import RunRecord, RunStatus
from db.registry import Registry, Transaction
from learner.errors import RunInUse

BEAT_S = 15.0
PATIENCE = timedelta(minutes=2)
"""Several beats may be late or fail before a process is taken for dead."""


def is_alive(run: RunRecord) -> bool:
    """Say whether the process that trains a run is still there, as far as that can be seen from here."""
    if run.status is not RunStatus.RUNNING or run.host is None or run.pid is None or run.silent_s is None:
        return False
    silence = timedelta(seconds=run.silent_s)
    # A beat from the future, by a clock that was wrong, does not count for ever.
    is_recent = abs(silence) < PATIENCE
    if run.host != socket.gethostname():
        return is_recent
    # A process that began after the last beat has only been given the same number.
    return process_runs(run.pid, since=datetime.now(UTC) - silence) and (is_recent or process_stopped(run.pid))


def run_state(run: RunRecord) -> str:
    """Say how a run is, for people: its status, but `interrupted` where it is running and nobody trains it."""
    return str(run.status) if run.status is not RunStatus.RUNNING or is_alive(run) else "interrupted"


def take_run(tx: Transaction, run: RunRecord) -> RunRecord:
    """Make a run this process's, unless another one is training it.

    Raises:
        RunInUse: the process that trains it is still there.
    """
    refuse_living(run)
    tx.runs.take(run.id, host=socket.gethostname(), pid=os.getpid())
    return tx.runs.get(run.id)


def refuse_living(run: RunRecord) -> None:
    """Make sure that no other process is training a run.

    Raises:
        RunInUse: one is; the message says which, and what to do.
    """
    if is_alive(run):
        raise RunInUse(_words(run))


def _words(run: RunRecord) -> str:
    assert run.silent_s is not None, "only who has spoken is alive"
    seconds = max(0, round(run.silent_s))
    if run.host == socket.gethostname():
        place, remedy = f"this machine ({run.host})", f"wait for it, or stop it first: kill {run.pid}"
    else:
        place = str(run.host)
        remedy = (
            "wait for it, or stop it there; if that machine is gone, repeat this command once it has been silent "
            f"for {PATIENCE.seconds} seconds"
        )
    return (
        f"{run.name} is being trained by process {run.pid} on {place}, last heard from {seconds} seconds ago; "
        f"{remedy}; another run can be trained beside it: partly train"
    )


class Lease:
    """Keeps saying that this process trains a run, from `hold` to the end of its `with` block.

    A beat that fails stops nothing: what it is about is worth more than the beat.
    """

    def __init__(self, registry: Registry, *, beat_s: float = BEAT_S) -> None:
        self._registry = registry
        self._beat_s = beat_s
        self._run: RunRecord | None = None
        self._ended, self._lost = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, run: RunRecord) -> None:
        """Begin to speak for a run that was taken with `take_run`."""
        self._run = run
        if self._thread is None and not self._registry.one_connection:
            self._thread = threading.Thread(target=self._speak, name=f"heartbeat of {run.name}", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Make sure that the run is still this process's.

        Raises:
            RunInUse: another process took it over while this one was silent, suspended for example.
        """
        if self._run is not None and self._lost.is_set():
            raise RunInUse(
                f"{self._run.name} was taken over by another process while this one was silent, so this one stops; "
                "nothing is lost, see: partly runs"
            )

    def _speak(self) -> None:
        while not self._ended.wait(self._beat_s):
            self._beat()

    def _beat(self) -> None:
        assert self._run is not None
        try:
            with self._registry.begin() as tx:
                kept = tx.runs.beat(self._run.id, host=socket.gethostname(), pid=os.getpid())
        except Exception:
            # A registry that is locked, full or out of reach for a while. The next beat may pass.
            return
        if not kept and not self._ended.is_set():
            self._lost.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        if self._thread is not None:
            # One that waits for a locked registry is not waited for.
            self._thread.join(timeout=5)
        if self._run is None:
            return
        try:
            with self._registry.begin() as tx:
                tx.runs.release(self._run.id, host=socket.gethostname(), pid=os.getpid())
        except RegistryError:
            # It must not hide what ended the training; without word, silence says the same.
            return
