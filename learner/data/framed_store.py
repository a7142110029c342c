"""The cache of framed images: a file in the project that every command and process reads and writes, on LMDB.

An image is found by its content, the size and the framing, so nothing has to be told when files move, and every command
decodes an image at most once. What is in it can always be made again: whatever is wrong with the cache (a full disk, a
damaged file, a folder that is read-only) costs time and nothing else.

LMDB because writing is atomic under kill -9, several processes may write at once, reading is a copy out of mapped
memory, and old entries can be taken out one by one. Formats of shards (WebDataset, MosaicML Streaming) are written once
and read in order; Zarr has no transactions; a file an image would be a million files.

Shape legend: N images, S side of the square.
"""

import contextlib
import hashlib
import itertools
import os
import shutil
import struct
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from numpy.typing import NDArray

from db.atomic_write import OWNER_ONLY
from db.imaging.limits import in_words
from learner.cache_place import network_file_system, read_limit

FOLDER = Path(".cache") / "framed"
VERSION = 1
"""Part of every key: raise it where decoding or framing comes to answer otherwise."""

FREE_BYTES = 2**30
"""Left free on the disk for everybody else."""
FILLED = 0.9
"""Share of the limit that images may fill: taking some out needs room, too."""
MADE_ROOM = 0.1
"""Share of the limit that is freed at once."""
USE_SECONDS = 3600.0
"""How exactly it is known when an image was last used."""
KEPT_OPEN = 4
"""Caches that one process keeps open; a notebook may work on several projects."""

KEY_BYTES = 32
_PAGE = 4096
_LOCK = threading.RLock()
_environments: OrderedDict[tuple[int, Path], tuple[lmdb.Environment, int]] = OrderedDict()
"""By process and folder, with the file's inode: LMDB wants a file to be opened once by a process, and never to be taken
along into a forked one. Whoever uses them holds the lock."""
_CHECK = struct.Struct("<I")
_STAMP = struct.Struct("<d")
_BROKEN = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.PanicError, lmdb.VersionMismatchError)


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """What is in the cache of framed images."""

    images: int
    bytes: int
    """That the images take."""
    disk_bytes: int
    """That the file takes; room of images that were taken out is used again, and not given back."""
    limit_bytes: int
    folder: Path


def framed_key(content_hash: str, size: int, framing: str, file: str = "") -> bytes:
    """Name an image of this content in a square of this size.

    Args:
        content_hash: as it was registered.
        size: side of the square, pixels.
        framing: `letterbox` or `resize`.
        file: says when its file was changed, so that one which is changed later is not taken for it.
    """
    return hashlib.sha256(f"{VERSION}/{content_hash}/{size}/{framing}/{file}".encode()).digest()


class FramedStore:
    """Framed images on disk. Safe to be used by several threads, and processes."""

    def __init__(self, root: Path) -> None:
        """Name the cache of a project.

        Args:
            root: the project's folder; nothing is opened or made yet.
        """
        self.folder = root / FOLDER
        self.limit_bytes = read_limit(root)
        self.trouble: str | None = None
        """Why nothing more is stored in it; None while all is well."""
        shared = network_file_system(root / FOLDER.parent)
        self._usable = shared is None
        if shared is not None:
            self.trouble = (
                f"{root / FOLDER.parent} is on a network file system ({shared}), where several machines may write"
            )
        self._began = time.time()

    def read(self, keys: Sequence[bytes], into_N3SS: NDArray[np.uint8]) -> list[bool]:
        """Copy images into an array, and note that they are in use.

        Args:
            keys: from `framed_key`.
            into_N3SS: uint8; a row is left alone where there is no such image.

        Returns:
            Whether each was there.
        """
        found = [False] * len(keys)
        with self._reading() as transaction:
            if transaction is None:
                return found
            for n, key in enumerate(keys):
                value = transaction.get(key)
                found[n] = value is not None and _unpack(value, into_N3SS[n])
        self._note_use([key for key, there in zip(keys, found, strict=True) if there])
        return found

    def has(self, keys: Sequence[bytes]) -> list[bool]:
        """Say which images are there, and note that they are in use."""
        found = [False] * len(keys)
        with self._reading() as transaction:
            if transaction is not None:
                found = [transaction.get(key) is not None for key in keys]
        self._note_use([key for key, there in zip(keys, found, strict=True) if there])
        return found

    def write(self, squares: Mapping[bytes, NDArray[np.uint8]]) -> bool:
        """Store images, uint8 3SS, in one step; the oldest are taken out where there is no room.

        Returns:
            Whether all are there now. Where they are not, `trouble` says why, and nothing more is stored.
        """
        if self.trouble is not None or not squares:
            return not squares
        values = {key: _pack(square_3SS) for key, square_3SS in squares.items()}
        needed = sum(map(_pages, values.values())) * _PAGE
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if shutil.disk_usage(self.folder).free < needed + FREE_BYTES and not self._has_room(needed):
                self.trouble = "the disk is nearly full"
                return False
            with _LOCK:
                return self._write(values, needed)
        except (lmdb.Error, OSError) as exc:
            self.trouble = getattr(exc, "strerror", None) or str(exc)
            return False

    def _write(self, values: Mapping[bytes, bytes], needed: int) -> bool:
        for _ in range(4):
            environment = self._environment()
            if self._live_bytes(environment) + needed > FILLED * self.limit_bytes and not self._make_room(needed):
                self.trouble = f"its limit of {in_words(self.limit_bytes)} is reached by images in use"
                values = self._fitting(values, int(FILLED * self.limit_bytes) - self._live_bytes(environment))
            try:
                with self._transaction(write=True) as transaction:
                    stamps = environment.open_db(b"used", txn=transaction)
                    now = _STAMP.pack(time.time())
                    for key, value in values.items():
                        transaction.put(key, value, overwrite=False)
                        transaction.put(key, now, db=stamps)
                return self.trouble is None
            except lmdb.MapFullError:
                # Free pages lie apart from each other, and those of the last transaction cannot be used yet.
                self._make_room(int(MADE_ROOM * self.limit_bytes))
        self.trouble = f"its limit of {in_words(self.limit_bytes)} is reached"
        return False

    def _fitting(self, values: Mapping[bytes, bytes], room: int) -> dict[bytes, bytes]:
        """Return the first of some images that go into so many bytes."""
        ends = itertools.accumulate(_pages(value) * _PAGE for value in values.values())
        return {key: values[key] for key, end in zip(values, ends, strict=True) if end <= room}

    def _has_room(self, needed: int) -> bool:
        """Say whether so many bytes go into pages that the file has already."""
        try:
            with _LOCK:
                environment = self._environment()
                info = environment.info()
                return bool((info["last_pgno"] + 1) * _PAGE - self._live_bytes(environment) > 2 * needed)
        except (lmdb.Error, OSError):
            return False

    def _make_room(self, needed: int) -> bool:
        """Take the images out that were used longest ago, but for those of this command."""
        environment, room = self._environment(), max(needed, int(MADE_ROOM * self.limit_bytes))
        with self._transaction(write=False) as transaction:
            stamps = environment.open_db(b"used", txn=transaction, create=False)
            keys, stamps_N = _columns(transaction.cursor(stamps))
            chosen, freed = list[bytes](), 0
            for n in np.argsort(stamps_N, kind="stable").tolist():
                # Stamps are that exact; what may be in use stays.
                if freed >= room or stamps_N[n] > self._began - USE_SECONDS:
                    break
                key = bytes(keys[n * KEY_BYTES : (n + 1) * KEY_BYTES])
                chosen.append(key)
                freed += _pages(transaction.get(key) or b"") * _PAGE
        if not chosen:
            return False
        with self._transaction(write=True) as transaction:
            stamps = environment.open_db(b"used", txn=transaction)
            for key in chosen:
                transaction.delete(key)
                transaction.delete(key, db=stamps)
        return freed >= needed

    def _note_use(self, keys: Sequence[bytes]) -> None:
        now = time.time()
        with contextlib.suppress(lmdb.Error, OSError), _LOCK:
            if not keys or self.trouble is not None:
                return
            environment = self._environment()
            with self._transaction(write=False) as transaction:
                stamps = environment.open_db(b"used", txn=transaction, create=False)
                known = {key: transaction.get(key, db=stamps) for key in keys}
                aged = [key for key, stamp in known.items() if stamp and now - _STAMP.unpack(stamp)[0] > USE_SECONDS]
            if aged:
                with self._transaction(write=True) as transaction:
                    for key in aged:
                        transaction.put(key, _STAMP.pack(now), db=environment.open_db(b"used", txn=transaction))

    def status(self) -> CacheStatus:
        """Count what is there."""
        file = self.folder / "data.mdb"
        if not self._usable or not file.exists():
            return CacheStatus(0, 0, 0, self.limit_bytes, self.folder)
        try:
            with _LOCK:
                environment = self._environment()
                # The table of stamps is an entry of the first one.
                images, used = max(0, environment.stat()["entries"] - 1), self._live_bytes(environment)
        except (lmdb.Error, OSError):
            images = used = 0
        return CacheStatus(images, used, _on_disk(file), self.limit_bytes, self.folder)

    def clear(self) -> int:
        """Delete the cache, whoever uses it: they go on with what they have mapped.

        Returns:
            Bytes that are free again.
        """
        with _LOCK:
            _close(self.folder)
            freed = _on_disk(self.folder / "data.mdb")
            shutil.rmtree(self.folder, ignore_errors=True)
        return freed

    def _live_bytes(self, environment: lmdb.Environment) -> int:
        """Bytes of the pages that hold something; images, nearly all of it."""
        found = environment.stat()
        return int((found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"]) * found["psize"])

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Any]:
        """Open a reading transaction; None where there is nothing to read."""
        if not self._usable or not (self.folder / "data.mdb").exists():
            yield None
            return
        with _LOCK:
            try:
                transaction = self._transaction(write=False)
                entered = transaction.__enter__()
            except (lmdb.Error, OSError):
                yield None
                return
            try:
                yield entered
            finally:
                transaction.__exit__(None, None, None)

    def _transaction(self, *, write: bool) -> Any:
        environment = self._environment()
        begin: Callable[[], Any] = (
            (lambda: environment.begin(write=True)) if write else (lambda: environment.begin(buffers=True))
        )
        try:
            return begin()
        except lmdb.MapResizedError:
            # Another process has a higher limit.
            environment.set_mapsize(0)
            return begin()

    def _environment(self) -> lmdb.Environment:
        """Return the open file, opened first where it has to be; call it with the lock held."""
        return _open(self.folder, self.limit_bytes)


def _columns(cursor: lmdb.Cursor) -> tuple[bytearray, NDArray[np.float64]]:
    """Read all keys, one after the other, and their stamps: a million of them are 40 MB so."""
    keys, stamps = bytearray(), bytearray()
    for key, stamp in cursor:
        keys += key
        stamps += stamp
    return keys, np.frombuffer(stamps, dtype=np.float64)


def _open(folder: Path, limit_bytes: int) -> lmdb.Environment:
    place = (os.getpid(), folder)
    if place in _environments:
        environment, inode = _environments[place]
        if _inode(folder) == inode:
            _environments.move_to_end(place)
            return environment
        # Somebody has cleared the cache.
        _close(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        environment = _checked(folder, limit_bytes)
    except _BROKEN:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        environment = _checked(folder, limit_bytes)
    _environments[place] = environment, _inode(folder)
    while len(_environments) > KEPT_OPEN:
        _, (oldest, _) = _environments.popitem(last=False)
        oldest.close()
    return environment


def _inode(folder: Path) -> int:
    file = folder / "data.mdb"
    return file.stat().st_ino if file.exists() else 0


def _checked(folder: Path, limit_bytes: int) -> lmdb.Environment:
    """Open a file whose end is there: what is mapped beyond it would end the process."""
    file = folder / "data.mdb"
    environment = lmdb.open(
        str(folder), map_size=max(limit_bytes, _size(file)), max_dbs=1, max_readers=1024, mode=OWNER_ONLY,
        readahead=False,
        # The last images may be lost with the power, nothing else.
        metasync=False,
    )  # fmt: skip
    try:
        info = environment.info()
        if _size(file) < (info["last_pgno"] + 1) * environment.stat()["psize"]:
            raise lmdb.CorruptedError("its end is missing")
        with environment.begin(write=True) as transaction:
            environment.open_db(b"used", txn=transaction)
    except BaseException:
        environment.close()
        raise
    return environment


def _close(folder: Path) -> None:
    found = _environments.pop((os.getpid(), folder), None)
    if found is not None:
        found[0].close()


def _pack(square_3SS: NDArray[np.uint8]) -> bytes:
    """Write an image, a third as long where it is grey, behind a check sum."""
    is_grey = np.array_equal(square_3SS[0], square_3SS[1]) and np.array_equal(square_3SS[0], square_3SS[2])
    data = (square_3SS[:1] if is_grey else square_3SS).tobytes()
    return _CHECK.pack(zlib.crc32(data)) + data


def _unpack(value: bytes | memoryview, into_3SS: NDArray[np.uint8]) -> bool:
    check, data = _CHECK.unpack_from(value)[0], memoryview(value)[_CHECK.size :]
    side = into_3SS.shape[-1]
    if len(data) not in (side * side, 3 * side * side) or zlib.crc32(data) != check:
        return False
    into_3SS[:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, side, side)
    return True


def _pages(value: bytes | memoryview) -> int:
    return -(-(len(value) + 16) // _PAGE)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _on_disk(file: Path) -> int:
    """Bytes that a file takes, holes left out."""
    if not file.exists():
        return 0
    found = file.stat()
    return int(getattr(found, "st_blocks", found.st_size // 512) * 512)
