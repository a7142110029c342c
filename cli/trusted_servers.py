"""Servers that this user's token may go to: those that the user has named, remembered in a file of the user's own.

A token in the environment belongs to a person; the address it is sent to may come from a registry or a settings file
that somebody else wrote. So it is sent to a server only after the user has named that server once. The file holds
addresses, never a token.
"""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from db.atomic_write import write_text
from db.errors import InvalidArgument

VARIABLE = "PARTLY_CONFIG_HOME"
URL_VARIABLE = "PARTLY_LABEL_STUDIO_URL"
"""Names the server of the token that stands beside it in the environment."""
FILE = "servers.json"
KEY = "label_studio"


def trusted_file() -> Path:
    """Return the file, in the user's own configuration folder, or in that which PARTLY_CONFIG_HOME names."""
    from platformdirs import PlatformDirs

    if named := os.environ.get(VARIABLE):
        return Path(named).resolve() / FILE
    return PlatformDirs("partly", appauthor=False).user_config_path / FILE


def trusted_servers() -> list[str]:
    """List the servers that the user has named: scheme, host and port.

    Raises:
        InvalidArgument: the file cannot be read.
    """
    file = trusted_file()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))[KEY]
        if not all(isinstance(server, str) for server in found):
            raise ValueError("a server is not text")
        return list(found)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InvalidArgument(f"{file}: cannot be read ({exc}); remove it, and name your servers again") from exc


def is_trusted(url: str) -> bool:
    """Say whether the user has named this server before, or names it in the environment."""
    named = os.environ.get(URL_VARIABLE)
    return (named is not None and _server(named) == _server(url)) or _server(url) in trusted_servers()


def trust(url: str) -> None:
    """Remember a server that the user has named.

    Raises:
        InvalidArgument: the file cannot be read or written.
    """
    known = trusted_servers()
    if _server(url) in known:
        return
    file = trusted_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(file, json.dumps({KEY: sorted([*known, _server(url)])}, indent=1), mode=0o600)
    except OSError as exc:
        raise InvalidArgument(
            f"{file}: cannot be written ({exc.strerror or exc}); name another folder with {VARIABLE}"
        ) from exc


def _server(url: str) -> str:
    """Return scheme, host and port of an address: what credentials belong to."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"
