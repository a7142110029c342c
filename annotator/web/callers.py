"""Who may call a server of ours, and how: checked on a request's headers before its body is read. Pure.

A page in somebody's browser can send requests to 127.0.0.1, and a name that its owner points there (DNS rebinding)
makes the browser take them for the page's own. So the name that a caller used has to be one of ours, a page of another
site is refused, and what a form can send without asking is no JSON.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?")
"""Nothing else is a name of a machine; in particular nothing that a shell would read otherwise."""


def refusal(
    method: str, headers: Mapping[str, str], names: Collection[str], *, only_local: bool = False
) -> tuple[int, str] | None:
    """Say why a request is not answered; None where it is.

    Args:
        method: GET, POST and so on.
        headers: of the request, names in lower case.
        names: by which callers may name this server, beside its addresses.
        only_local: of addresses, only this machine's own (127.0.0.1 and its neighbours, ::1) name this server.

    Returns:
        HTTP status and the reason.
    """
    host = headers.get("host", "")
    name = _name_in(host)
    is_ours = _is_loopback if only_local else _is_address
    if name is None or not (name in LOCAL_NAMES or name in names or is_ours(name)):
        return HTTPStatus.FORBIDDEN, "this server is not known by that name"
    origin = headers.get("origin")
    if origin is not None and _site_of(origin) != host.lower():
        return HTTPStatus.FORBIDDEN, "requests from pages of other sites are not answered"
    if method == "POST":
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json"
    return None


def host_name(text: str) -> str | None:
    """Return a machine's name as it is compared, in lower case; None for what is neither a name nor an address."""
    name = text.lower().rstrip(".")
    return name if HOST_NAME.fullmatch(name) or _is_address(name) else None


def name_in_url(url: str) -> str | None:
    """Return the name of the machine in an http or https address; None where there is none."""
    try:
        parts = urlsplit(url)
        name = parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:
        return None
    return host_name(name) if name else None


def stranger_in(headers: Mapping[str, str]) -> str | None:
    """Return the name by which a refused caller, no web page, knows this server; None where it gives no real name."""
    if "origin" in headers:
        return None
    return host_name(_name_in(headers.get("host", "")) or "")


def _name_in(host: str) -> str | None:
    """Return the name in a Host header, without its port; None where it cannot be read."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name and "@" not in host and "/" not in host else None


def _site_of(origin: str) -> str | None:
    """Return host and port of an Origin header; None where it names no web server, as `null` does."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None


def _is_address(name: str) -> bool:
    """Say whether a name is an IP address, which nobody else can point anywhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    """Say whether a name is an address of this machine that no other one can reach."""
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
