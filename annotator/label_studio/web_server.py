"""A small web server for what Label Studio calls: JSON in, JSON out. The one place that knows Starlette and uvicorn."""

import base64
import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from annotator.errors import PortUnusable

Handler = Callable[[Mapping[str, Any]], Any]
"""Takes the request's JSON document (empty for GET), returns the answer's."""

BIGGEST_BODY = 64 * 2**20
START_S = 20.0


class WebServer:
    """Listens on a port of its own thread."""

    def __init__(
        self,
        handlers: Mapping[tuple[str, str], Handler],
        *,
        host: str,
        port: int,
        account: tuple[str, str] | None = None,
    ) -> None:
        """Prepare to listen.

        Args:
            handlers: what answers, by method and path.
            host: address to listen on.
            port: port; 0 for any that is free.
            account: name and password that callers must give (HTTP Basic); None to answer anybody.

        Raises:
            PortUnusable: somebody else listens there, or the address is not this machine's.
        """
        import uvicorn

        try:
            self._socket = socket.create_server((host, port), reuse_port=False)
        except OSError as exc:
            raise PortUnusable(
                f"cannot listen on {host}:{port} ({exc.strerror or exc}); choose another port with --port"
            ) from exc
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(_application(handlers, account), log_level="warning", access_log=False)
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


def _application(handlers: Mapping[tuple[str, str], Handler], account: tuple[str, str] | None) -> Any:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def endpoint(handler: Handler) -> Any:
        async def answer(request: Request) -> JSONResponse:
            if account is not None and not _is_allowed(request.headers.get("authorization"), account):
                headers = {"WWW-Authenticate": 'Basic realm="partly"'}
                return JSONResponse({"error": "name and password are needed"}, 401, headers=headers)
            if int(request.headers.get("content-length") or 0) > BIGGEST_BODY:
                return JSONResponse({"error": "the request is too large"}, 413)
            body = await request.body()
            try:
                document = json.loads(body) if body else {}
            except ValueError:
                return JSONResponse({"error": "the request is not JSON"}, 400)
            if not isinstance(document, dict):
                return JSONResponse({"error": "the request is not a JSON object"}, 400)
            try:
                # Handlers use the registry and the model, which would keep all other callers waiting.
                return JSONResponse(await run_in_threadpool(handler, document))
            except Exception as exc:
                # The server must go on answering, whatever one request brings.
                logging.getLogger(__name__).warning("a request failed (%s: %s)", type(exc).__name__, exc)
                return JSONResponse({"error": f"{type(exc).__name__}: {exc}"}, 500)

        return answer

    routes = [Route(path, endpoint(handler), methods=[method]) for (method, path), handler in handlers.items()]
    return Starlette(routes=routes)


def _is_allowed(header: str | None, account: tuple[str, str]) -> bool:
    expected = base64.b64encode(":".join(account).encode()).decode()
    return hmac.compare_digest((header or "").encode(), f"Basic {expected}".encode())
