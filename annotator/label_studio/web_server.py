"""A small web server for what Label Studio calls: JSON in, JSON out.

Whoever can reach its port can send anything, so there are limits, and answers to what fails say nothing about this
machine.
"""

import asyncio
import base64
import hmac
import json
import logging
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from annotator.web.callers import host_name, refusal, stranger_in
from annotator.web.listening import Limits, ListeningServer, listen

Handler = Callable[[Mapping[str, Any]], Any]
"""Takes the request's JSON document (empty for GET), returns the answer's."""

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
class Access:
    """Who is answered."""

    account: tuple[str, str] | None = None
    """Name and password that callers must give (HTTP Basic); None to answer anybody."""
    names: frozenset[str] = frozenset()
    """By which callers may name this server, beside localhost and its addresses."""
    remedy: str = "--allow-host NAME"
    """What to type so that it may be called by another name."""


class WebServer(ListeningServer):
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
        access, limits = access or Access(), limits or Limits()
        listening = listen(host, port)
        names = {name for text in (host, socket.gethostname(), *access.names) if (name := host_name(text))}
        super().__init__(_application(handlers, access, names, limits), listening, limits=limits)


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
            return refused(401, "name and password are required", **{"WWW-Authenticate": 'Basic realm="partly"'})
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
                return refused(400, "the request was cut off")
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
        "a caller addresses this server as %s and is refused; if Label Studio knows this machine by that name, start "
        "again with %s",
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
        raise _BodyRefused(408, f"the request did not arrive within {limits.request_s:g} seconds") from None
    return b"".join(parts)


def _document(body: bytes) -> dict[str, Any]:
    """Read a request's document; an empty body is an empty one.

    Raises:
        RequestInvalid: it is not a JSON object.
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
