"""Puts a finished export in its place: a folder that appears whole, and never over another process's."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotator.datasets.export_set import MANIFEST
from db.atomic_write import draft_of, left_behind
from db.errors import Conflict

TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM, errno.ENOTDIR})
"""Answers to renaming a folder onto something that is there."""


def refuse_foreign(out: Path) -> None:
    """Make sure that a folder is not there yet, is empty, or holds an earlier export.

    Raises:
        Conflict: it holds something else.
    """
    if os.path.lexists(out) and not (out.is_dir() and ((out / MANIFEST).is_file() or not any(out.iterdir()))):
        raise Conflict(f"{out} exists and is not a partly export; choose a folder that does not exist yet")


@contextmanager
def replacing_export(out: Path) -> Iterator[Path]:
    """Give a new folder beside `out` to write to; it takes its place when the block ends without an error.

    An earlier export there is replaced. Of several processes that export to one place at the same time, exactly one
    succeeds. What a process left beside it that was killed while it exported to it is removed.

    Raises:
        Conflict: something else is there, or another process has put an export there in the meantime.
        OSError: there is no space, or no permission; what was there is as it was.
    """
    refuse_foreign(out)
    found = _identity(out)
    draft = draft_of(out)
    _remove_leftovers(draft)
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.mkdir()
        yield draft
        _put_in_place(draft, out, found)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _identity(out: Path) -> tuple[int, int] | None:
    try:
        there = out.stat()
    except FileNotFoundError:
        return None
    return there.st_dev, there.st_ino


def _remove_leftovers(draft: Path) -> None:
    own = draft.name.rpartition(".partial")[0].rpartition(".")[0]
    for left in left_behind(draft.parent):
        if left.name.startswith(f"{own}.") and left.is_dir():
            shutil.rmtree(left, ignore_errors=True)


def _put_in_place(draft: Path, out: Path, found: tuple[int, int] | None) -> None:
    """Rename a draft; a folder that is not empty keeps the name from being taken, so the first of several has it."""
    aside: Path | None = None
    if found is not None:
        if _identity(out) != found:
            raise _lost(out)
        aside = draft_of(out)
        try:
            out.rename(aside)
        except FileNotFoundError:
            raise _lost(out) from None
        if _identity(aside) != found:
            # Another process's export, which came between the look and the step: it is the newer one.
            _give_back(aside, out)
            raise _lost(out)
    try:
        draft.rename(out)
    except OSError as exc:
        if aside is not None:
            _give_back(aside, out)
        if exc.errno in TAKEN and os.path.lexists(out):
            raise _lost(out) from exc
        raise
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _give_back(aside: Path, out: Path) -> None:
    try:
        aside.rename(out)
    except OSError:
        # Somebody else's is there by now.
        shutil.rmtree(aside, ignore_errors=True)


def _lost(out: Path) -> Conflict:
    return Conflict(
        f"another process has written an export to {out} in the meantime, which was left alone; repeat the command to "
        "replace it, or choose another folder"
    )
