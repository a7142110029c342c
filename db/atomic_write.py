"""Files that are put in place whole or not at all: written beside their target, synced, then renamed over it.

A draft's name is its own: no two processes write the same one, however long the target's name is, and it says whose it
is, so that what a killed process left behind can be told from what is being written.
"""

import errno
import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from db.process import process_runs

OWNER_ONLY = 0o600
"""Permissions of what may hold patients' data: registries, backups, checkpoints, caches."""
LONGEST_NAME = 255
"""Bytes of a file's name, on nearly every file system."""
LONGEST_MARK = 64
"""Bytes that a draft's name has beyond the target's: host, process, token, ".partial", and SQLite's "-journal"."""
STALE_S = 3600.0
"""A draft whose process is gone, or unknown here, counts as left behind once nothing has changed in it for so long."""
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Answers of a file system that has no second names for a file."""
_DRAFT = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.partial(-wal|-shm|-journal)?", re.DOTALL)


def draft_of(target: Path) -> Path:
    """Return a name beside `target` that no other process uses, to write to before it takes the target's place."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    name = shortened(target.name, LONGEST_NAME - LONGEST_MARK)
    return target.with_name(f".{name}.{host}-{os.getpid()}-{secrets.token_hex(4)}.partial")


def shortened(name: str, limit: int) -> str:
    """Cut a file's name to so many bytes, between characters."""
    while len(os.fsencode(name)) > limit:
        name = name[: min(len(name) - 1, limit)]
    return name


def left_behind(folder: Path) -> list[Path]:
    """Find drafts in a folder (not below it) of processes that were killed while they wrote.

    A draft of a process that runs on this machine is none, however old; one of another machine is one when nothing has
    changed in it for `STALE_S`.
    """
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names are enough
    except OSError:
        return []
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    found = []
    for name in names:
        match = _DRAFT.fullmatch(name)
        if match is None:
            continue
        with suppress(OSError):
            draft = folder / name
            changed = _last_change(draft)
            alive = match["host"] == host and process_runs(
                int(match["pid"]), since=datetime.fromtimestamp(changed, UTC)
            )
            if not alive and abs(time.time() - changed) > STALE_S:
                found.append(draft)
    return found


def _last_change(draft: Path) -> float:
    """Return when something in a draft changed; a folder's own time says nothing of the files in those below it."""
    parts = [draft, *draft.iterdir()] if draft.is_dir() and not draft.is_symlink() else [draft]
    return max(part.lstat().st_mtime for part in parts)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone; one that is there stays as it is."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def replacing(
    target: Path, *, mode: int = 0o666, durable: bool = True, named: Callable[[Path], Path] | None = None
) -> Iterator[Path]:
    """Give a new file beside `target` to write to; it takes the target's place when the block ends without an error.

    Args:
        target: the file to make or replace; its folder is made where it is missing, for the owner alone if the file is.
        mode: permissions of the new file, from before its first byte is written, less what the umask withholds.
        durable: wait until the disk has it, so that a power cut right after leaves the new file; False for many files
            that can be made again.
        named: given the finished draft, returns where it goes instead: for names that depend on the content.

    Yields:
        The path to write to. After an error it is removed, and the target is as it was.

    Raises:
        OSError: there is no space, or no permission.
    """
    with _draft(target, mode) as draft:
        yield draft
        if durable:
            _sync(draft)
        draft.replace(named(draft) if named is not None else target)
        if durable:
            _sync(target.parent)


@contextmanager
def creating(target: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Do as `replacing`, but never overwrite: of several processes that make one file, exactly one succeeds.

    Raises:
        FileExistsError: the target is there, or another process has made it in the meantime; it is left alone.
        OSError: there is no space, or no permission.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    with _draft(target, mode) as draft:
        yield draft
        _sync(draft)
        place_new(draft, target)
        _sync(target.parent)


def place_new(draft: Path, target: Path) -> None:
    """Give a finished draft its name, unless something has that name: the file system decides who comes first.

    Raises:
        FileExistsError: something has it, and is left alone.
        OSError: the draft cannot be put there.
    """
    try:
        os.link(draft, target)
    except OSError as exc:
        if exc.errno not in NO_LINKS:
            raise
        # As on FAT and some network drives. The name is taken first, then what it stands for is put there.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
        draft.replace(target)


@contextmanager
def _draft(target: Path, mode: int) -> Iterator[Path]:
    try:
        if mode & 0o077:
            target.parent.mkdir(parents=True, exist_ok=True)
        else:
            make_private(target.parent)
    except FileExistsError as exc:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent)) from exc
    draft = draft_of(target)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until the disk has a file's content, or a folder's names where the system can be asked for that."""
    if not path.is_dir():
        # To be written: Windows syncs no file that is open for reading alone.
        with path.open("r+b") as written:
            os.fsync(written.fileno())
        return
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_bytes(target: Path, content: bytes, *, mode: int = 0o666, durable: bool = True) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: there is no space, or no permission; the target is as it was.
    """
    with replacing(target, mode=mode, durable=durable) as draft:
        draft.write_bytes(content)


def write_text(target: Path, content: str, *, mode: int = 0o666) -> None:
    """Write a text file (UTF-8) whole or not at all.

    Raises:
        OSError: there is no space, or no permission; the target is as it was.
    """
    write_bytes(target, content.encode("utf-8"), mode=mode)
