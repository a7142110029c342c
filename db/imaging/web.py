"""Images on web servers: bounded, and never redirected from outside into a private network."""

import ipaddress
import socket
from typing import Any
from urllib.parse import urljoin, urlsplit

from db.errors import ImageUnreadable
from db.imaging.limits import in_words


def is_private(host: str) -> bool:
    """Say whether a host is of a private network, this machine, or nobody's: any of the addresses that it has now."""
    try:
        found = {str(item[4][0]).partition("%")[0] for item in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        # It cannot be reached either.
        return False
    return any(not _plain(address).is_global for address in found)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Take an IPv4 address out of the IPv6 address that it may be wrapped in."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def is_web(uri: str) -> bool:
    """Say whether a file lies on a web server."""
    return uri.startswith(("http://", "https://"))


def web_options(uri: str) -> dict[str, Any]:
    """Return options of fsspec's web file system with which no redirect leads from outside into a private network.

    Raises:
        ImportError: aiohttp, with which fsspec asks web servers, is not installed.
    """
    import aiohttp

    is_inside = is_private(urlsplit(uri).hostname or "")

    async def check(_session: Any, _context: Any, asked: Any) -> None:
        target = urljoin(str(asked.url), asked.response.headers.get("Location", ""))
        if not is_inside and is_private(urlsplit(target).hostname or ""):
            raise ImageUnreadable(uri, f"it redirects to {urlsplit(target).hostname}, in a private network")

    watch = aiohttp.TraceConfig()
    watch.on_request_redirect.append(check)
    return {"client_kwargs": {"trace_configs": [watch]}, "skip_instance_cache": True}


def read_web(file_system: Any, path: str, limit: int) -> bytes:
    """Read a file from a web server, whatever it says about its size.

    Raises:
        ImageUnreadable: it is larger than the limit, or sent on to where nothing is asked for.
        OSError: it is not there.
    """
    parts, size = [], 0
    try:
        with file_system.open(path, "rb", block_size=0) as stream:
            while part := stream.read(2**20):
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise ImageUnreadable(path, f"it is larger than {in_words(limit)}, the limit for such a file")
    except FileNotFoundError as exc:
        # The library says so of every request that fails, also of one that was stopped here.
        if isinstance(exc.__cause__, ImageUnreadable):
            raise exc.__cause__ from exc
        raise
    return b"".join(parts)
