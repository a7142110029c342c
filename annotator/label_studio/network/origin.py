"""Where a request may go, and whether the token goes with it. Decided on the address that is really sent.

A task's image is written by whoever may write tasks. Joined as text, `.evil.test/x` behind `http://labels.test` is
another server; so addresses are joined as URLs (RFC 3986), by the library that sends them, and compared after that.
"""

import unicodedata
from collections.abc import Iterable

import httpx

from db.imaging.web import is_web

REFUSED = ("Cc", "Cf", "Zl", "Zp")
"""Categories of characters that no address has: they read otherwise than they are sent."""
DEFAULT_PORTS = {"http": 80, "https": 443}


class AddressRefused(Exception):
    """Nothing is sent to an address; the message says why."""


def join_address(base: str, address: str) -> httpx.URL:
    """Find out which address a task's data mean.

    Args:
        base: the server's address in its normal form, with its path prefix where it has one.
        address: a path on the server (below its prefix), or an absolute address.

    Returns:
        An absolute http or https address without a user.

    Raises:
        AddressRefused: it is none.
    """
    if any(unicodedata.category(character) in REFUSED or character == "\\" for character in address):
        raise AddressRefused("the address has backslashes or control characters")
    try:
        on_server = address.startswith("/") and not address.startswith("//")
        url = httpx.URL(base + address) if on_server else httpx.URL(f"{base}/").join(address)
        return checked_url(url)
    except (httpx.InvalidURL, ValueError) as exc:
        raise AddressRefused(f"the address cannot be read ({exc})") from exc


def checked_url(url: httpx.URL) -> httpx.URL:
    """Return an address that a request may go to.

    Raises:
        AddressRefused: it is not http or https, names no host, or carries a user.
    """
    if url.scheme not in DEFAULT_PORTS or not url.host:
        raise AddressRefused(f"{url.scheme or 'this'} is not an address of a web server")
    if url.port is not None and not 0 < url.port < 65536:
        raise AddressRefused(f"there is no port {url.port}")
    if url.userinfo:
        raise AddressRefused("the address contains a user name")
    return url


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port: what credentials belong to (RFC 6454)."""
    return url.scheme, url.host.lower().rstrip("."), url.port or DEFAULT_PORTS.get(url.scheme)


def web_hosts(locations: Iterable[str]) -> frozenset[str]:
    """Return the hosts of those files that lie on web servers.

    Args:
        locations: paths and URIs.
    """
    found = set()
    for location in locations:
        if is_web(location):
            try:
                found.add(httpx.URL(location).host)
            except httpx.InvalidURL:
                continue
    return frozenset(found)
