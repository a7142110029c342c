"""The `partly` command: global options and the list of commands. Imports nothing heavy; commands do, when they run."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from cli.commands import (
    bench,
    curate,
    dashboard,
    data,
    demo,
    evaluate,
    label_studio,
    model,
    propose,
    review,
    round,
    serve,
    train,
)
from cli.commands.upkeep import database, history
from cli.context import CommonOptions
from cli.help.pages import CONTEXT, PlainGroup

app = typer.Typer(
    name="partly",
    help="Curate partly-labeled images, review proposals in Label Studio, retrain.",
    cls=PlainGroup,
    context_settings=CONTEXT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for group in (
    data, curate, train, evaluate, propose, model, bench, label_studio, serve, round, review, history, database,
    demo, dashboard,
):  # fmt: skip
    group.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"partly {version('partly')}")
        raise typer.Exit


@app.callback()
def common(
    ctx: typer.Context,
    project: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Project folder (default: the nearest one at or above the current folder)."),
    ] = None,
    db: Annotated[
        str | None, typer.Option(metavar="URL", help="SQLAlchemy URL of the registry (or PARTLY_DB).")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result, or the error, as one JSON document on stdout.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only errors on stderr, no notes, warnings or progress.")
    ] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Curate partly-labeled images, review proposals in Label Studio, retrain."""
    ctx.obj = CommonOptions(project, db, json, quiet)


def main() -> None:
    """Run the command line."""
    # The same under `python -m partly`, whose own name has spaces.
    app(prog_name="partly")


if __name__ == "__main__":
    main()
