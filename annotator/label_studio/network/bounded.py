"""How much a server may send, and for how long: enforced while its answer arrives, packed or not."""

import time
import zlib
from collections.abc import Iterator

import httpx

BIGGEST_ANSWER = 512 * 2**20
"""Bytes of one answer, unpacked. A page of 250 tasks with painted masks has some ten million."""
LONGEST_ANSWER_S = 900.0
"""Seconds in which one answer has to be there, however steadily it drips."""
PIECE = 2**20
"""Bytes that are unpacked at a time."""
ACCEPTED = "gzip, deflate"


class AnswerTooLarge(httpx.HTTPError):
    """A server sends more, or for longer, than any answer needs."""


class BoundedStream(httpx.SyncByteStream):
    """An answer's body, unpacked, which ends with an error once it is too large or takes too long."""

    def __init__(self, stream: httpx.SyncByteStream, encoding: str, *, biggest: int, longest_s: float) -> None:
        """Wrap a body.

        Args:
            stream: as it arrives.
            encoding: how it is packed: gzip, deflate, or nothing.
            biggest: bytes, unpacked.
            longest_s: seconds from now.

        Raises:
            AnswerTooLarge: it is packed in a way that was not asked for.
        """
        if encoding not in ("", "identity", "gzip", "deflate"):
            raise AnswerTooLarge(f"the response is compressed with {encoding!r}, which was not requested")
        self._stream = stream
        # Headers of gzip and zlib are recognised by themselves.
        self._unpack = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None
        self._biggest, self._until = biggest, time.monotonic() + longest_s

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body in pieces.

        Raises:
            AnswerTooLarge: it is more than it may be, or takes too long.
        """
        count = 0
        for part in self._stream:
            for piece in self._unpacked(part):
                count += len(piece)
                if count > self._biggest:
                    raise AnswerTooLarge(f"the response is larger than {self._biggest // 2**20} MiB")
                yield piece
            if time.monotonic() > self._until:
                raise AnswerTooLarge("the response takes too long")

    def _unpacked(self, part: bytes) -> Iterator[bytes]:
        if self._unpack is None:
            yield part
            return
        while part:
            try:
                yield self._unpack.decompress(part, PIECE)
            except zlib.error as exc:
                raise httpx.DecodingError(f"the response cannot be decompressed ({exc})") from exc
            part = self._unpack.unconsumed_tail

    def close(self) -> None:
        """Let the connection go."""
        self._stream.close()


def bound_answer(answer: httpx.Response) -> None:
    """Limit an answer before its body is read; a response hook of httpx.

    Raises:
        AnswerTooLarge: it says itself that it is too large.
    """
    announced = answer.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > BIGGEST_ANSWER:
        raise AnswerTooLarge(f"the response is larger than {BIGGEST_ANSWER // 2**20} MiB")
    encoding = answer.headers.pop("content-encoding", "").strip().lower()
    if isinstance(answer.stream, httpx.SyncByteStream):
        answer.stream = BoundedStream(answer.stream, encoding, biggest=BIGGEST_ANSWER, longest_s=LONGEST_ANSWER_S)
