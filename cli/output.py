"""What people and scripts see: tables or one JSON document on stdout, progress and remarks on stderr."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from cli.documents import document_of
from db.plain_text import json_shown, shown
from db.progress import Progress, SilentProgress, Task

if TYPE_CHECKING:
    from cli.exits import ErrorAnswer

Rows = Sequence[Sequence[object]]

Table = tuple[Sequence[str], Rows]
"""Column titles, and rows of what stands under them."""


class Output:
    """Where a command's words go."""

    def __init__(self, *, as_json: bool, quiet: bool = False) -> None:
        self.as_json = as_json
        self.answered = False
        """The document of --json is printed; there is only one."""
        self._quiet = quiet
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
            print_document(document)
            self.answered = True
            return
        for titles, rows in tables:
            print_table(titles, rows)

    def paths(self, places: Iterable[str], *, end: str = "\n") -> None:
        """Print paths as they are, for other programs; one that has a line break in it is to be ended by NUL."""
        if self._muted:
            return
        for place in places:
            # In a terminal nothing that commands it is printed.
            text = shown(place) if sys.stdout.isatty() else place
            sys.stdout.buffer.write(f"{text}{end}".encode(errors="surrogateescape"))
        sys.stdout.flush()

    def picture(self, commands: str) -> None:
        """Print what makes a terminal show a picture, as it was made by `cli.terminal_pictures`."""
        if not self._muted:
            sys.stdout.write(commands)
            sys.stdout.flush()

    def csv_rows(self, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a csv table, a row as soon as it is there."""
        import csv

        if not self._muted:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(titles)
            # In a terminal nothing that commands it is printed.
            writer.writerows([shown(cell) for cell in row] if sys.stdout.isatty() else row for row in rows)

    def line(self, text: str) -> None:
        """Print a line for people; nothing with --json."""
        if not self.as_json and not self._muted:
            _print(shown(text, lines=True))

    def confirm(self, question: str) -> bool | None:
        """Ask a person; None where there is nobody to ask, and with --json."""
        if self.as_json or self._muted or not sys.stdin.isatty():
            return None
        import typer

        return typer.confirm(shown(question, lines=True), default=False, err=True)

    def remark(self, text: str) -> None:
        """Print a line that is not part of the outcome; nothing with --quiet."""
        if not self._muted and not self._quiet:
            print_remark(text)

    def error(self, answer: "ErrorAnswer") -> None:
        """Say why there is no outcome: in a line on stderr, and with --json in a document."""
        print_remark(f"partly: {shown(answer.message)}" + (f"; {shown(answer.hint)}" if answer.hint else ""))
        self.error_document(answer)

    def error_document(self, answer: "ErrorAnswer") -> None:
        """Print an error's document, with --json and where no other was printed."""
        if self.as_json and not self._muted and not self.answered:
            self.answered = True
            # Where stdout itself cannot be written, the line on stderr and the exit code have to do.
            with suppress(OSError):
                print_error(answer)

    def give_up_stdout(self) -> None:
        """Throw away what could not be written to stdout, so that Python does not try again as it ends."""
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            return
        with suppress(OSError, ValueError), Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())

    def progress(self) -> Progress:
        """Return what long work reports to."""
        return SilentProgress() if self._muted or self._quiet else RichProgress()


def print_document(document: object) -> None:
    """Print a JSON document on stdout."""
    _print(json_shown(json.dumps(document_of(document), indent=2, ensure_ascii=not _says_all(sys.stdout))))


def print_error(answer: "ErrorAnswer") -> None:
    """Print an error as a JSON document on stdout."""
    print_document({"error": {"code": answer.code, "message": answer.message, "hint": answer.hint}})


def print_remark(text: str) -> None:
    """Print a line on stderr, with nothing in it that commands a terminal."""
    _print(shown(text, lines=True), sys.stderr)


def _print(text: str, stream: TextIO | None = None) -> None:
    """Print a text that was made harmless; what the stream's encoding does not have is spelled out."""
    stream = stream or sys.stdout
    # Whoever reads a pipe is told at once, also by what goes on, as a server does.
    print(_spelled(text, stream), file=stream, flush=True)


def _spelled(text: str, stream: TextIO) -> str:
    encoding = "utf-8" if _says_all(stream) else stream.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _says_all(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


class EscapingFormatter(logging.Formatter):
    """Shows log lines with nothing in them that commands a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return shown(super().format(record), lines=True)


def print_table(titles: Sequence[str], rows: Rows) -> None:
    """Print a table as wide as its content."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        # In a narrow terminal a long word goes on in the next line; nothing is cut off.
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    # In a pipe nothing is cut off: the width of a terminal means nothing there.
    width = None if sys.stdout.isatty() else 240
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else _spelled(shown(str(value)), sys.stdout)


class _RichTask:
    def __init__(self, progress: Any, task_id: Any) -> None:
        self._progress, self._task_id = progress, task_id

    def advance(self, count: int = 1, **fields: str) -> None:
        """Move the bar."""
        text = shown("  ".join(f"{name} {value}" for name, value in fields.items()))
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
        print_remark(message)


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
        # Not as rich's markup: a bracket in a name is a bracket.
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        yield _RichTask(progress, progress.add_task(shown(name), total=total, note=""))
