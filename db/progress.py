"""How long-running work reports progress, without knowing what displays it.

Use-cases take a `Progress`; the command line passes one that draws bars, tests and libraries pass none.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Task(Protocol):
    """One bar."""

    def advance(self, count: int = 1, **fields: str) -> None:
        """Move on by `count`; `fields` are shown beside the bar, such as loss="0.31"."""


class Progress(Protocol):
    """Something that can show bars and lines."""

    def task(self, name: str, total: int) -> AbstractContextManager[Task]:
        """Open a bar of `total` steps, closed when the context ends."""

    def say(self, message: str) -> None:
        """Show one line."""


class _SilentTask:
    def advance(self, count: int = 1, **fields: str) -> None:
        """Show nothing."""


class SilentProgress:
    """Shows nothing; the default of every use-case."""

    def task(self, name: str, total: int) -> AbstractContextManager[Task]:
        """Open a task that shows nothing."""
        return nullcontext(_SilentTask())

    def say(self, message: str) -> None:
        """Show nothing."""


class LinesOnly(SilentProgress):
    """Shows lines and no bars: for parts of work that has a bar of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def say(self, message: str) -> None:
        """Show one line."""
        self._progress.say(message)
