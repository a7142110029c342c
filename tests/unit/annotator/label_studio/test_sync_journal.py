"""Whether the process behind a sync is still at work."""

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil

from annotator.label_studio.sync_journal import is_at_work
from db.records.sync import SyncKind, SyncRecord, SyncStatus


def test_a_push_whose_number_was_given_away_is_not_at_work():
    now = datetime.now(UTC)
    ours = f"{socket.gethostname()}:{os.getpid()}"
    running = SyncRecord(1, 1, SyncKind.PUSH, SyncStatus.RUNNING, ours, {}, {}, {}, None, now, now, None)
    assert is_at_work(running)
    # This process began long after that push was last heard of, within the lease or not.
    began = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    earlier = began - timedelta(seconds=30)
    assert not is_at_work(replace(running, silent_s=(now - earlier).total_seconds()))
