"""Where image files are, and the one place that reads their bytes: local paths, fsspec URIs, frames of a file.

    ImageFile.at("scans/a.png")                 a local file, absolute or relative to the working directory
    ImageFile.at("s3://bucket/scans/a.png")     a remote one; read through a cache on disk
    ImageFile.at("scans/ct.dcm").with_frame(3)  one frame of a file that holds several

The text form names the frame as `#frame=3` at the end; a file whose own name ends like that is followed by `#file`.
"""

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from db.atomic_write import write_bytes
from db.errors import ImageUnreadable, InvalidArgument
from db.imaging.limits import IMAGE_BYTES, in_words
from db.imaging.web import is_web, read_web, web_options

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FRAME = re.compile(r"#frame=(\d{1,6})\Z")
_FILE = "#file"
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
"""How files are opened: what is no file must neither wait for somebody nor become a terminal."""
_SPECIAL = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
_PIECE = 2**16
_AT_ONCE = 2**30


def read_regular(location: str, limit: int, *, first: int | None = None, follow: bool = True) -> bytes:
    """Read a file of this machine; a device, a pipe, a socket or a folder is refused, and nobody waits for one.

    Args:
        location: its path.
        limit: the most bytes that it may hold.
        first: read only so many bytes.
        follow: also where the path itself is a link.

    Raises:
        ImageUnreadable: it is larger, or no regular file.
        OSError: it is missing, or cannot be read.
    """
    descriptor = os.open(location, _OPEN if follow else _OPEN | getattr(os, "O_NOFOLLOW", 0))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = next((name for is_kind, name in _SPECIAL if is_kind(found.st_mode)), "device")
            raise ImageUnreadable(location, f"it is a {kind}, which cannot be read as a file")
        if first is not None:
            return os.read(descriptor, first)
        if found.st_size > limit:
            raise ImageUnreadable(
                location, f"its size is {in_words(found.st_size)}, and the limit for such a file is {in_words(limit)}"
            )
        return _read_all(descriptor, location, found.st_size, limit)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, location: str, size: int, limit: int) -> bytes:
    """Read to the end, which some file systems do not know beforehand."""
    data = os.read(descriptor, min(size + 1, _AT_ONCE) if size else _PIECE)
    if len(data) == size and size:
        return data
    parts, total = [data], len(data)
    while data:
        data = os.read(descriptor, _PIECE if total >= size else min(size - total, _AT_ONCE))
        parts.append(data)
        total += len(data)
        if total > limit:
            raise ImageUnreadable(location, f"it is larger than {in_words(limit)}, the limit for such a file")
    return b"".join(parts)


def is_uri(text: str) -> bool:
    """Say whether a name is an fsspec URI (`s3://bucket/a.png`), `file://` included."""
    return _REMOTE.match(text) is not None


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image: the file it is in, and which frame of it.

    Two of them are equal if they name the same file and frame, whatever their cache.
    """

    location: str
    """An absolute POSIX path without `..`, or a URI."""
    frame: int | None = None
    """Number of the frame from 0, None where the file is one image."""
    cache: Path | None = field(default=None, compare=False, repr=False)
    """Folder that keeps copies of remote files; without it they are fetched every time."""

    @classmethod
    def at(cls, place: "str | Path | ImageFile", *, cache: Path | None = None) -> "ImageFile":
        """Name a file by path or URI.

        Raises:
            InvalidArgument: the URI carries a password, which must never be stored.
        """
        if isinstance(place, ImageFile):
            return place if cache is None else replace(place, cache=cache)
        text = str(place)
        if not is_uri(text):
            return cls(Path(os.path.normpath(Path.cwd() / text)).as_posix(), cache=cache)
        parts = urlsplit(text)
        if parts.scheme == "file":
            return cls(Path(os.path.normpath(url2pathname(parts.path))).as_posix(), cache=cache)
        if parts.password is not None:
            raise InvalidArgument(
                f"{parts.scheme}://...@{parts.hostname}: a URI that contains a password is not stored; give the "
                "credentials to the file system's own configuration (for S3 the usual AWS variables or profile)"
            )
        return cls(text, cache=cache)

    @classmethod
    def from_text(cls, text: str, *, cache: Path | None = None) -> "ImageFile":
        """Read the text form of an absolute path or URI back."""
        if "#" not in text:
            return cls(text, cache=cache)
        if text.endswith(_FILE):
            return cls(text.removesuffix(_FILE), cache=cache)
        match = _FRAME.search(text)
        return cls(text[: match.start()], int(match[1]), cache) if match else cls(text, cache=cache)

    def state(self) -> str | None:
        """Tell one state of a local file from the next, by its size and time; None where it is missing, or remote."""
        if self.is_remote:
            return None
        try:
            found = os.stat(self.location)  # noqa: PTH116 (a name that is no text in this file system's encoding too)
        except (OSError, ValueError):
            return None
        return f"{found.st_size}/{found.st_mtime_ns}"

    def with_frame(self, frame: int) -> "ImageFile":
        """Name a frame of this file."""
        return replace(self, frame=frame)

    def __str__(self) -> str:
        if self.frame is not None:
            return f"{self.location}#frame={self.frame}"
        if "#" not in self.location:
            return self.location
        ambiguous = _FRAME.search(self.location) is not None or self.location.endswith(_FILE)
        return self.location + (_FILE if ambiguous else "")

    @property
    def is_remote(self) -> bool:
        """Say whether the file is not on this machine's own file system."""
        return is_uri(self.location)

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.location).name

    @property
    def suffix(self) -> str:
        """The end of the file's name, such as ".png"."""
        return PurePosixPath(self.location).suffix

    @property
    def stem(self) -> str:
        """The file's name without its end; a frame adds its number."""
        stem = PurePosixPath(self.location).stem
        return stem if self.frame is None else f"{stem}-frame{self.frame}"

    def exists(self) -> bool:
        """Say whether the file is there (for a remote one: there, or in the cache)."""
        if not self.is_remote:
            try:
                return Path(self.location).is_file()
            except (OSError, ValueError):
                # A name that is too long for the file system, or has a NUL in it, is no file's.
                return False
        if (cached := self._cached()) is not None and cached.is_file():
            return True
        try:
            file_system, path = _file_system(self.location)
            return bool(file_system.exists(path))
        except ImageUnreadable:
            raise
        except Exception as exc:
            raise ImageUnreadable(self, _remote_reason(exc)) from exc

    def read_bytes(self, *, fresh: bool = False, limit: int = IMAGE_BYTES, follow: bool = True) -> bytes:
        """Read the whole file.

        Args:
            fresh: fetch a remote file again even if it is in the cache.
            limit: the most bytes that it may hold.
            follow: also where its name is a link.

        Raises:
            ImageUnreadable: it is missing, empty, too large, no regular file, or cannot be reached.
        """
        try:
            if self.is_remote:
                data = self._read_remote(fresh=fresh, limit=limit)
                if len(data) > limit:
                    raise ImageUnreadable(self, f"it is larger than {in_words(limit)}, the limit for such a file")
            else:
                data = read_regular(self.location, limit, follow=follow)
        except FileNotFoundError as exc:
            raise ImageUnreadable(self, "no such file") from exc
        except (OSError, ValueError) as exc:
            # A ValueError is a name that no file can have.
            reason = getattr(exc, "strerror", None) or exc
            raise ImageUnreadable(self, f"the file cannot be read ({reason})") from exc
        if not data:
            raise ImageUnreadable(self, "the file is empty")
        return data

    def _read_remote(self, *, fresh: bool, limit: int) -> bytes:
        cached = self._cached()
        if cached is not None and not fresh and cached.is_file():
            return cached.read_bytes()
        file_system, path = _file_system(self.location)
        try:
            data = read_web(file_system, path, limit) if is_web(path) else bytes(file_system.cat_file(path))
        except (OSError, ImageUnreadable):
            raise
        except Exception as exc:
            # Each file system has errors of its own, from libraries that may not even be installed here.
            raise ImageUnreadable(self, _remote_reason(exc)) from exc
        if cached is not None:
            write_bytes(cached, data, mode=0o600, durable=False)
        return data

    def _cached(self) -> Path | None:
        if self.cache is None:
            return None
        digest = hashlib.sha256(self.location.encode()).hexdigest()
        return self.cache / digest[:2] / (digest + self.suffix[:16].replace("/", ""))


def list_remote(uri: str) -> list[str]:
    """List all files below a URI, as names relative to it.

    Raises:
        ImageUnreadable: it cannot be reached.
    """
    file_system, path = _file_system(uri)
    base = path.rstrip("/") + "/"
    try:
        found = file_system.find(path)
    except Exception as exc:
        raise ImageUnreadable(uri, _remote_reason(exc)) from exc
    return sorted(str(name).removeprefix(base) for name in found)


def _file_system(uri: str) -> tuple[Any, str]:
    import fsspec

    try:
        file_system, path = fsspec.core.url_to_fs(uri, **(web_options(uri) if is_web(uri) else {}))
    except (ImportError, ValueError) as exc:
        scheme = uri.partition("://")[0]
        extra = "s3" if scheme in ("s3", "s3a") else f"a package that gives fsspec {scheme}://"
        remedy = f"pip install 'partly[{extra}]'" if extra == "s3" else f"install {extra}"
        raise ImageUnreadable(uri, f"{scheme}:// cannot be read here ({exc}); {remedy}") from exc
    return file_system, str(path)


def _remote_reason(exc: Exception) -> str:
    return f"it cannot be fetched ({type(exc).__name__}: {str(exc)[:200]})"
