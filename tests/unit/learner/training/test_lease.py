"""Which process trains a run, and whether it still lives."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from db.errors import RegistryError
from db.records import RunStatus
from db.registry import create_registry
from learner.errors import RunInUse
from learner.training.lease import PATIENCE, Lease, is_alive, run_state, take_run


@pytest.fixture
def run(registry):
    with registry.begin() as tx:
        return tx.runs.start(preset="default", config={}, snapshot="s")


def taken(registry, run, *, host=None, pid=None, ago=timedelta()):
    """Let a process train a run that last spoke some time ago."""
    with registry.begin() as tx:
        tx.runs.take(run.id, host=host or socket.gethostname(), pid=pid or os.getpid())
    with registry.connect(write=True) as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET heartbeat_at = ?", (f"{datetime.now(UTC) - ago:%Y-%m-%d %H:%M:%S.%f}",)
        )
    return again(registry, run)


def again(registry, run):
    with registry.read() as tx:
        return tx.runs.get(run.name)


def since_start(seconds):
    """How long ago this process was so old."""
    return timedelta(seconds=time.time() - psutil.Process().create_time() - seconds)


def test_a_run_that_nobody_speaks_for_is_interrupted(registry, run):
    assert not is_alive(run)
    assert run_state(run) == "interrupted"
    with registry.begin() as tx:
        tx.runs.finish(run.id, RunStatus.FINISHED, {})
    assert run_state(again(registry, run)) == "finished"


def test_a_process_of_this_machine_lives_while_it_speaks(registry, run):
    assert is_alive(taken(registry, run))
    assert run_state(taken(registry, run)) == "running"
    assert not is_alive(taken(registry, run, pid=2**22 + 1)), "there is no such process"
    assert not is_alive(taken(registry, run, ago=since_start(-30))), "it began after the last beat: another one"


def test_a_process_that_is_there_and_says_nothing_is_another_one_or_suspended(registry, run):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        began = time.time() - psutil.Process(child.pid).create_time()
        silent = taken(registry, run, pid=child.pid, ago=timedelta(seconds=began))
        later = datetime.now(UTC) + PATIENCE
        silent = replace(silent, silent_s=silent.silent_s + PATIENCE.total_seconds())
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("learner.training.lease.datetime", Later(later))
            assert is_alive(silent), "it may go on at any time"
            child.send_signal(signal.SIGCONT)
            os.waitid(os.P_PID, child.pid, os.WCONTINUED | os.WNOWAIT)
            assert not is_alive(silent)
    finally:
        child.kill()
        child.communicate()


class Later:
    """A clock that is ahead."""

    def __init__(self, now):
        self._now = now

    def now(self, zone):
        return self._now


@pytest.mark.parametrize(
    ("ago", "alive"),
    [
        (timedelta(seconds=100), True),
        (timedelta(seconds=130), False),
        # By a clock that is a little ahead, and by one that was wrong: nobody waits for years.
        (timedelta(seconds=-60), True),
        (timedelta(days=-4000), False),
    ],
)
def test_a_process_elsewhere_lives_until_it_has_said_nothing_for_two_minutes(registry, run, ago, alive):
    assert is_alive(taken(registry, run, host="elsewhere", pid=1, ago=ago)) is alive


def test_a_number_that_was_given_away_does_not_hold_a_run_that_last_spoke_in_the_future(registry, run):
    assert not is_alive(taken(registry, run, pid=os.getppid(), ago=timedelta(days=-4000)))


def test_who_wants_a_run_that_is_trained_is_told_by_whom_and_what_to_do(registry, run):
    far = taken(registry, run, host="elsewhere", pid=4711, ago=timedelta(seconds=40))
    with registry.begin() as tx, pytest.raises(RunInUse) as caught:
        take_run(tx, far)
    for words in ("run-1", "4711", "elsewhere", "40 seconds ago", "120 seconds", "partly train"):
        assert words in str(caught.value)
    with registry.begin() as tx, pytest.raises(RunInUse, match=f"this machine.*kill {os.getpid()}"):
        take_run(tx, taken(registry, run))


def test_a_lease_speaks_until_it_ends_and_leaves_word(registry, run):
    with registry.begin() as tx:
        run = take_run(tx, run)
    with Lease(registry, beat_s=0.01) as lease:
        lease.hold(run)
        until = time.monotonic() + 20
        while again(registry, run).heartbeat_at == run.heartbeat_at:
            assert time.monotonic() < until
            time.sleep(0.01)
        lease.check()
        assert again(registry, run).pid == os.getpid()
    assert (again(registry, run).host, again(registry, run).pid, again(registry, run).heartbeat_at) == (None,) * 3
    assert again(registry, run).status is RunStatus.RUNNING


def test_a_lease_that_was_taken_over_is_lost_and_the_new_one_is_left_alone(registry, run):
    with registry.begin() as tx:
        run = take_run(tx, run)
    with Lease(registry, beat_s=0.01) as lease:
        lease.hold(run)
        taken(registry, run, host="elsewhere", pid=1)
        until = time.monotonic() + 20
        with pytest.raises(RunInUse, match="taken over"):
            while time.monotonic() < until:
                lease.check()
                time.sleep(0.01)
    assert again(registry, run).host == "elsewhere"


def test_a_beat_that_fails_stops_nothing(registry, run, monkeypatch):
    beats = []

    def failing(**_):
        beats.append(1)
        raise RegistryError("the disk is full")

    with registry.begin() as tx:
        run = take_run(tx, run)
    with monkeypatch.context() as patched, Lease(registry, beat_s=0.01) as lease:
        patched.setattr(registry, "begin", failing)
        lease.hold(run)
        until = time.monotonic() + 20
        while len(beats) < 3:
            assert time.monotonic() < until
            time.sleep(0.01)
        lease.check()


def test_a_registry_in_memory_is_not_shared_with_a_thread(tmp_path):
    registry = create_registry("sqlite://", tmp_path)
    with registry.begin() as tx:
        run = take_run(tx, tx.runs.start(preset="default", config={}, snapshot="s"))
    with Lease(registry, beat_s=0.001) as lease:
        lease.hold(run)
        for _ in range(50):
            with registry.begin() as tx:
                tx.runs.add_metrics(run.id, {})
    registry.close()
