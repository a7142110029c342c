"""DICOM files, parsed within limits: what a file claims is checked before any decoder believes it."""

import io
import logging
import warnings
import zlib
from typing import Any

from db.imaging.limits import (
    DICOM_FRAME_PIXELS,
    DICOM_FRAMES,
    DICOM_INFLATED_BYTES,
    DICOM_PIXELS,
    DICOM_PIXELS_PER_BYTE,
    in_words,
)

JPEG_FRAMES = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
"""Markers after which a JPEG (the last: a JPEG-LS) states its size."""
JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
STREAM_SHARE = 4
"""How much larger than the file says a compressed image may be: some programs fill up its edges."""


class DicomUnusable(Exception):
    """The file cannot be shown; the message says why and what to do."""


def said(exc: Exception) -> str:
    """Put what pydicom raised in one line."""
    if isinstance(exc, DicomUnusable):
        return str(exc)
    if isinstance(exc, MemoryError):
        return "there is not enough memory"
    return " ".join(str(exc).split())[:200] or type(exc).__name__


def check_claims(dataset: Any, size: int) -> tuple[int, int, int]:
    """Return frames, width and height as a file states them, once they are whole numbers and not too many.

    Raises:
        DicomUnusable: they are not.
    """
    frames = _whole(dataset, "NumberOfFrames", absent=1)
    if frames == 1 and "NumberOfFrames" in dataset:
        dataset.NumberOfFrames = 1  # as a decoder needs it, where it was blank
    width, height = _whole(dataset, "Columns"), _whole(dataset, "Rows")
    if frames > DICOM_FRAMES:
        raise DicomUnusable(f"it claims to have {frames:,} frames; the limit is {DICOM_FRAMES:,}")
    if width * height > DICOM_FRAME_PIXELS:
        raise DicomUnusable(
            f"it claims {width:,} x {height:,} pixels per frame; the limit per frame is {DICOM_FRAME_PIXELS:,}"
        )
    if frames * width * height > DICOM_PIXELS + DICOM_PIXELS_PER_BYTE * size:
        raise DicomUnusable(
            f"it claims to have {frames:,} frames of {width:,} x {height:,} pixels, more than a file of "
            f"{in_words(size)} may have: {DICOM_PIXELS_PER_BYTE} per byte, plus {DICOM_PIXELS:,}"
        )
    return frames, width, height


def _whole(dataset: Any, keyword: str, *, absent: int | None = None) -> int:
    """Read a number from 1; `absent` is what holds where it is not stated, or (as some programs write) empty or 0."""
    try:
        value = dataset.get(keyword)
    except Exception as exc:
        # pydicom parses an element when it is asked for, and raises what it likes.
        raise DicomUnusable(f"its {keyword} cannot be read ({said(exc)})") from exc
    if absent is not None and (value is None or str(value).strip() in ("", "0")):
        return absent
    if value is None:
        raise DicomUnusable(f"the DICOM file does not say how large its image is (no {keyword})")
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if number < 1:
        raise DicomUnusable(f"its {keyword} is {str(value)[:40]!r}, expected a whole number from 1")
    return number


def check_stream(dataset: Any, frame: int) -> None:
    """Refuse a frame whose compressed image is larger than the file says: decoders make what the image asks for.

    Raises:
        DicomUnusable: it is.
    """
    from pydicom.encaps import get_frame

    number = int(dataset.get("NumberOfFrames") or 1)
    found = _stream_size(get_frame(dataset.PixelData, frame, number_of_frames=number))
    if found is not None and found[0] * found[1] > STREAM_SHARE * int(dataset.Rows) * int(dataset.Columns):
        raise DicomUnusable(
            f"its compressed image is {found[0]} x {found[1]} pixels, but the file says "
            f"{dataset.Columns} x {dataset.Rows}"
        )


def _stream_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height that a JPEG, JPEG-LS or JPEG 2000 states, None where nothing is found."""
    if (at := data.find(JPEG_2000_SIZE)) >= 0 and not data.startswith(b"\xff\xd8"):
        right, bottom, left, top = (int.from_bytes(data[at + 8 + 4 * n : at + 12 + 4 * n], "big") for n in range(4))
        return right - left, bottom - top
    place = 2
    while data.startswith(b"\xff\xd8") and place + 9 <= len(data):
        if data[place] != 0xFF:
            place += 1
        elif data[place + 1] in JPEG_FRAMES:
            height, width = (int.from_bytes(data[place + n : place + n + 2], "big") for n in (5, 7))
            return width, height
        else:
            alone = data[place + 1] in (0xFF, 0x00, 0x01)
            place += 1 if alone else 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return None


class _Bounded(io.BytesIO):
    """The bytes of a file; only a deflated one is read to its end at once, and is inflated first, up to a limit."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is None or size < 0:
            inflater, total, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, data
            try:
                while rest and not inflater.eof and total <= DICOM_INFLATED_BYTES:
                    total += len(inflater.decompress(rest, 2**24))
                    rest = inflater.unconsumed_tail
            except zlib.error:
                return data  # it is cut short or damaged, which pydicom says
            if total > DICOM_INFLATED_BYTES:
                raise DicomUnusable(f"it inflates to more than {in_words(DICOM_INFLATED_BYTES)}, the limit")
        return data


def read_dataset(data: bytes) -> Any:
    """Parse a file; its elements are read when they are asked for.

    Raises:
        DicomUnusable: pydicom is not installed, or the file is damaged.
    """
    try:
        import pydicom
    except ImportError as exc:
        raise DicomUnusable("DICOM files need: pip install 'partly[dicom]'") from exc
    if not (log := logging.getLogger("pydicom")).handlers:
        # It logs what it thinks of damaged values, which Python would print among the progress bars.
        log.addHandler(logging.NullHandler())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(_Bounded(data))
    except DicomUnusable:
        raise
    except Exception as exc:
        raise DicomUnusable(f"it is not a readable DICOM file ({said(exc)})") from exc
