"""Squares and targets: the same from memory, from the cache and from files; decoded once; bad files lose no other."""

import os
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from db.errors import ImageUnreadable
from db.imaging.files import ImageFile
from db.records import Box, Location, LocationStatus
from learner.cache_place import LEAST_LIMIT, write_limit
from learner.data import dataset, framing
from learner.data.dataset import FramedStream, load_framed
from learner.data.examples import Example
from learner.data.framed_store import FramedStore
from learner.data.framing import FramedRows, Framer, Framing, ahead
from learner.errors import DataInvalid
from tests.spoken import Spoken


@pytest.fixture
def examples(tmp_path):
    rng, made = np.random.default_rng(0), []
    for n in range(10):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / f"{n}.png")
        location = Location(LocationStatus.PRESENT, (Box(10, 5, 20, 15),)) if n < 3 else None
        path = ImageFile.at(tmp_path / f"{n}.png")
        made.append(Example(path, 60, 40, "ab"[n % 2], location, n, content_hash=f"sha256:{n}"))
    return made


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded, one entry each time."""
    found, read_image = [], framing.read_image

    def counted(file):
        found.append(file.name)
        return read_image(file)

    monkeypatch.setattr(framing, "read_image", counted)
    return found


ROWS = torch.tensor([7, 0, 2, 2, 9])


def test_large_sets_are_read_row_by_row_and_hold_what_small_ones_hold(tmp_path, examples, monkeypatch):
    framer = Framer(Framing(32), FramedStore(tmp_path))
    small = load_framed(examples, ["a", "b"], framer)
    assert isinstance(small.images_N3SS, torch.Tensor)
    monkeypatch.setattr(dataset, "IN_MEMORY_BYTES", 0)
    large = load_framed(examples, ["a", "b"], framer)
    assert isinstance(large.images_N3SS, FramedRows)
    for rows in (ROWS, torch.arange(10)):
        assert torch.equal(small.images_N3SS[rows], large.images_N3SS[rows])
        assert torch.equal(small.targets_N1SS[rows], large.targets_N1SS[rows])
    assert small.images_N3SS.shape == large.images_N3SS.shape
    assert torch.equal(small.select([4, 2]).images_N3SS, large.select([4, 2]).images_N3SS[torch.arange(2)])
    assert torch.equal(small.known_N, torch.arange(10) < 3)
    assert large.targets_N1SS[ROWS].amax(dim=(1, 2, 3)).tolist() == [0, 255, 255, 255, 0]


def test_an_image_is_decoded_once_by_whoever_needs_it(tmp_path, examples, decoded):
    load_framed(examples, ["a", "b"], Framer(Framing(32), FramedStore(tmp_path)))
    assert sorted(decoded) == [f"{n}.png" for n in range(10)]
    stream = FramedStream(examples, ["a", "b"], Framer(Framing(32), FramedStore(tmp_path)), batch_size=4)
    pieces = list(stream)
    assert len(decoded) == 10
    assert [len(piece) for piece in pieces] == [8, 2]
    assert [position for piece in pieces for position in piece.positions] == list(range(10))
    load_framed(examples, ["a", "b"], Framer(Framing(48), FramedStore(tmp_path)))
    load_framed(examples, ["a", "b"], Framer(Framing(32, "resize"), FramedStore(tmp_path)))
    assert len(decoded) == 30, "another size or framing is another square"
    load_framed(examples, ["a", "b"], Framer(Framing(32)))
    assert len(decoded) == 40, "without a cache"


def test_a_file_that_has_changed_is_not_taken_from_the_cache(tmp_path, examples, decoded):
    framer = Framer(Framing(32), FramedStore(tmp_path))
    load_framed(examples, ["a", "b"], framer)
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes(b"broken")
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(tmp_path / "3.png")
    os.utime(tmp_path / "3.png", ns=(1, 1))
    del decoded[:]
    data = load_framed(examples, ["a", "b"], framer)
    assert sorted(decoded) == ["1.png", "2.png", "3.png"]
    assert data.positions == [0, *range(3, 10)]
    assert [("1.png" in line, "2.png" in line) for line in data.unreadable] == [(True, False), (False, True)]
    assert data.images_N3SS[1].max() == 9


def test_a_stream_names_what_it_leaves_out_and_says_when_nothing_is_left(tmp_path, examples):
    said = Spoken()
    (tmp_path / "8.png").write_bytes(b"broken")
    stream = FramedStream(examples, ["a", "b"], Framer(Framing(32)), batch_size=4, progress=said)
    assert [position for piece in stream for position in piece.positions] == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert len(said.lines) == 1
    assert "left out: " in said.lines[0]
    assert "8.png" in said.lines[0]
    alone = FramedStream(examples[8:9], ["a", "b"], Framer(Framing(32)), batch_size=4)
    with pytest.raises(DataInvalid, match="none of the 1 images can be read"):
        list(alone)


def test_where_there_is_no_room_images_are_decoded_and_that_is_said_once(tmp_path, examples, decoded):
    write_limit(tmp_path, LEAST_LIMIT)
    said = Spoken()
    framer = Framer(Framing(2048), FramedStore(tmp_path), said)
    first = load_framed(examples, ["a", "b"], framer)
    again = load_framed(examples, ["a", "b"], framer)
    assert len(said.lines) == 1
    assert "not cached for next time: its limit" in said.lines[0]
    assert "partly cache status" in said.lines[0]
    assert 10 < len(decoded) < 20, "what found room is there"
    assert torch.equal(first.images_N3SS, again.images_N3SS)


def test_rows_that_are_expected_are_made_ahead_and_others_all_the_same(tmp_path, examples, monkeypatch):
    monkeypatch.setattr(dataset, "IN_MEMORY_BYTES", 0)
    framer = Framer(Framing(32), FramedStore(tmp_path))
    data = load_framed(examples, ["a", "b"], framer)
    truth = data.images_N3SS[torch.arange(10)].clone()
    loaded, load = [], framer.load

    def counted(examples, into_N3SS, *more):
        loaded.append((threading.current_thread().name, len(examples)))
        return load(examples, into_N3SS, *more)

    monkeypatch.setattr(framer, "load", counted)
    batches = list(torch.arange(10).split(3))
    data.expect(batches)
    for batch in batches:
        assert torch.equal(data.images_N3SS[batch], truth[batch])
    here = threading.current_thread().name
    assert [count for _, count in loaded] == [3, 3, 3, 1]
    assert all(name != here for name, _ in loaded)
    data.expect(batches)
    assert torch.equal(data.images_N3SS[torch.tensor([5])], truth[5:6]), "nobody expected that"
    data.expect(batches)
    assert torch.equal(data.images_N3SS[batches[0]], truth[batches[0]])


def test_a_file_that_vanishes_in_mid_training_is_named(tmp_path, examples, monkeypatch):
    monkeypatch.setattr(dataset, "IN_MEMORY_BYTES", 0)
    data = load_framed(examples, ["a", "b"], Framer(Framing(32), FramedStore(tmp_path)))
    (tmp_path / "7.png").unlink()
    with pytest.raises(ImageUnreadable, match=r"7\.png.*could be read before"):
        data.images_N3SS[ROWS]


def test_targets_are_remembered_up_to_a_limit(tmp_path, examples, monkeypatch):
    monkeypatch.setattr(framing, "KEPT_BYTES", 200)
    data = load_framed(examples, ["a", "b"], Framer(Framing(32)))
    first = data.targets_N1SS[torch.arange(10)]
    assert torch.equal(first, data.targets_N1SS[torch.arange(10)])
    kept = data.targets_N1SS._kept
    assert 0 < len(kept) < data.known_N.sum()
    assert sum(map(len, kept.values())) <= 200


def test_who_stops_early_is_not_kept_waiting_for_the_rest():
    made = []

    def make(number):
        made.append(number)
        return number

    for number in ahead(make, range(1000)):
        if number == 2:
            break
    assert len(made) < 10
