"""A small web server for what Label Studio calls: JSON in, JSON out. The one place that knows Starlette and uvicorn.

Whoever can reach its port can send anything, for as long as they like: bodies without an end, a byte a minute, a
thousand connections. So there are limits, and answers to what fails say nothing about this machine.
"""

import asyncio
import base64
import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from annotator.errors import PortUnusable
from annotator.label_studio.network.callers import host_name, refusal, stranger_in

Handler = Callable[[Mapping[str, Any]], Any]
"""Takes the request's JSON document (empty for GET), returns the answer's."""

START_S = 20.0
END_S = 2
"""Seconds that those who are being answered have when the server ends."""
MOST_STRANGERS = 100
"""Names of which the log says how to allow them."""
LONGEST_LINE = 500
log = logging.getLogger(__name__)


class RequestInvalid(Exception):
    """A request that a handler cannot answer; the caller is told the message."""


class _BodyRefused(Exception):
    """A request's body is not read to its end."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller may take."""

    body_bytes: int = 16 * 2**20
    """Of one request; a batch of tasks has some hundred thousand."""
    request_s: float = 30.0
    """Seconds for a request's headers to arrive, again for its body, and again for its answer to be fetched."""
    at_once: int = 32
    """Connections; more are answered with status 503, and many more not at all."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who is answered."""

    account: tuple[str, str] | None = None
    """Name and password that callers must give (HTTP Basic); None to answer anybody."""
    names: frozenset[str] = frozenset()
    """By which callers may name this server, beside localhost and its addresses."""
    remedy: str = "--allow-host NAME"
    """What to type so that it may be called by another name."""


class WebServer:
    """Listens on a port of its own thread."""

    def __init__(
        self,
        handlers: Mapping[tuple[str, str], Handler],
        *,
        host: str,
        port: int,
        access: Access | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Prepare to listen.

        Args:
            handlers: what answers, by method and path.
            host: address to listen on.
            port: port; 0 for any that is free.
            access: who is answered; None for anybody who calls it by its address or its own name.
            limits: what a caller may take; None for the usual.

        Raises:
            PortUnusable: somebody else listens there, or the address is not this machine's.
        """
        import uvicorn

        access, limits = access or Access(), limits or Limits()
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, reuse_port=False)
        except OSError as exc:
            raise PortUnusable(
                f"cannot listen on {host}:{port} ({exc.strerror or exc}); choose another port with --port"
            ) from exc
        self.host, self.port = host, int(self._socket.getsockname()[1])
        names = {name for text in (host, socket.gethostname(), *access.names) if (name := host_name(text))}
        config = uvicorn.Config(
            _application(handlers, access, names, limits),
            http=_timed_protocol(limits),
            ws="none",
            limit_concurrency=limits.at_once,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=END_S + 1,
            h11_max_incomplete_event_size=64 * 2**10,
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="partly web server", daemon=True
        )

    def __enter__(self) -> "WebServer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join(START_S)
        self._socket.close()


def _timed_protocol(limits: Limits) -> Any:
    """Make uvicorn's protocol drop connections that send no whole request in time, which it would wait for for ever."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class TimedProtocol(H11Protocol):
        """One connection."""

        waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Begin to wait for a request."""
            super().connection_made(transport)
            if len(self.connections) > 4 * limits.at_once:
                transport.abort()
                return
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            """Wait no more."""
            if self.waiting is not None:
                self.waiting.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            """Begin to wait for the next request."""
            super().on_response_complete()
            self._wait()

        def shutdown(self) -> None:
            """End, and soon also where somebody neither asks nor listens."""
            super().shutdown()
            self.loop.call_later(END_S, self.transport.abort)

        def _wait(self) -> None:
            if self.waiting is not None:
                self.waiting.cancel()
            self.waiting = self.loop.call_later(limits.request_s, self._drop)

        def _drop(self) -> None:
            # One whose headers are there is the application's affair.
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return TimedProtocol


def _application(
    handlers: Mapping[tuple[str, str], Handler],
    access: Access,
    names: Collection[str],
    limits: Limits,
) -> Any:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    strangers: set[str] = set()

    def refused(status: int, reason: str, **headers: str) -> JSONResponse:
        # What is left of the request is not read, so the connection ends.
        return JSONResponse({"error": reason}, status, headers={"Connection": "close", **headers})

    def check(request: Request) -> JSONResponse | None:
        found = refusal(request.method, request.headers, names)
        if found is not None:
            if found[0] == 403:
                _tell_how_to_allow(stranger_in(request.headers), access.remedy, strangers)
            return refused(*found)
        if access.account is not None and not _is_allowed(request.headers.get("authorization"), access.account):
            return refused(401, "name and password are needed", **{"WWW-Authenticate": 'Basic realm="partly"'})
        return None

    def endpoint(handler: Handler) -> Any:
        async def answer(request: Request) -> Response:
            if (problem := check(request)) is not None:
                return problem
            try:
                body = await _read_body(request, limits)
                # Reading JSON and using the registry and the model would keep all other callers waiting.
                return await run_in_threadpool(lambda: JSONResponse(handler(_document(body))))
            except _BodyRefused as exc:
                return refused(exc.status, str(exc))
            except RequestInvalid as exc:
                return refused(400, str(exc))
            except ClientDisconnect:
                return refused(400, "the request broke off")
            except Exception as exc:
                # It must go on answering, whatever one request brings, and who calls learns nothing of this machine.
                reason = " ".join(str(exc).split())[:LONGEST_LINE]
                log.warning("a request to %s failed (%s: %s)", request.url.path, type(exc).__name__, reason)
                return refused(500, "the request failed; the log of this server says why")

        return answer

    routes = [Route(path, endpoint(handler), methods=[method]) for (method, path), handler in handlers.items()]
    application = Starlette(routes=routes)
    # A redirection would name whatever machine the caller named.
    application.router.redirect_slashes = False
    return application


def _tell_how_to_allow(name: str | None, remedy: str, told: set[str]) -> None:
    """Say once of a name that callers use what to type, if it is this machine's."""
    if name is None or name in told or len(told) >= MOST_STRANGERS:
        return
    told.add(name)
    log.warning(
        "a caller names this server %s and is refused; if Label Studio knows this machine by that name, start again "
        "with %s",
        name,
        remedy.replace("NAME", name),
    )


async def _read_body(request: Any, limits: Limits) -> bytes:
    """Read a request's body as far as there is a claim to it.

    Raises:
        _BodyRefused: it is too large, or too slow; ClientDisconnect: it has no end.
    """
    too_large = _BodyRefused(413, f"the request is larger than {limits.body_bytes:,} bytes")
    if int(request.headers.get("content-length") or 0) > limits.body_bytes:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.request_s):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise _BodyRefused(408, f"the request was not there within {limits.request_s:g} seconds") from None
    return b"".join(parts)


def _document(body: bytes) -> dict[str, Any]:
    """Read a request's document; an empty body is an empty one.

    Raises:
        RequestInvalid: it is no JSON object.
    """
    try:
        document = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        raise RequestInvalid("the request is not JSON") from None
    if not isinstance(document, dict):
        raise RequestInvalid("the request is not a JSON object")
    return document


def _is_allowed(header: str | None, account: tuple[str, str]) -> bool:
    expected = base64.b64encode(":".join(account).encode()).decode()
    return hmac.compare_digest((header or "").encode(), f"Basic {expected}".encode())
