"""What an image file claims before it is decoded, so that none costs more than `limits` allows; pure.

Only what a decoder would not bound itself is looked at: a JPEG that goes over its pixels thousands of times, a
directory whose entries all name the same bytes, pages beyond counting.
"""

import struct
from collections.abc import Iterator

from PIL import Image

from db.imaging.limits import (
    DECODED_BYTES,
    DIRECTORY_SHARE,
    JPEG_SCANS,
    MIB,
    PAGES,
    PIXELS,
    PROGRESSIVE_BYTES,
    WEBP_BYTES,
    in_words,
)

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
JPEG_MAGIC, GIF_MAGIC = b"\xff\xd8\xff", b"GIF8"
EXIF = b"Exif\0\0"
START_OF_SCAN = b"\xff\xda"
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value, by its type in a TIFF."""
INNER_DIRECTORIES = frozenset({330, 34665, 34853, 40965})
"""Tags whose value is the place of another directory: sub-images, EXIF, GPS, interoperability."""
NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes of a pixel in Pillow's memory; of all other modes 4."""
EXTENSION_BLOCKS = 10_000
"""Of one extension of a GIF."""


class TooCostly(Exception):
    """To read the file would cost more than it may; the message names the limit."""


def check_bytes(data: bytes) -> None:
    """Refuse what would cost too much to open.

    Raises:
        TooCostly: its directory names too much, or it goes over its pixels too often.
    """
    start = data[:4]
    if start[:3] == JPEG_MAGIC:
        if (scans := data.count(START_OF_SCAN)) > JPEG_SCANS:
            raise TooCostly(f"it is a JPEG with {scans:,} scans, and the limit is {JPEG_SCANS}; save it again")
        if data.count(EXIF) > 1:
            check_directory(b"".join(_exif_segments(data)))
    elif start in TIFF_MAGIC:
        check_directory(data)
    elif start == GIF_MAGIC:
        _gif_frames(data, 1)


def check_directory(tiff: bytes) -> None:
    """Refuse a directory of a TIFF (EXIF data are one) whose values would fill more than the file's own bytes.

    Raises:
        TooCostly: they would.
    """
    tiff = tiff.removeprefix(EXIF)
    layout = _Layout(tiff)
    named, waiting, seen = 0, [layout.first], set[int]()
    while waiting:
        if (place := waiting.pop()) in seen or len(seen) > PAGES:
            continue
        seen.add(place)
        for tag, kind, count, value in layout.entries(place)[0]:
            size = TYPE_BYTES.get(kind, 1) * count
            # What reaches beyond the file's end is not read.
            named += size if size <= len(tiff) else 0
            if tag in INNER_DIRECTORIES:
                waiting.append(value)
    if named > DIRECTORY_SHARE * len(tiff) + MIB:
        raise TooCostly(f"its directory claims {in_words(named)} of values, more than {DIRECTORY_SHARE} times the file")


def check_size(image: Image.Image, data: bytes) -> int:
    """Refuse an image whose decoding needs too much memory.

    Args:
        image: opened, not yet decoded.
        data: the file.

    Returns:
        Bytes that it needs.

    Raises:
        TooCostly: it has too many pixels for what they are.
    """
    pixels = image.width * image.height
    if pixels > PIXELS:
        raise TooCostly(f"it has more than {PIXELS:,} pixels, the limit for decoding; cut it into tiles")
    each = NARROW.get(image.mode, 4)
    if image.format == "WEBP":
        each = WEBP_BYTES
    elif image.format == "JPEG2000":
        each += 4 * len(image.getbands())
    elif image.format == "JPEG" and pixels * (each + PROGRESSIVE_BYTES) > DECODED_BYTES:
        each += PROGRESSIVE_BYTES if data.count(START_OF_SCAN) > 1 else 0
    if pixels * each > DECODED_BYTES:
        raise TooCostly(
            f"it is {image.width:,} x {image.height:,} pixels, and decoding them would need "
            f"{in_words(pixels * each)}; the limit is {in_words(DECODED_BYTES)}; cut it into tiles"
        )
    return pixels * each


def count_pages(data: bytes, image: Image.Image) -> int:
    """Count the pages or frames of a file up to one more than `PAGES`, without decoding them."""
    if image.format == "GIF":
        return max(_gif_frames(data, PAGES + 1), 1)
    if image.format == "TIFF":
        return max(_Layout(data).count(PAGES + 1), 1)
    return int(getattr(image, "n_frames", 1)) if image.format in ("PNG", "WEBP") else 1


class _Layout:
    """How the directories of a TIFF are written, by its first bytes."""

    def __init__(self, tiff: bytes) -> None:
        self._tiff = tiff
        order, is_big = ("<" if tiff[:2] == b"II" else ">"), tiff[2:4] in (b"+\0", b"\0+")
        number, entry, link = ("Q", "HHQQ", "Q") if is_big else ("H", "HHII", "I")
        self._number, self._entry, self._link = (struct.Struct(order + form) for form in (number, entry, link))
        self.first = self._read(self._link, 8 if is_big else 4) or 0

    def _read(self, form: struct.Struct, place: int) -> int | None:
        """Read a number, None where the file has ended."""
        if not 0 <= place <= len(self._tiff) - form.size:
            return None
        return int(form.unpack_from(self._tiff, place)[0])

    def entries(self, place: int) -> tuple[Iterator[tuple[int, int, int, int]], int]:
        """Read a directory: its entries as tag, type, count and value, as far as they are there; and the next place."""
        if not place or (count := self._read(self._number, place)) is None:
            return iter(()), 0
        start, each = place + self._number.size, self._entry.size
        end = start + count * each
        there = self._tiff[start:end]
        return self._entry.iter_unpack(there[: len(there) // each * each]), self._read(self._link, end) or 0

    def count(self, most: int) -> int:
        """Count the directories, which may come round to themselves."""
        place, seen = self.first, set[int]()
        while 0 < place < len(self._tiff) and place not in seen and len(seen) < most:
            seen.add(place)
            place = self.entries(place)[1]
        return len(seen)


def _exif_segments(jpeg: bytes) -> Iterator[bytes]:
    """Return the EXIF data of a JPEG, which Pillow puts together from all segments that have some."""
    place = 2
    while jpeg[place : place + 1] == b"\xff" and jpeg[place : place + 2] != START_OF_SCAN and place + 4 <= len(jpeg):
        length = int.from_bytes(jpeg[place + 2 : place + 4], "big")
        if jpeg[place + 1] == 0xE1 and jpeg.startswith(EXIF, place + 4):
            yield jpeg[place + 4 + len(EXIF) : place + 2 + length]
        place += 2 + max(length, 2)


def _gif_frames(data: bytes, most: int) -> int:
    """Count the frames of a GIF by its blocks.

    Raises:
        TooCostly: an extension has too many blocks, which Pillow puts together one by one.
    """
    frames, end = 0, len(data)
    place = 13 + _palette_bytes(data[10]) if end > 10 else end
    while place < end and frames < most:
        kind = data[place]
        if kind == 0x3B:
            break
        if kind == 0x2C:
            if place + 9 >= end:
                break
            frames += 1
            place = _after_blocks(data, place + 11 + _palette_bytes(data[place + 9]), end)
        elif kind == 0x21:
            place = _after_blocks(data, place + 2, EXTENSION_BLOCKS)
        else:
            place += 1
    return frames


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, place: int, most: int) -> int:
    """Return the place behind a chain of blocks."""
    end = len(data)
    for _ in range(most + 1):
        if place >= end or not data[place]:
            return place + 1
        place += data[place] + 1
    raise TooCostly(f"it is a GIF with an extension of more than {most:,} blocks")
