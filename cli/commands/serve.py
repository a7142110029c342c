"""serve: proposals while people work."""

import ipaddress
import os
import signal
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated

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
        str | None, typer.Option(metavar="R", help="Run to propose with (default: always the newest finished one).")
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
            help="Host name by which Label Studio calls this server, such as host.docker.internal (repeatable; "
            "localhost, addresses, this machine's own name and the one in --url are always allowed).",
        ),
    ] = None,
) -> None:
    """Serve live proposals to Label Studio during annotation.

    Implements its ML backend protocol. If PARTLY_SERVE_USER and PARTLY_SERVE_PASSWORD are set, callers must
    authenticate with them.
    """
    from annotator.errors import LabelStudioError
    from annotator.label_studio.ml_backend import MlBackend, attach_backend, detach_backend
    from annotator.label_studio.web_server import Access, WebServer
    from learner.inference.gate import parse_promise, parse_tau

    account = account_in(os.environ)
    access = Access(account, names_of(url, allow_host or ()))
    if (warning := warning_of_reach(host, account)) is not None:
        work.output.remark(warning)
    wanted = parse_tau(tau)
    promise = parse_promise(wanted, precision, confidence)
    work.check_run(run)
    if attach:
        with work.connected_client() as client:
            client.whoami()
    from learner.inference.live import LiveProposer

    proposer = LiveProposer(work.registry, run=run, tau=wanted, promise=promise, progress=work.progress)
    backend = MlBackend(work.registry, proposer.propose, proposer.current_run)
    stop = stop_on_signals()
    with WebServer(backend.handlers(), host=host, port=port, access=access) as server:
        address = url or f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
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


def account_in(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name and password that callers have to give, None where neither is set.

    Raises:
        InvalidArgument: only one of the two is set, so that everybody would be let in unnoticed.
    """
    from db.errors import InvalidArgument

    name, password = environment.get(USER_VARIABLE), environment.get(PASSWORD_VARIABLE)
    if name and password:
        return name, password
    if name or password:
        there, missing = (USER_VARIABLE, PASSWORD_VARIABLE) if name else (PASSWORD_VARIABLE, USER_VARIABLE)
        raise InvalidArgument(
            f"{there} is set, but {missing} is not; set both, or neither to answer without a password"
        )
    return None


def names_of(url: str | None, allowed: Iterable[str]) -> frozenset[str]:
    """Return the names by which callers may name this server.

    Raises:
        InvalidArgument: the address or one of the names is none.
    """
    from annotator.web.callers import host_name, name_in_url
    from db.errors import InvalidArgument

    names = set()
    if url is not None:
        if (name := name_in_url(url)) is None:
            raise InvalidArgument(f"--url {url!r}: expected an address such as http://192.168.1.5:9090")
        names.add(name)
    for text in allowed:
        if (name := host_name(text)) is None:
            raise InvalidArgument(
                f"--allow-host {text!r}: expected a name without scheme and port, such as host.docker.internal"
            )
        names.add(name)
    return frozenset(names)


def warning_of_reach(host: str, account: tuple[str, str] | None) -> str | None:
    """Say what it means that other machines can reach an address; None where none can."""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return None
    if host == "localhost":
        return None
    where = f"other machines can reach this server ({host or 'all addresses'})"
    if account is None:
        return (
            f"{where}, and anyone there can request proposals; to require a password, set {USER_VARIABLE} and "
            f"{PASSWORD_VARIABLE}, and put a proxy with TLS in front, since passwords travel unencrypted"
        )
    return f"{where}, and the password travels to it unencrypted; put a proxy with TLS in front"


def stop_on_signals() -> threading.Event:
    """Return what is set when the user or the system asks this process to end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
