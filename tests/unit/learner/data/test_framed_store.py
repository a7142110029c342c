"""The cache of framed images: what is written is read, by whom ever, until there is no room or it is damaged."""

import multiprocessing
import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import InvalidArgument
from learner.cache_place import (
    DEFAULT_LIMIT,
    LEAST_LIMIT,
    LIMIT_FILE,
    check_limit,
    network_file_system,
    read_limit,
    write_limit,
)
from learner.data import framed_store
from learner.data.framed_store import FramedStore, framed_key

SIDE = 64


def square(number, side=SIDE, grey=False):
    made = np.random.default_rng(number).integers(0, 256, (1 if grey else 3, side, side), dtype=np.uint8)
    return np.repeat(made, 3, axis=0) if grey else made


def keys(*numbers, side=SIDE):
    return [framed_key(f"sha256:{number}", side, "letterbox") for number in numbers]


def read(store, *numbers, side=SIDE):
    """What is there of some images, None where there is nothing."""
    into = np.full((len(numbers), 3, side, side), 7, dtype=np.uint8)
    there = store.read(keys(*numbers, side=side), into)
    return [into[n] if found else None for n, found in enumerate(there)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from([1, 5, 64]), st.booleans()), max_size=12))
def test_what_is_written_is_read(tmp_path_factory, images):
    store = FramedStore(tmp_path_factory.mktemp("p"))
    for number, side, grey in images:
        assert store.write({framed_key(f"{number}{grey}", side, "resize"): square(number, side, grey)})
    for number, side, grey in images:
        into = np.zeros((1, 3, side, side), dtype=np.uint8)
        assert store.read([framed_key(f"{number}{grey}", side, "resize")], into) == [True]
        assert (into[0] == square(number, side, grey)).all()


def test_a_key_says_all_that_the_square_depends_on():
    made = {
        framed_key(content, size, framing)
        for content in ("sha256:a", "sha256:a#1")
        for size in (32, 64)
        for framing in ("letterbox", "resize")
    }
    assert len(made) == 8


def test_grey_images_take_a_third(tmp_path):
    store = FramedStore(tmp_path)
    store.write({keys(1, side=256)[0]: square(1, 256, grey=True)})
    grey = store.status()
    store.write({keys(2, side=256)[0]: square(2, 256)})
    assert (grey.images, store.status().images) == (1, 2)
    assert grey.bytes < 80_000 < 190_000 < store.status().bytes - grey.bytes < 220_000


def test_what_is_not_there_leaves_the_array_alone(tmp_path):
    store = FramedStore(tmp_path)
    into = np.full((1, 3, SIDE, SIDE), 7, dtype=np.uint8)
    assert store.read(keys(1), into) == [False]
    assert store.has(keys(1)) == [False]
    assert (into == 7).all()
    assert not store.folder.exists(), "who only reads makes nothing"


def test_the_oldest_go_where_there_is_no_room_and_the_disk_holds_no_more_than_the_limit(tmp_path, monkeypatch):
    write_limit(tmp_path, LEAST_LIMIT)
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    all_keys = keys(*range(240), side=256)
    for number in range(240):
        # Every one of these is a command of its own, a day after the one before.
        clock[0] += 86_400
        store = FramedStore(tmp_path)
        assert store.write({all_keys[number]: square(number % 7, side=256)}), store.trouble
        store.has(all_keys[:1])
    status = store.status()
    assert status.disk_bytes <= LEAST_LIMIT
    there = store.has(all_keys)
    assert there[0], "it was used all the time"
    first = there[1:].index(True) + 1
    assert all(there[first:]), "the oldest went first"
    assert not any(there[1:first])
    assert 60 <= status.images == sum(there) <= 80


def test_what_a_command_uses_itself_stays_and_then_no_more_is_stored(tmp_path):
    write_limit(tmp_path, LEAST_LIMIT)
    store = FramedStore(tmp_path)
    written = 0
    while store.write({keys(written, side=256)[0]: square(written % 7, side=256)}):
        written += 1
    assert 60 <= written <= 80
    assert "limit" in store.trouble
    assert all(store.has(keys(*range(written), side=256)))
    assert not store.write({keys(5000)[0]: square(1)}), "once and for all"


def test_a_nearly_full_disk_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(framed_store, "FREE_BYTES", 2**62)
    store = FramedStore(tmp_path)
    assert not store.write({keys(1)[0]: square(1)})
    assert "nearly full" in store.trouble
    assert store.read(keys(1), np.zeros((1, 3, SIDE, SIDE), np.uint8)) == [False]


@pytest.mark.parametrize(("kind", "kept"), [("nfs4", False), ("fuse.sshfs", False), ("ext4", True), ("fuse", True)])
def test_what_other_machines_may_write_to_is_left_alone(tmp_path, monkeypatch, kind, kept):
    mounts = [SimpleNamespace(mountpoint="/", fstype="nfs"), SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    network_file_system.cache_clear()
    store = FramedStore(tmp_path)
    assert store.write({keys(1)[0]: square(1)}) is kept
    assert (read(store, 1)[0] is not None) is kept
    assert store.status().images == kept
    assert kept or "on a network file system" in store.trouble
    network_file_system.cache_clear()


@pytest.mark.parametrize("damage", ["nothing", "noise", "short", "value"])
def test_a_damaged_file_costs_time_and_nothing_else(tmp_path, damage):
    store = FramedStore(tmp_path)
    for number in range(40):
        store.write({keys(number)[0]: square(number)})
    framed_store._close(store.folder)
    file = store.folder / "data.mdb"
    data = bytearray(file.read_bytes())
    if damage == "noise":
        data[: 2 * 4096] = os.urandom(2 * 4096)
    elif damage == "short":
        del data[len(data) // 2 :]
    elif damage == "value":
        place = data.find(square(3).tobytes()[:64])
        data[place] ^= 255
    file.write_bytes(data)
    found = read(store, *range(40))
    assert all(image is None or (image == square(n)).all() for n, image in enumerate(found))
    lost = sum(image is None for image in found)
    assert lost == {"nothing": 0, "value": 1, "noise": 40, "short": 40}[damage]
    assert store.write({keys(99)[0]: square(99)})
    assert (read(store, 99)[0] == square(99)).all()


def test_who_has_it_open_notices_that_it_was_cleared(tmp_path):
    store = FramedStore(tmp_path)
    store.write({keys(1)[0]: square(1)})
    process = multiprocessing.get_context("spawn").Process(target=_clear, args=(tmp_path,))
    process.start()
    process.join()
    assert read(store, 1) == [None]
    assert store.write({keys(2)[0]: square(2)})
    assert (read(FramedStore(tmp_path), 2)[0] == square(2)).all()
    assert store.status().images == 1


def _clear(root):
    FramedStore(root).clear()


def test_several_processes_write_and_read_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        wrong = pool.map(_write_and_read, [(tmp_path, k) for k in range(3)])
    assert wrong == [0, 0, 0]
    found = read(FramedStore(tmp_path), *range(300))
    assert all((image == square(n)).all() for n, image in enumerate(found))


def _write_and_read(given):
    root, part = given
    store, wrong = FramedStore(root), 0
    for number in range(part, 300, 3):
        if not store.write({keys(number)[0]: square(number), keys(0)[0]: square(0)}):
            wrong += 1
        image = read(store, number - 3 if number > 2 else number)[0]
        wrong += image is None
    return wrong


def test_threads_may_share_it_while_more_projects_are_opened_than_stay_open(tmp_path):
    stores = [FramedStore(tmp_path / str(n)) for n in range(framed_store.KEPT_OPEN + 3)]
    problems = []

    def work(number):
        for k in range(30):
            store = stores[(number + k) % len(stores)]
            store.write({keys(k)[0]: square(k)})
            image = read(store, k)[0]
            if image is None or not (image == square(k)).all():
                problems.append((number, k))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_a_limit_is_kept_and_one_that_is_too_low_refused(tmp_path):
    assert read_limit(tmp_path) == DEFAULT_LIMIT
    write_limit(tmp_path, check_limit(2 * LEAST_LIMIT))
    assert FramedStore(tmp_path).status().limit_bytes == 2 * LEAST_LIMIT
    (tmp_path / LIMIT_FILE).write_text("no json")
    assert read_limit(tmp_path) == DEFAULT_LIMIT
    with pytest.raises(InvalidArgument, match="at least 16 MiB, got 3 bytes"):
        check_limit(3)


def test_another_process_with_a_higher_limit_is_followed(tmp_path):
    write_limit(tmp_path, LEAST_LIMIT)
    store = FramedStore(tmp_path)
    store.write({keys(0, side=256)[0]: square(0, side=256)})
    write_limit(tmp_path, 8 * LEAST_LIMIT)
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(tmp_path, 200))
    process.start()
    process.join()
    assert FramedStore(tmp_path).status().images == 200
    assert (read(store, 199, side=256)[0] == square(199 % 7, side=256)).all()


def _fill(root, count):
    store = FramedStore(root)
    for start in range(1, count, 100):
        store.write({keys(n, side=256)[0]: square(n % 7, side=256) for n in range(start, min(count, start + 100))})
