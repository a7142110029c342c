"""Where framed images may be kept, and how much room they may take: a setting that lies beside them."""

import functools
import json
from pathlib import Path

import psutil

from db.atomic_write import OWNER_ONLY, write_text
from db.errors import InvalidArgument

SCORES = Path(".cache") / "scores"
"""Folder in the project for scores of large pools."""
FEATURES = Path(".cache") / "features"
"""Folder in the project for features of images."""

LIMIT_FILE = Path(".cache") / "framed.json"
DEFAULT_LIMIT = 20 * 2**30
"""Bytes on disk at most, unless `partly cache limit` says otherwise."""
LEAST_LIMIT = 16 * 2**20
OVER_A_NETWORK = (
    "nfs", "cifs", "smb", "lustre", "gluster", "ceph", "beegfs", "gpfs", "afs", "ncpfs", "pvfs", "orangefs",
    "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs", "fuse.ceph", "fuse.gluster",
    "fuse.moosefs",
)  # fmt: skip
"""What the types of file systems begin with that several machines may write to: their locks and maps are not shared."""


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
        raise InvalidArgument(f"the cache limit must be at least {LEAST_LIMIT // 2**20} MiB, got {limit_bytes} bytes")
    return limit_bytes


def write_limit(root: Path, limit_bytes: int) -> None:
    """Set how many bytes the cache of a project may take."""
    write_text(root / LIMIT_FILE, json.dumps({"limit_bytes": limit_bytes}), mode=OWNER_ONLY)


@functools.lru_cache(maxsize=64)
def network_file_system(folder: Path) -> str | None:
    """Name the type of the file system that a folder is on, where other machines may write to it; else None."""
    place = folder.resolve()
    try:
        mounts = [mount for mount in psutil.disk_partitions(all=True) if place.is_relative_to(mount.mountpoint)]
    except (OSError, RuntimeError):
        return None
    nearest = max(mounts, key=lambda mount: len(mount.mountpoint), default=None)
    if nearest is None or not nearest.fstype.lower().startswith(OVER_A_NETWORK):
        return None
    return str(nearest.fstype)
