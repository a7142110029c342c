"""Listens on a port of this machine in a thread of its own; the one place that knows uvicorn.

Whoever can reach the port can send anything, for as long as they like: bodies without an end, a byte a minute, a
thousand connections. So there are limits.
"""

import asyncio
import socket
import threading
from dataclasses import dataclass
from typing import Any, Self

from annotator.errors import PortUnusable

START_S = 20.0
END_S = 2
"""Seconds that those who are being answered have when the server ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller may take."""

    body_bytes: int = 16 * 2**20
    """Of one request; a batch of tasks has some hundred thousand."""
    request_s: float = 30.0
    """Seconds for a request's headers to arrive, again for its body, and again for its answer to be fetched."""
    at_once: int = 32
    """Connections; more are answered with status 503, and many more not at all."""


class ListeningServer:
    """Answers with an ASGI application from when it is entered until it is left."""

    def __init__(self, application: Any, listening: socket.socket, *, limits: Limits | None = None) -> None:
        """Prepare to answer.

        Args:
            application: what answers (ASGI 3).
            listening: where callers come in; see `listen`. It is closed at the end.
            limits: what a caller may take; None for the usual.
        """
        import uvicorn

        limits = limits or Limits()
        self._socket = listening
        self.host, self.port = listening.getsockname()[:2]
        config = uvicorn.Config(
            application,
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

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join(START_S)
        self._socket.close()


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port.

    Args:
        host: address to listen on.
        port: port; 0 for any that is free.

    Raises:
        PortUnusable: somebody else listens there, or the address is not this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, reuse_port=False)
    except (OSError, OverflowError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise PortUnusable(f"cannot listen on {host}:{port} ({reason}); choose another port with --port") from exc


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
