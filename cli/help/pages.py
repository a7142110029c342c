"""How help looks: plain text in titled sections, the same in a terminal, in a pipe, and read aloud.

Boxes and colours, typer's other way, are noise in a pipe and to a screen reader, and rich takes time to load.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from cli.help.sections import COMMANDS, COMMON, EXAMPLES, OPTIONS
from cli.help.usage_errors import answered

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of the command line as a whole."""
ELSEWHERE = "More commands"
KINDS_OF_VALUE = {"<int>": "N", "<int range>": "N", "<float>": "X", "<str>": "TEXT", "<path>": "PATH"}
CHOICES = re.compile(r"<(?:list\[)?([^<>\[\]]*)\]?>")
RANGE = re.compile(r"(\d+)<=x<=(\d+)")
LONGEST_SENTENCE = 200

Rows = Sequence[tuple[str, str]]


class PlainCommand(TyperCommand):
    """A command whose options stand in sections, with examples at the end."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _write_examples(ctx, formatter)


class PlainGroup(TyperGroup):
    """Commands in sections; what is mistyped is answered as everything else is."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, and the options after them."""
        words = _words(ctx)
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        shown = {name: found for name, found in commands.items() if found is not None and not found.hidden}
        widest = max(map(len, shown), default=0)
        for title, names in _sections(shown, COMMANDS if not words else {"Commands": tuple(shown)}, ELSEWHERE):
            rows = [(name.ljust(widest), shown[name].get_short_help_str(LONGEST_SENTENCE)) for name in names]
            _write_section(formatter, title, rows)
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _write_examples(ctx, formatter)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; what is mistyped becomes a line on stderr, and with --json a document."""

        def run() -> Any:
            return super(PlainGroup, self).main(args, prog_name, complete_var, False, windows_expand_args, **extra)

        return answered(run, sys.argv[1:] if args is None else args) if standalone_mode else run()


def _words(ctx: Any) -> str:
    """Return a command's name without the program's: "" for `partly` itself, "db backup"."""
    return str(ctx.command_path).partition(" ")[2]


def _sections(
    there: Iterable[str], wanted: dict[str, tuple[str, ...]], rest: str
) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Yield the names that are there, by section, and at last those that no section names."""
    there = list(there)
    for title, names in wanted.items():
        if found := tuple(name for name in names if name in there):
            yield title, found
    named = {name for names in wanted.values() for name in names}
    if left := tuple(name for name in there if name not in named):
        yield rest, left


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    """Write the arguments, the options by purpose, and at last those that every command takes."""
    arguments: list[tuple[str, str]] = []
    records: dict[str, tuple[str, str]] = {}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is None:
            continue
        if param.param_type_name == "argument":
            arguments.append((param.metavar or param.name.upper(), record[1].replace("  [required]", "")))
            continue
        long = max(param.opts, key=len)
        records[long] = (_spelled(record[0]), RANGE.sub(r"\1 to \2", record[1]))
    _write_section(formatter, "Arguments", arguments)
    words = _words(ctx)
    if not words:
        _write_section(formatter, "Options", list(records.values()))
        return
    wanted = OPTIONS.get(words, {})
    own = {name: record for name, record in records.items() if name not in COMMON}
    for title, names in _sections(own, wanted, "Other options" if wanted else "Options"):
        _write_section(formatter, title, [records[name] for name in names])
    _write_section(formatter, "Options of every command", [records[name] for name in COMMON if name in records])


def _spelled(record: str) -> str:
    """Write what an option takes as people do: N for <int>, a|b for <a|b>."""
    for kind, word in KINDS_OF_VALUE.items():
        record = record.replace(kind, word)
    return CHOICES.sub(r"\1", record)


def _write_section(formatter: Any, title: str, rows: Rows) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _write_examples(ctx: Any, formatter: Any) -> None:
    lines = EXAMPLES.get(_words(ctx), ())
    if not lines:
        return
    # Not wrapped: a line is for copying.
    with formatter.section("Examples"):
        for line in lines:
            formatter.write(f"  {line}\n")
