"""Folders that names in data files are relative to, local or remote, and the files that lie in them."""

import codecs
import functools
import json
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from annotator.errors import DataUnreadable
from db.errors import ImageUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile, is_uri, list_remote, read_regular
from db.imaging.limits import LABEL_BYTES, LISTING_BYTES
from db.imaging.web import is_web

OUTSIDE = "it is, or lies behind, a link that points outside the data set's folder"
NOT_OURS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "#recycle"})
"""Folders in which systems and file servers keep what is theirs: archives of a Mac, thumbnails of a Synology, bins."""
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""What text in UTF-16 begins with."""
ODD_PARTS = re.compile(r"//|/\.{1,2}(/|$)|/$")
"""Parts of a path that say nothing or lead back; without them it is as short as it can be."""


class Folder:
    """A folder that names in a data file are relative to: local, or an fsspec URI. No name leads out of it."""

    def __init__(self, place: str | Path) -> None:
        self._uri = str(place).rstrip("/") if is_uri(str(place)) and not str(place).startswith("file://") else None
        self._base = Path("/") if self._uri else Path(ImageFile.at(place).location)
        self._prefix = f"{self._base.as_posix().rstrip('/')}/"

    @property
    def is_remote(self) -> bool:
        """Say whether the folder is not on this machine's own file system."""
        return self._uri is not None

    def __str__(self) -> str:
        return self._uri or str(self._base)

    def file(self, name: str) -> ImageFile | None:
        """Resolve a name found in a data file, None if it points outside the folder.

        Args:
            name: relative, with forward or backward slashes; or absolute and inside the folder.
        """
        posix = name.replace("\\", "/") if "\\" in name else name
        if name and (posix[0] == "/" or ":" in posix):
            posix = self._relative(posix)
        if not posix or "\0" in posix:
            return None
        if self._uri is not None:
            return self._remote_file(posix)
        path = self._prefix + posix
        if ODD_PARTS.search(path) is not None:
            path = os.path.normpath(path)
            if not path.startswith(self._prefix):
                return None
        # A link inside the folder may not lead out of it either.
        parent, _, last = path.rpartition("/")
        if not self._is_inside(parent):
            return None
        if last in self._links_in(parent) and not Path(path).resolve().is_relative_to(self._real_base()):
            return None
        return ImageFile(path)

    def _relative(self, name: str) -> str:
        """Return the rest of an absolute path or URI that leads into the folder, and "" for one that does not."""
        if is_uri(name):
            inside = self._uri is not None and name.startswith(f"{self._uri}/") and not is_web(name)
            return name.removeprefix(f"{self._uri}/") if inside else ""
        if name[0] != "/" and name[1:2] != ":":
            return name
        if self._uri is not None:
            return ""
        path = os.path.normpath(name).replace("\\", "/")
        bases = (self._prefix, f"{self._real_base().as_posix()}/")
        return next((path.removeprefix(base) for base in bases if path.startswith(base)), "")

    def _remote_file(self, name: str) -> ImageFile | None:
        path = os.path.normpath(name)
        if path.startswith("..") or path == ".":
            return None
        safe = quote(path) if str(self._uri).startswith(("http://", "https://")) else path
        return ImageFile.at(f"{self._uri}/{safe}")

    @functools.cache  # noqa: B019 - a folder lives as long as one import
    def _real_base(self) -> Path:
        return self._base.resolve()

    @functools.cache  # noqa: B019
    def _is_inside(self, parent: str) -> bool:
        return Path(parent).resolve().is_relative_to(self._real_base())

    @functools.cache  # noqa: B019
    def _links_in(self, parent: str) -> frozenset[str]:
        try:
            with os.scandir(parent) as entries:
                return frozenset(entry.name for entry in entries if entry.is_symlink())
        except OSError:
            return frozenset()

    def read(self, name: str, limit: int = LABEL_BYTES, *, first: int | None = None) -> bytes:
        """Read a file of labels, names or splits: all of them are read here, so that none leads out of the folder.

        Args:
            name: relative to the folder.
            limit: the most bytes that it may hold.
            first: read only so many bytes.

        Raises:
            ImageUnreadable: it is missing, too large, no regular file, or outside the folder.
        """
        file = self.file(name)
        if file is None:
            raise ImageUnreadable(name, OUTSIDE)
        if file.is_remote:
            return file.read_bytes(limit=limit)[:first]
        parent, _, last = file.location.rpartition("/")
        is_link = last in self._links_in(parent)
        try:
            # What was no link when the folder was looked at must be none now.
            location = os.path.realpath(file.location) if is_link else file.location
            return read_regular(location, limit, first=first, follow=False)
        except FileNotFoundError as exc:
            raise ImageUnreadable(name, "no such file") from exc
        except (OSError, ValueError) as exc:
            raise ImageUnreadable(name, f"it cannot be read ({getattr(exc, 'strerror', None) or exc})") from exc

    def text(self, name: str, limit: int = LABEL_BYTES) -> str:
        """Read a file of names, without the mark that Windows programs put before it.

        Raises:
            DataUnreadable: it is neither UTF-8 nor UTF-16 with its mark, or cannot be read.
        """
        try:
            data = self.read(name, limit)
            return data.decode(encoding_of(data))
        except UnicodeDecodeError as exc:
            raise DataUnreadable(
                f"{self}/{name}: it is not UTF-8 ({exc.reason} at byte {exc.start}); save it as UTF-8"
            ) from exc
        except ImageUnreadable as exc:
            raise DataUnreadable(f"{self}/{name}: {exc.reason}") from exc

    def names(self) -> list[str]:
        """List all files in the folder and below it, in order, without linked folders, hidden files and systems' own.

        Raises:
            DataUnreadable: the folder is not there.
        """
        return list(self._names())

    @functools.cache  # noqa: B019
    def _names(self) -> tuple[str, ...]:
        if self._uri is not None:
            try:
                names = list_remote(self._uri)
            except ImageUnreadable as exc:
                raise DataUnreadable(str(exc)) from exc
            return tuple(name for name in names if not any(map(_is_not_ours, name.split("/"))))
        if not self._base.is_dir():
            why = "expected a folder" if self._base.exists() else "there is no such folder"
            raise DataUnreadable(f"{self._base}: {why}")
        found: list[str] = []
        for root, folders, files in os.walk(self._base):
            folders[:] = [name for name in folders if not _is_not_ours(name)]
            prefix = Path(root).relative_to(self._base).as_posix()
            found += [name if prefix == "." else f"{prefix}/{name}" for name in files if not name.startswith(".")]
        return tuple(sorted(found))


def _is_not_ours(part: str) -> bool:
    return part.startswith(".") or part.lower() in NOT_OURS


def encoding_of(data: bytes) -> str:
    """Name the encoding of a text: UTF-16 where its mark says so, else UTF-8 with or without a mark."""
    return "utf-16" if data.startswith(UTF16_MARKS) else "utf-8-sig"


def spellings(name: str) -> list[str]:
    """Return a name, and how the same file may be called on a disk.

    Blanks around a name come from a table's commas, `%20` from an address, and a letter with an accent is one character
    in most programs and two on a Mac (Unicode's forms NFC and NFD).
    """
    stripped = name.strip()
    forms = (name, stripped, *(unicodedata.normalize(form, stripped) for form in ("NFC", "NFD")), unquote(stripped))
    return list(dict.fromkeys(forms))


def images_beside(folder: Folder, files: Iterable[ImageFile]) -> list[str]:
    """List the image files that lie in the same folders as some of a data set and are not among them.

    Args:
        folder: the data set's; only what lies in it or below is looked at, and nothing that is not on this machine.
        files: all files that the data set uses.

    Returns:
        Names relative to the folder, in order.
    """
    if folder.is_remote:
        return []
    found = []
    for place, names in _by_folder(files).items():
        if not f"{place}/".startswith(f"{str(folder).rstrip('/')}/"):
            continue
        prefix = os.path.relpath(place, str(folder))
        for name in _files_in(place) - names:
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - it is quick
            if suffix in SUFFIXES and not name.startswith("."):
                found.append(name if prefix == "." else f"{prefix}/{name}")
    return sorted(found)


def missing_files(files: Iterable[ImageFile]) -> set[str]:
    """Return the locations of files that are not there, of those on this machine; a folder is read once for all."""
    return {
        f"{place}/{name}"
        for place, names in _by_folder(file for file in files if not file.is_remote).items()
        for name in names - _files_in(place)
    }


def _by_folder(files: Iterable[ImageFile]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for file in files:
        place, _, name = file.location.rpartition("/")
        found.setdefault(place, set()).add(name)
    return found


def _files_in(place: str) -> set[str]:
    try:
        return set(os.listdir(place))  # noqa: PTH208 - it is quick
    except OSError:
        return set()


def read_data_file(place: str | Path) -> bytes:
    """Read a listing, local or remote; a link may not lead out of the folder that it lies in.

    Raises:
        DataUnreadable: it is missing, empty, too large, no regular file, or cannot be reached.
    """
    file = ImageFile.at(place)
    parent, _, name = file.location.rpartition("/")
    try:
        data = (
            file.read_bytes(limit=LISTING_BYTES) if file.is_remote else Folder(parent or "/").read(name, LISTING_BYTES)
        )
    except ImageUnreadable as exc:
        hint = "; name the file that it points to" if exc.reason == OUTSIDE else ""
        raise DataUnreadable(f"{place}: {exc.reason}{hint}") from exc
    if not data:
        raise DataUnreadable(f"{place}: the file is empty")
    return data


def read_json(place: str | Path) -> Any:
    """Read a JSON document, local or remote, with or without the mark that Windows programs put before it.

    Raises:
        DataUnreadable: it is missing, empty, cannot be reached, or is not JSON.
    """
    try:
        return json.loads(read_data_file(place))
    except (ValueError, RecursionError) as exc:
        raise DataUnreadable(f"{place}: is not JSON ({exc})") from exc


def only_file(folder: str | Path, *patterns: str, what: str) -> Path:
    """Return the one file of a folder that matches.

    Raises:
        DataUnreadable: there is none, or there are several.
    """
    found = sorted(file for pattern in patterns for file in Path(folder).glob(pattern))
    inside = Folder(folder)
    for file in found:
        if inside.file(file.relative_to(folder).as_posix()) is None:
            raise DataUnreadable(f"{file}: {OUTSIDE}; name the file that it points to")
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or "none"
        raise DataUnreadable(f"{folder}: expected one {what}, found {names}; name the file itself")
    return found[0]


def parent_of(place: str | Path) -> str | Path:
    """Return the folder that a data file lies in."""
    text = str(place)
    return text.rpartition("/")[0] if is_uri(text) else Path(text).parent
