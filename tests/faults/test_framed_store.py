"""The cache of framed images under kill -9, and on a disk that is really full."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from learner.data import framed_store
from learner.data.framed_store import FramedStore, framed_key
from tests.faults import workers
from tests.faults.test_disk import small_disk


@pytest.mark.thorough
def test_nothing_is_torn_when_writers_are_killed(tmp_path):
    """Two writers, killed twelve times: what is there is right, and what was there before stays."""
    context, known = multiprocessing.get_context("spawn"), 0
    store = FramedStore(tmp_path)
    for trial in range(6):
        writers = [context.Process(target=workers.frame_for_ever, args=(tmp_path, 10_000 * k)) for k in range(2)]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + 20
        while store.status().images <= known + 8 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.011 * trial)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
        there = []
        for number in [n + 10_000 * k for k in range(2) for n in range(4000)]:
            into = np.zeros((1, 3, workers.SIDE, workers.SIDE), dtype=np.uint8)
            if store.read([framed_key(str(number), workers.SIDE, "resize")], into) == [True]:
                assert (into[0] == workers.square(number)).all()
                there.append(number)
        assert len(there) == store.status().images >= known
        known = len(there)
    assert known > 16


def test_a_full_disk_stops_the_cache_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(framed_store, "FREE_BYTES", 0)
    with small_disk(tmp_path / "disk", "4m") as disk:
        store, written = FramedStore(disk), 0
        # Somebody else fills the disk between the look at it and the writing.
        monkeypatch.setattr(framed_store.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2**40}))
        while store.write({framed_key(str(written), workers.SIDE, "resize"): workers.square(written)}):
            written += 1
        assert store.trouble
        into = np.zeros((written, 3, workers.SIDE, workers.SIDE), dtype=np.uint8)
        assert all(store.read([framed_key(str(n), workers.SIDE, "resize") for n in range(written)], into))
        assert all((into[n] == workers.square(n)).all() for n in range(written))
        framed_store._close(store.folder)
