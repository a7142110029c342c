"""A process is known by its number and by when it began."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from db.process import process_runs, process_stopped


def test_a_process_that_has_ended_does_not_run():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_runs(child.pid)
    child.kill()
    # Not reaped yet: a zombie does nothing any more.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process_runs(child.pid)
    child.communicate()
    assert not process_runs(child.pid)


def test_another_process_with_the_same_number_is_not_the_same():
    now = datetime.now(UTC)
    assert process_runs(os.getpid(), since=now)
    assert not process_runs(os.getpid(), since=now - timedelta(days=365))


def test_a_number_that_no_system_gives_is_not_running():
    assert not process_runs(2**31 - 1)
    assert not process_runs(-5)


def test_a_process_that_is_suspended_may_go_on():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert not process_stopped(child.pid)
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert process_runs(child.pid)
        assert process_stopped(child.pid)
    finally:
        child.kill()
        child.communicate()
    assert not process_stopped(child.pid)
