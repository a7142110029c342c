"""serve: proposals while people work."""

import os
import signal
import threading
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

import typer

from cli.command import command
from cli.context import Workspace
from cli.options import Confidence, Precision

USER_VARIABLE, PASSWORD_VARIABLE = "PARTLY_SERVE_USER", "PARTLY_SERVE_PASSWORD"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "serve")(serve)


def serve(
    work: Workspace,
    run: Annotated[
        str | None, typer.Option(metavar="R", help="Run that proposes (default: always the newest finished one).")
    ] = None,
    tau: Annotated[
        str | None, typer.Option(metavar="T", help="Minimum score: a number or auto (default: the run's tau).")
    ] = None,
    precision: Precision = None,
    confidence: Confidence = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 9090,
    attach: Annotated[
        bool, typer.Option("--attach", help="Attach this server to the connected project while it runs.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(help="With --attach: address at which Label Studio reaches this server (default: HOST and PORT)."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name by which Label Studio calls this server, such as host.docker.internal (repeatable; localhost, "
            "addresses, this machine's own name and that of --url are allowed anyway).",
        ),
    ] = None,
) -> None:
    """Serve the current run's proposals to Label Studio during annotation (its ML backend protocol).

    If PARTLY_SERVE_USER and PARTLY_SERVE_PASSWORD are set, callers must authenticate with them.
    """
    from annotator.errors import LabelStudioError
    from annotator.label_studio.ml_backend import MlBackend, attach_backend, detach_backend
    from annotator.label_studio.web_server import Access, WebServer
    from learner.inference.gate import parse_promise, parse_tau
    from learner.inference.live import LiveProposer

    name, password = os.environ.get(USER_VARIABLE), os.environ.get(PASSWORD_VARIABLE)
    account = (name, password) if name and password else None
    if host not in ("127.0.0.1", "localhost", "::1"):
        work.output.remark(
            f"anyone who can reach {host} can request proposals; to require a password, set {USER_VARIABLE} and "
            f"{PASSWORD_VARIABLE}"
            if account is None
            else f"this server can be reached from other machines at {host}, and passwords travel to it unencrypted; "
            "put a proxy with TLS before it"
        )
    wanted = parse_tau(tau)
    promise = parse_promise(wanted, precision, confidence)
    proposer = LiveProposer(work.registry, run=run, tau=wanted, promise=promise, progress=work.progress)
    backend = MlBackend(work.registry, proposer.propose, proposer.current_run)
    stop = stop_on_signals()
    names = {*(allow_host or ()), urlsplit(url or "").hostname or ""} - {""}
    access = Access(account, frozenset(names))
    with WebServer(backend.handlers(), host=host, port=port, access=access) as server:
        address = url or f"http://{host}:{server.port}"
        document = {"url": address, "run": proposer.current_run(), "attached": attach}
        if not attach:
            work.output.document(document, (("", ""), list(document.items())))
            stop.wait()
            return
        with work.registry.read() as tx:
            project_id = tx.connections.current().project_id
        with work.connected_client() as client:
            attach_backend(client, project_id, address, account=account)
            work.output.document(document, (("", ""), list(document.items())))
            stop.wait()
            with suppress(LabelStudioError):
                detach_backend(client, project_id)
                # Of what was shown live, the stored predictions stay.
                client.show_predictions(project_id, proposer.current_run())


def stop_on_signals() -> threading.Event:
    """Return what is set when the user or the system asks this process to end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
