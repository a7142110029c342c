"""Several files that belong together, put in place whole or not at all."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from db.atomic_write import creating, replacing

OnExit = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]


def write_together(files: Mapping[Path, bytes], *, force: bool) -> None:
    """Write files beside their places first, then put them there: the first one last, as it stands for all.

    Args:
        files: content by place; folders are made where they are missing.
        force: write over what is there.

    Raises:
        FileExistsError: something is there, and `force` is not given. OSError: there is no space, or no permission.
            What was there is as it was, and nothing is left of what was not; with `force`, a failure between two
            renames leaves a new file beside an old one.
    """
    put, placed = (replacing if force else creating), list[Path]()
    there = {file for file in files if os.path.lexists(file)}
    made = [folder for file in files for folder in file.parents if not folder.exists()]

    try:
        with ExitStack() as stack:
            for file, content in files.items():
                stack.push(_noting(placed, file))
                stack.enter_context(put(file)).write_bytes(content)
    except BaseException:
        for file in set(placed) - there:
            file.unlink(missing_ok=True)
        for folder in sorted(set(made), key=lambda folder: -len(folder.parts)):
            with suppress(OSError):
                folder.rmdir()
        raise


def _noting(placed: list[Path], file: Path) -> OnExit:
    """Return what notes a file once it has been put in place: it is called after that, or after what kept it."""

    def note(kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            placed.append(file)

    return note
