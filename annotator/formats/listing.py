"""What every reader of a layout returns: entries to register, files refused with the reason, and warnings."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from db.records import Box, Split


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as a data set names it, not yet opened."""

    name: str
    """The image as the data set names it, relative to its folder."""
    path: Path
    class_name: str | None = None
    group: str | None = None
    split: Split | None = None
    mask_path: Path | None = None
    boxes: tuple[Box, ...] = ()
    is_empty: bool = False
    """The data set says that there is nothing to find."""

    @property
    def has_location(self) -> bool:
        """Say whether the data set claims to know the location; a mask may still turn out to be empty."""
        return self.is_empty or self.mask_path is not None or bool(self.boxes)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or row that cannot be registered, and why."""

    file: str
    reason: str


@dataclass(slots=True)
class Listing:
    """What a data set holds."""

    entries: list[Entry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def path_inside(folder: Path, name: str) -> Path | None:
    """Resolve a file name found in a data file, None if it points outside the data file's folder.

    Args:
        folder: the folder of the data file.
        name: relative, with forward or backward slashes.
    """
    posix = PurePosixPath(name.replace("\\", "/"))
    if not name or "\0" in name or posix.is_absolute() or (len(name) > 1 and name[1] == ":"):
        return None
    base = Path(os.path.normpath(Path.cwd() / folder))
    path = Path(os.path.normpath(base / posix))
    if not path.is_relative_to(base):
        return None
    # A link inside the folder may not lead out of it either.
    return path if path.resolve().is_relative_to(base.resolve()) else None
