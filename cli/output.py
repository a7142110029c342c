"""What people and scripts see: tables or one JSON document on stdout, progress and remarks on stderr."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from cli.documents import document_of
from db.progress import Progress, SilentProgress, Task

Rows = Sequence[Sequence[object]]

Table = tuple[Sequence[str], Rows]
"""Column titles, and rows of what stands under them."""


class Output:
    """Where a command's words go."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._muted = False

    def mute(self) -> None:
        """Say nothing any more: another process speaks for this one."""
        self._muted = True

    def document(self, document: object, *tables: Table) -> None:
        """Print a command's outcome: the document with --json, else the tables.

        Args:
            document: a record, or a mapping under the contract's keys.
            tables: for people: column titles and rows.
        """
        if self._muted:
            return
        if self.as_json:
            print(json.dumps(document_of(document), indent=2, ensure_ascii=False))
            return
        for titles, rows in tables:
            print_table(titles, rows)

    def line(self, text: str) -> None:
        """Print a line for people; nothing with --json."""
        if not self.as_json and not self._muted:
            print(text)

    def confirm(self, question: str) -> bool | None:
        """Ask a person; None where there is nobody to ask, and with --json."""
        if self.as_json or self._muted or not sys.stdin.isatty():
            return None
        import typer

        return typer.confirm(question, default=False, err=True)

    def remark(self, text: str) -> None:
        """Print a line that is not part of the outcome."""
        if not self._muted:
            print(text, file=sys.stderr)

    def progress(self) -> Progress:
        """Return what long work reports to."""
        return SilentProgress() if self._muted else RichProgress()


def print_table(titles: Sequence[str], rows: Rows) -> None:
    """Print a table as wide as its content."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*titles, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    # In a pipe nothing is cut off: the width of a terminal means nothing there.
    width = None if sys.stdout.isatty() else 240
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


class _RichTask:
    def __init__(self, progress: Any, task_id: Any) -> None:
        self._progress, self._task_id = progress, task_id

    def advance(self, count: int = 1, **fields: str) -> None:
        """Move the bar."""
        text = "  ".join(f"{name} {value}" for name, value in fields.items())
        if text:
            self._progress.update(self._task_id, advance=count, note=text)
        else:
            self._progress.update(self._task_id, advance=count)


class RichProgress:
    """Bars on stderr, with speed and the time left."""

    def task(self, name: str, total: int) -> AbstractContextManager[Task]:
        """Open a bar."""
        return _rich_task(name, total)

    def say(self, message: str) -> None:
        """Show one line above the bars."""
        print(message, file=sys.stderr)


@contextmanager
def _rich_task(name: str, total: int) -> Iterator[Task]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        yield _RichTask(progress, progress.add_task(name, total=total, note=""))
