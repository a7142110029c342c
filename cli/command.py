"""Registers commands: adds the options that all of them take, and the one boundary where errors become exit codes."""

import errno
import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.context import CommonOptions, Workspace
from cli.exits import EXPECTED, INTERRUPTED, REGISTRY, ErrorAnswer, answer_to, exit_code
from cli.help.pages import PlainCommand
from cli.output import EscapingFormatter, Output

UNWRITABLE = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS})
"""What the surroundings do wrong, not the program: no space, no permission."""

COMMON: dict[str, Any] = {
    "project": Annotated[
        Path | None,
        typer.Option(
            "--project", metavar="DIR", help="Project folder (default: the nearest one at or above the current folder)."
        ),
    ],
    "db": Annotated[
        str | None, typer.Option("--db", metavar="URL", help="SQLAlchemy URL of the registry (or PARTLY_DB).")
    ],
    "json": Annotated[
        bool, typer.Option("--json", help="Print the result, or the error, as one JSON document on stdout.")
    ],
    "quiet": Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only errors on stderr, no notes, warnings or progress.")
    ],
}

FLAGS = ("json", "quiet")


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function `f(work: Workspace, ...)` as a command.

    The function's docstring is the help. Options `--project`, `--db`, `--json` and `--quiet` may stand before or after
    the command's name.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(
            ctx: typer.Context, *, project: Path | None, db: str | None, json: bool, quiet: bool, **arguments: Any
        ) -> None:
            outer: CommonOptions = ctx.find_root().obj or CommonOptions()
            options = CommonOptions(
                project or outer.project, db or outer.database, json or outer.as_json, quiet or outer.quiet
            )
            work = Workspace(options)
            if logging.lastResort is not None:
                logging.lastResort.setLevel(logging.ERROR if options.quiet else logging.WARNING)
            try:
                run_guarded(lambda: function(work, **arguments), work.output)
            finally:
                work.close()

        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        common = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=False if key in FLAGS else None
            )
            for key, kind in COMMON.items()
        ]
        signature = inspect.Signature([context, *keyword, *common])
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
        del run.__wrapped__
        app.command(name, cls=PlainCommand)(run)
        return function

    return register


def run_guarded(work: Callable[[], None], output: Output | None = None) -> None:
    """Run a command's work; expected errors become one line on stderr, a document with --json, and an exit code.

    Args:
        work: what is done.
        output: where it speaks; None for one without --json.
    """
    output = output or Output(as_json=False)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(EscapingFormatter())
    try:
        work()
    except EXPECTED as exc:
        output.error(answer_to(exc))
        raise typer.Exit(exit_code(exc)) from None
    except OSError as exc:
        if exc.errno not in UNWRITABLE:
            output.error_document(answer_to(exc))
            raise
        where = f"{exc.filename}: " if exc.filename else ""
        hint = "free some space or check who owns the folder, then repeat the command"
        output.error(ErrorAnswer("disk_unwritable", f"{where}{exc.strerror}", hint))
        output.give_up_stdout()
        raise typer.Exit(REGISTRY) from None
    except KeyboardInterrupt:
        hint = "repeat the command to continue (a training run: partly train --resume)"
        output.error(ErrorAnswer("interrupted", "interrupted", hint))
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as exc:
        output.error_document(answer_to(exc))
        raise
