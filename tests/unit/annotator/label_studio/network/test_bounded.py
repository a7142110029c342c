"""No answer fills the memory or lasts for ever, packed or not."""

import gzip
import time
import zlib

import httpx
import pytest

from annotator.label_studio.network import bounded
from annotator.label_studio.network.bounded import AnswerTooLarge, bound_answer

MIB = 2**20


class Pieces(httpx.SyncByteStream):
    def __init__(self, pieces):
        self.pieces, self.sent = pieces, 0

    def __iter__(self):
        for piece in self.pieces:
            self.sent += len(piece)
            yield piece


def answered(pieces, monkeypatch=None, **headers):
    stream = Pieces(pieces)
    transport = httpx.MockTransport(
        lambda _: httpx.Response(
            200, headers={name.replace("_", "-"): text for name, text in headers.items()}, stream=stream
        )
    )
    with httpx.Client(transport=transport, event_hooks={"response": [bound_answer]}) as client:
        return client.get("http://labels.test/"), stream


def test_what_fits_comes_through_as_it_was_sent():
    text = bytes(range(256)) * 9000
    assert answered([text[:5], text[5:]])[0].content == text
    packed = gzip.compress(text)
    assert answered([packed[:100], packed[100:]], content_encoding="gzip")[0].content == text
    assert answered([zlib.compress(text)], content_encoding="deflate")[0].content == text
    assert answered([])[0].content == b""


def test_an_endless_answer_is_left_at_the_limit(monkeypatch):
    monkeypatch.setattr(bounded, "BIGGEST_ANSWER", 3 * MIB)
    stream = Pieces(bytes(MIB) for _ in range(10**6))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=stream))
    with (
        httpx.Client(transport=transport, event_hooks={"response": [bound_answer]}) as client,
        pytest.raises(AnswerTooLarge, match="larger than 3 MiB"),
    ):
        client.get("http://labels.test/")
    assert stream.sent == 4 * MIB


def test_a_packed_answer_counts_by_what_it_unpacks_to(monkeypatch):
    monkeypatch.setattr(bounded, "BIGGEST_ANSWER", 3 * MIB)
    for pack in (gzip.compress, zlib.compress):
        with pytest.raises(AnswerTooLarge, match="larger than 3 MiB"):
            answered([pack(bytes(64 * MIB))], content_encoding="gzip")


def test_an_answer_that_says_itself_that_it_is_too_large_is_not_read():
    with pytest.raises(AnswerTooLarge):
        answered([b"x"], content_length=str(10**12))


def test_an_answer_that_drips_ends(monkeypatch):
    monkeypatch.setattr(bounded, "LONGEST_ANSWER_S", 0.05)

    def drops():
        while True:
            time.sleep(0.02)
            yield b" "

    with pytest.raises(AnswerTooLarge, match="too long"):
        answered(drops())


def test_other_ways_of_packing_and_broken_ones_are_refused():
    with pytest.raises(AnswerTooLarge, match="'br', which was not requested"):
        answered([b"x"], content_encoding="br")
    with pytest.raises(httpx.DecodingError):
        answered([b"no gzip at all"], content_encoding="gzip")
