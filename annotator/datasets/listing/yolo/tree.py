"""The files and folders of a data set, found by the paths that its files name, wherever those count from.

Sets are moved, renamed and unpacked on other systems: a path may begin with folders that are no more, have backslashes,
or differ from what is there in case, or in how letters with accents are written.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from annotator.datasets.listing.companions import composed
from annotator.datasets.listing.splits import SPLITS
from db.imaging.decode import SUFFIXES

DRIVE = re.compile(r"^[A-Za-z]:(?=/|$)")


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to in a data set."""

    name: str
    """Relative to the data set; "" is its folder itself."""
    is_file: bool
    is_certain: bool
    """No folder that the path names below the data set had to be left out."""


class Tree:
    """The files of a data set, and the folders that they lie in."""

    def __init__(self, names: Collection[str], title: str = "") -> None:
        """Index the files.

        Args:
            names: of all files, relative to the data set, with forward slashes.
            title: what the data set's folder is called.
        """
        self.names = frozenset(names)
        self._title = title
        self._folders = {""}
        for name in self.names:
            parent = name.rpartition("/")[0]
            while parent not in self._folders:
                self._folders.add(parent)
                parent = parent.rpartition("/")[0]
        self._files_folded = _folded(self.names)
        self._folders_folded = _folded(self._folders)

    def spellings(self, path: str) -> list[str]:
        """Return the files that a path may mean: the one of this very name, else those that differ in case only."""
        return [path] if path in self.names else self._files_folded.get(_fold(path), [])

    def file(self, path: str) -> str | None:
        """Return the file of a path; one that differs in case only if it is the only one."""
        spelled = self.spellings(path)
        return spelled[0] if len(spelled) == 1 else None

    def folder(self, path: str) -> str | None:
        """Return the folder of a path; one that differs in case only if it is the only one."""
        spelled = [path] if path in self._folders else self._folders_folded.get(_fold(path), [])
        return spelled[0] if len(spelled) == 1 else None

    def find(self, written: str, *, beside: str = "", path: str = "", is_moved: bool = False) -> Found | None:
        """Find what a path in a file leads to: the longest end of it that is there.

        Args:
            written: the path, absolute or not, of any system.
            beside: the folder of the file that names it.
            path: another folder that it is said to count from.
            is_moved: it counts from a folder that nobody knows, so that any part before may be left out.
        """
        own, own_is_away = _parts(written)
        before, _ = _parts(path) if not own_is_away else ([], False)
        full = [*before, *own]
        if not full:
            return Found(beside, is_file=False, is_certain=True)
        for start in range(len(full)):
            end, last = "/".join(full[start:]), full[start - 1] if start else ""
            # ../test/images is not images.
            is_other = last != self._title and last.lower() in SPLITS and len(before) < start == len(full) - 1
            for place in dict.fromkeys((f"{beside}/{end}" if beside else end, end)):
                free = is_moved or own_is_away or start <= len(before) or last == self._title
                file = self.file(place)
                if file is not None and PurePosixPath(file).suffix.lower() not in SUFFIXES:
                    return Found(file, is_file=True, is_certain=free)
                folder = self.folder(place)
                if folder is not None and not is_other:
                    return Found(folder, is_file=False, is_certain=free)
        return None


def _fold(name: str) -> str:
    """Write alike what differs in case, or in how accents are written, only."""
    return composed(name).lower()


def _folded(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        found[_fold(name)].append(name)
    return found


def _parts(written: str) -> tuple[list[str], bool]:
    """Split a path; returns its parts, and whether it leads away from where it counts from."""
    text = written.strip().replace("\\", "/")
    bare = DRIVE.sub("", text)
    parts: list[str] = []
    is_away = bare != text or bare.startswith("/")
    for part in bare.split("/"):
        if part == ".." and not parts:
            is_away = True
        elif part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts, is_away
