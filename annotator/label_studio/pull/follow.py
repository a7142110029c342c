"""Pulls again and again while people work. Webhooks are hints to look now; nothing that they say is believed."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from annotator.errors import ConnectionFailed, IncompleteListing, LabelStudioError, ProjectUnusable
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.ml_backend import PRIVATE
from annotator.label_studio.pull.plan import PullReport
from annotator.label_studio.web_server import Access, WebServer
from annotator.web.callers import name_in_url
from db.errors import InvalidArgument

ACTIONS = ["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]
SETTLE_S = 0.5
"""After a hint: what is said in one go is pulled in one go."""


def follow(
    pull: Callable[[], PullReport],
    told: Callable[[PullReport], None],
    *,
    every_s: float,
    hint: threading.Event,
    stop: threading.Event,
    say: Callable[[str], None],
) -> None:
    """Pull until somebody says stop. A server that cannot be reached is tried again; any other error ends it.

    Args:
        pull: one pull.
        told: hears of every pull.
        every_s: how long to wait for a hint before looking anyway, in seconds.
        hint: set when there may be something new.
        stop: set to end it.
        say: where to say that the server cannot be reached.
    """
    while not stop.is_set():
        hint.clear()
        try:
            told(pull())
        except (ConnectionFailed, IncompleteListing) as exc:
            say(f"{exc}; trying again")
        deadline = time.monotonic() + every_s
        while not stop.is_set() and not hint.is_set() and time.monotonic() < deadline:
            hint.wait(min(0.5, every_s))
        if hint.is_set():
            stop.wait(SETTLE_S)


@contextmanager
def hints_from(
    client: LabelStudioClient, project_id: int, hint: threading.Event, *, host: str, port: int, url: str | None = None
) -> Iterator[str]:
    """Let a project's server set `hint` whenever somebody annotates, for as long as the block runs.

    Args:
        client: to the server.
        project_id: the project.
        hint: set by every call.
        host: address to listen on.
        port: port to listen on; 0 for any that is free.
        url: where the server reaches this machine's port; by default `http://HOST:PORT`.

    Yields:
        The address that the server calls.

    Raises:
        PortUnusable: the port cannot be listened on; ProjectUnusable: the server does not take the address;
            InvalidArgument: the address is none.
    """
    # Nobody else knows the path, so nobody else can make this machine pull.
    path = f"/hint/{secrets.token_urlsafe(16)}"

    def heard(_: object) -> dict[str, str]:
        hint.set()
        return {"result": "thanks"}

    name = name_in_url(url) if url is not None else None
    if url is not None and name is None:
        raise InvalidArgument(f"--webhook-url {url!r}: expected an address such as http://192.168.1.5:9191")
    access = Access(names=frozenset({name} if name else ()), remedy="--webhook-url http://NAME:PORT")
    with WebServer({("POST", path): heard}, host=host, port=port, access=access) as server:
        address = (url or f"http://{host}:{server.port}").rstrip("/") + path
        document = {
            "url": address,
            "project": project_id,
            "send_payload": False,
            "send_for_all_actions": False,
            "actions": ACTIONS,
            "is_active": True,
        }
        try:
            made = client.http.post("/api/webhooks/", document)
        except LabelStudioError as exc:
            raise ProjectUnusable(
                f"Label Studio at {client.url} does not accept a webhook to {host}:{server.port} ({exc}). {PRIVATE}; "
                "without a webhook, `partly pull --follow` checks at regular intervals"
            ) from exc
        try:
            yield address
        finally:
            with suppress(LabelStudioError):
                client.http.delete(f"/api/webhooks/{made['id']}/")
