"""A proxy between partly and a real Label Studio that breaks what passes through it, by a seed."""

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

FAULTS = ("answer lost", "cut", "not found", "too many", "not allowed", "html", "slow", "dropped")
"""What can happen to a request; with the first two the server has done the work."""


class FaultyProxy:
    """Listens on a port of its own; `arm` says how often it may break something from now on."""

    def __init__(
        self, upstream: str, *, prefix: str = "", tls: ssl.SSLContext | None = None, read_only: bool = False
    ) -> None:
        """Listen.

        Args:
            upstream: the real server.
            prefix: path that the server seems to lie under.
            tls: speak https with this certificate.
            read_only: refuse whatever changes something, as to a user who may only look.
        """
        self.upstream = httpx.Client(base_url=upstream, timeout=60)
        self.prefix = prefix
        self.read_only = read_only
        self.before: Callable[[int], None] | None = None
        """Called before each request with its number, from 1."""
        self.rng = random.Random(0)
        self.left = 0
        self.chance = 0.0
        self.happened: list[str] = []
        self.requests = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def handle_any(self) -> None:
                proxy.handle(self)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}{prefix}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def arm(self, seed: int, *, count: int, chance: float) -> None:
        """Break at most `count` of the next requests, each with this chance."""
        self.rng, self.left, self.chance = random.Random(seed), count, chance
        self.happened = []

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self.upstream.close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Pass one request on, or break it."""
        self.requests += 1
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.before is not None:
            self.before(self.requests)
        fault = self._next_fault()
        if not request.path.startswith(self.prefix):
            _answer(request, 404, b"<html>nothing here</html>", **{"Content-Type": "text/html"})
        elif self.read_only and request.command != "GET" and "/api/token/" not in request.path:
            _answer(request, 403, b'{"detail": "You do not have permission to perform this action."}')
        elif fault == "dropped":
            _hang_up(request)
        elif fault == "not found":
            _answer(request, 404, b'{"detail": "Invalid page."}')
        elif fault == "too many":
            _answer(request, 429, b'{"detail": "slow down"}', **{"Retry-After": "0"})
        elif fault == "not allowed":
            _answer(request, 401, b'{"detail": "Invalid token."}')
        elif fault == "html":
            _answer(request, 200, b"<html><body>Sign in</body></html>", **{"Content-Type": "text/html"})
        else:
            self._forward(request, body, fault)

    def _next_fault(self) -> str | None:
        if self.left < 1 or self.rng.random() >= self.chance:
            return None
        self.left -= 1
        self.happened.append(self.rng.choice(FAULTS))
        return self.happened[-1]

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes, fault: str | None) -> None:
        headers = {
            k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")
        }
        path = request.path[len(self.prefix) :]
        try:
            answer = self.upstream.request(request.command, path, content=body, headers=headers)
        except httpx.HTTPError:
            _answer(request, 502, b"<html>Bad Gateway</html>", **{"Content-Type": "text/html"})
            return
        if fault == "answer lost":
            _answer(request, 504, b"<html>Gateway Time-out</html>", **{"Content-Type": "text/html"})
            return
        content = answer.content
        request.send_response(answer.status_code)
        request.send_header("Content-Type", answer.headers.get("content-type", "application/json"))
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if fault == "cut":
            request.wfile.write(content[: len(content) // 2])
            _hang_up(request)
        elif fault == "slow":
            for start in range(0, len(content), max(1, len(content) // 10)):
                request.wfile.write(content[start : start + max(1, len(content) // 10)])
                time.sleep(0.005)
        else:
            request.wfile.write(content)


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def _hang_up(request: BaseHTTPRequestHandler) -> None:
    request.wfile.flush()
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)
