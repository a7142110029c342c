"""dashboard: the registry in a browser, read-only."""

from typing import Annotated

import typer

from cli.command import command
from cli.commands.serve import stop_on_signals
from cli.context import Workspace

HOST = "127.0.0.1"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "dashboard")(dashboard)


def dashboard(
    work: Workspace,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8765,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser, or only print its address.")
    ] = True,
) -> None:
    """Show the project in a browser, read-only.

    Shows status, next steps, rounds, reviews, runs, and all images with their boxes, proposals and history.

    The page can be reached from this machine only (127.0.0.1) and changes nothing. Stop it with Ctrl-C.
    """
    import os
    import threading
    import webbrowser

    from annotator.web.listening import ListeningServer, listen

    registry = work.registry
    listening = listen(HOST, port)
    from cli.dashboard.application import make_application
    from cli.dashboard.overlays import load_tools

    stop = stop_on_signals()
    threading.Thread(target=load_tools, name="load tools", daemon=True).start()
    with ListeningServer(make_application(registry, title=work.settings.title), listening) as server:
        url = f"http://{HOST}:{server.port}/"
        work.output.document({"url": url, "pid": os.getpid()})
        work.output.line(f"{url}  shows {work.settings.root}; press Ctrl-C to stop")
        if open_page and not work.output.as_json:
            webbrowser.open(url)
        stop.wait()
