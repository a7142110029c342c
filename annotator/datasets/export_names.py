"""Names of the files of an export: none of an image, its mask or its label can be another's, on any file system."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from db.atomic_write import shortened
from db.imaging.decode import SUFFIXES
from db.records import ImageRecord

LONGEST_STEM = 180
"""Bytes of an original's name that a copy keeps; with a number and the ends of masks and labels it stays below 255."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that mean devices on Windows, whatever their end."""


def reserve_stems(records: Sequence[ImageRecord]) -> dict[int, str]:
    """Name images by number, without the ends of their names; those that share a name get their number added.

    The names differ in more than case and the spelling of accents, which some file systems do not keep apart, so that
    whatever end is added to two of them, two files come of it. They do not depend on the order of the images.

    Returns:
        Each image's stem: letters, digits and `_.()-`, at most `LONGEST_STEM` bytes and its number.
    """
    plain = {record.id: _plain(record) for record in records}
    counts = Counter(_key(stem) for stem in plain.values())
    taken = set(counts)
    stems: dict[int, str] = {}
    for number in sorted(plain):
        stem = plain[number]
        if counts[_key(stem)] > 1:
            stem = f"{stem}-{number}"
            while _key(stem) in taken:
                stem += "-"
            taken.add(_key(stem))
        stems[number] = stem
    return stems


def _plain(record: ImageRecord) -> str:
    known = record.path.suffix.lower() in SUFFIXES
    stem = unicodedata.normalize("NFC", record.path.stem if known else record.path.name)
    # What a file system cannot say, such as half of a character, is among the odd characters.
    stem = re.sub(r"[^\w.()-]+|[\ud800-\udfff]+", "_", stem).strip(".")
    stem = shortened(stem, LONGEST_STEM).strip(".") or "image"
    return f"_{stem}" if RESERVED.fullmatch(stem) else stem


def _key(stem: str) -> str:
    """Return what two names have in common that some file system takes for one."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", stem).casefold())
