"""A process is known by its number and by when it began."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil

from annotator.label_studio.process import process_runs
from annotator.label_studio.sync_journal import is_at_work
from db.records.sync import SyncKind, SyncRecord, SyncStatus


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


def test_a_push_whose_number_was_given_away_is_not_at_work():
    now = datetime.now(UTC)
    ours = f"{socket.gethostname()}:{os.getpid()}"
    running = SyncRecord(1, 1, SyncKind.PUSH, SyncStatus.RUNNING, ours, {}, {}, {}, None, now, now, None)
    assert is_at_work(running)
    # This process began long after that push was last heard of, within the lease or not.
    began = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    earlier = began - timedelta(seconds=30)
    assert not is_at_work(replace(running, touched_at=earlier))
