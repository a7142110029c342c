"""The dashboard as an ASGI application; of this room, the one place that knows Starlette.

Nobody but a browser on this machine is answered, with GET alone, and nothing on the way writes: what a page shows is
read in one reading transaction. Everything that comes from a data set is text: templates escape it, and the policy that
is sent with every answer lets a page load and run nothing but our own two files.
"""

import logging
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotator.web.callers import refusal
from cli.dashboard import pages
from cli.dashboard.filters import image_number
from cli.dashboard.pictures import THUMBNAIL_PX, Pictures, side_of
from db.errors import ImageUnreadable, InvalidArgument, NotFound, RegistryError
from db.plain_text import shown
from db.registry import Registry

READS = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Images of patients are not left behind in a browser's folder.
    "Cache-Control": "no-store",
}
STATIC = {"dashboard.css": "text/css", "dashboard.js": "text/javascript", "icon.svg": "image/svg+xml"}
REASON_LETTERS = 34
"""In a line of the picture that stands for one that cannot be read."""
log = logging.getLogger(__name__)


def make_application(registry: Registry, *, title: str) -> ASGIApp:
    """Make the application.

    Args:
        registry: what is shown; it is only read.
        title: of the project.
    """
    return _Guard(_routed(registry, _environment(title)))


class _Guard:
    """Refuses whoever is not meant, and sends with every answer what a browser may do with it."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._refused(scope) or self._application)(scope, receive, send_guarded)

    def _refused(self, scope: Scope) -> Response | None:
        if scope["method"] not in READS:
            allowed = {"Allow": ", ".join(READS), "Connection": "close"}
            return PlainTextResponse("the dashboard is read-only: GET is the only method", 405, headers=allowed)
        if (found := refusal(scope["method"], Headers(scope=scope), (), only_local=True)) is not None:
            return PlainTextResponse(found[1], found[0], headers={"Connection": "close"})
        return None


def _environment(title: str) -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # Marks that turn the direction of writing, and bytes that are no text.
        finalize=lambda value: shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    # By its size a page tells an image from what stands for one that cannot be read.
    environment.globals |= {"project": title, "side": THUMBNAIL_PX}
    environment.filters |= {"number": _number, "when": lambda at: f"{at.astimezone():%Y-%m-%d %H:%M}"}
    environment.filters["query"] = lambda pairs: urlencode({key: str(value) for key, value in pairs.items()})
    return environment


def _number(value: object) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _routed(registry: Registry, environment: Environment) -> Starlette:
    pictures, steps = Pictures(), pages.NextSteps(registry)

    def render(name: str, context: Mapping[str, Any], status: int = 200) -> Response:
        return HTMLResponse(environment.get_template(f"{name}.html.j2").render(context), status)

    def failed(status: int, reason: str) -> Response:
        return render("failed", {"page": "failed", "status": status, "reason": reason}, status)

    def page(name: str, read: Callable[[Request], Mapping[str, Any]]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return render(name, {"page": name, **read(request)})
            except (NotFound, InvalidArgument) as exc:
                return failed(404 if isinstance(exc, NotFound) else 400, str(exc))
            except RegistryError as exc:
                # Somebody restores, moves or upgrades it; the next look may find it well.
                return failed(503, str(exc))
            except Exception as exc:
                reason = shown(" ".join(str(exc).split()))[:500]
                log.warning("the page %s failed (%s: %s)", name, type(exc).__name__, reason)
                return failed(500, "this page failed; see the terminal where the dashboard is running")

        return answer

    def picture(side: int | None) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                with registry.read() as tx:
                    record = tx.images.get(_id_in(request))
                return Response(pictures.jpeg(record, side or side_of(record)), media_type="image/jpeg")
            except NotFound as exc:
                return PlainTextResponse(shown(str(exc)), 404)
            except RegistryError as exc:
                reason = exc.reason if isinstance(exc, ImageUnreadable) else str(exc)
                lines = _lines(f"cannot be shown: {reason}")
                drawn = environment.get_template("placeholder.svg.j2").render(lines=lines)
                return Response(drawn, media_type="image/svg+xml", headers={"X-Partly-Placeholder": "1"})

        return answer

    def one_image(request: Request) -> Mapping[str, Any]:
        context = pages.image(registry, _id_in(request), request.query_params)
        record, unreadable = context["record"], None
        try:
            # Kept for the request that follows. What lies elsewhere may take long; the picture says what is wrong.
            if not record.path.is_remote:
                pictures.jpeg(record, side_of(record))
        except ImageUnreadable as exc:
            unreadable = exc.reason
        return {**context, "unreadable": unreadable, "side": side_of(record)}

    routes = [
        Route("/", page("overview", lambda _: pages.overview(registry))),
        Route("/next", page("next", lambda _: {"steps": steps()})),
        Route("/rounds", page("rounds", lambda _: pages.rounds(registry))),
        Route("/review", page("review", lambda _: pages.review(registry))),
        Route("/runs", page("runs", lambda _: pages.runs(registry))),
        Route("/images", page("images", lambda request: pages.images(registry, request.query_params))),
        Route("/images/{number}", page("image", one_image)),
        Route("/images/{number}/thumbnail", picture(THUMBNAIL_PX)),
        Route("/images/{number}/picture", picture(None)),
        Route("/static/{name}", _static()),
    ]

    def not_found(_: Request, __: Exception) -> Response:
        return failed(404, "there is no such page")

    application = Starlette(routes=routes, exception_handlers={404: not_found})
    # A redirection would name whatever machine the caller named.
    application.router.redirect_slashes = False
    return application


def _id_in(request: Request) -> int:
    if (number := image_number(request.path_params["number"])) is None:
        raise NotFound(f"there is no image {request.path_params['number'][:40]!r} in the registry")
    return number


def _static() -> Callable[[Request], Response]:
    folder = files(__package__) / "static"
    # Read once, by names that are known: no path comes from an address.
    loaded = {name: (folder / name).read_bytes() for name in STATIC}

    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in loaded:
            raise HTTPException(404)
        return Response(loaded[name], media_type=STATIC[name])

    return answer


def _lines(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(shown(text), REASON_LETTERS, max_lines=6, placeholder=" ...")
