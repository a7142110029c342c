"""How much room the framed images of a project may take: a setting that lies beside them."""

import json
from pathlib import Path

from db.atomic_write import OWNER_ONLY, write_text
from db.errors import InvalidArgument

LIMIT_FILE = Path(".cache") / "framed.json"
DEFAULT_LIMIT = 20 * 2**30
"""Bytes on disk at most, unless `partly cache limit` says otherwise."""
LEAST_LIMIT = 16 * 2**20


def read_limit(root: Path) -> int:
    """Return how many bytes the cache of a project may take."""
    try:
        found = json.loads((root / LIMIT_FILE).read_text(encoding="utf-8"))["limit_bytes"]
        return max(LEAST_LIMIT, int(found))
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_LIMIT


def check_limit(limit_bytes: int) -> int:
    """Return a limit.

    Raises:
        InvalidArgument: it is too low to be of use.
    """
    if limit_bytes < LEAST_LIMIT:
        raise InvalidArgument(f"the cache needs at least {LEAST_LIMIT // 2**20} MiB, got {limit_bytes} bytes")
    return limit_bytes


def write_limit(root: Path, limit_bytes: int) -> None:
    """Set how many bytes the cache of a project may take."""
    write_text(root / LIMIT_FILE, json.dumps({"limit_bytes": limit_bytes}), mode=OWNER_ONLY)
