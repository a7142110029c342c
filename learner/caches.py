"""What a project keeps to save time, how much room it takes, and how to be rid of it. All of it can be made again."""

import difflib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from db.errors import InvalidArgument
from db.imaging.paths import CACHE as REMOTE_COPIES
from learner.cache_place import FEATURES, SCORES, check_limit, write_limit
from learner.data.framed_store import FOLDER as FRAMED
from learner.data.framed_store import FramedStore

KINDS = {
    "framed": (FRAMED, "images, decoded and framed for networks"),
    "features": (FEATURES, "features of images, for query strategies"),
    "scores": (SCORES, "scores of large pools, for propose"),
    "remote": (REMOTE_COPIES, "copies of images behind URIs"),
}
"""Name, folder in the project, and what is in it."""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """One kind of what is kept."""

    kind: str
    holds: str
    items: int
    """Images of `framed`, files of the others."""
    bytes: int
    """On disk."""
    limit_bytes: int | None
    """None where there is none."""
    folder: Path


def measure_caches(root: Path) -> list[CacheSize]:
    """Count what a project keeps."""
    found = []
    for kind, (folder, holds) in KINDS.items():
        if kind == "framed":
            status = FramedStore(root).status()
            found.append(CacheSize(kind, holds, status.images, status.disk_bytes, status.limit_bytes, root / folder))
            continue
        sizes = [file.stat().st_size for file in (root / folder).rglob("*") if file.is_file()]
        found.append(CacheSize(kind, holds, len(sizes), sum(sizes), None, root / folder))
    return found


def clear_caches(root: Path, kinds: Sequence[str] = (), *, dry_run: bool = False) -> list[CacheSize]:
    """Delete what a project keeps.

    Args:
        root: the project's folder.
        kinds: from `KINDS`; none for all of them.
        dry_run: delete nothing.

    Returns:
        What was there.

    Raises:
        InvalidArgument: there is no such kind.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        near = difflib.get_close_matches(unknown[0], KINDS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InvalidArgument(f"there is no cache {unknown[0]!r}; {meant}there are {', '.join(KINDS)}")
    chosen = [found for found in measure_caches(root) if found.kind in (kinds or KINDS)]
    if not dry_run:
        for found in chosen:
            if found.kind == "framed":
                FramedStore(root).clear()
            else:
                shutil.rmtree(found.folder, ignore_errors=True)
    return chosen


def set_limit(root: Path, text: str, *, dry_run: bool = False) -> int:
    """Set how much room framed images may take.

    Returns:
        Bytes.

    Raises:
        InvalidArgument: that is no size, or too little.
    """
    limit_bytes = check_limit(parse_bytes(text))
    if not dry_run:
        write_limit(root, limit_bytes)
    return limit_bytes


UNITS = {"": 1, "B": 1, "MB": 2**20, "MIB": 2**20, "GB": 2**30, "GIB": 2**30, "TB": 2**40, "TIB": 2**40}
"""Powers of two, as sizes are shown."""


def parse_bytes(text: str) -> int:
    """Read a size as people write it: 20GB, 1.5 TB, 500 MiB.

    Raises:
        InvalidArgument: it is none.
    """
    number = text.strip().rstrip("BbIiMmGgTt").strip()
    unit = text.strip()[len(number) :].strip().upper()
    try:
        return int(float(number) * UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        raise InvalidArgument(f"expected a size with MB, GB or TB, such as 20GB; got {text!r}") from None
