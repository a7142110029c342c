"""Which file a SQLite URL means: pure text, so that settings can ask without loading SQLAlchemy."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def sqlite_file(url: str) -> Path | None:
    """Return the file that a SQLAlchemy URL names; None for a database in memory, or another kind of database."""
    name, query = sqlite_name(url)
    if name in ("", ":memory:"):
        return None
    if name.startswith("file:"):
        # SQLite's own URI; a relative one counts from wherever the process is, and is left to SQLite.
        path = unquote(name.removeprefix("file:").removeprefix("//"))
        absolute = path.startswith("/") or _DRIVE.match(path)
        return Path(path) if absolute and "uri=true" in query.split("&") else None
    return Path(name)


def sqlite_name(url: str) -> tuple[str, str]:
    """Return what SQLite is to open, as it is written in a URL, and the URL's options; both empty for others.

    Nothing in it is decoded: a folder may be called "50%20", and a URL is often made of a folder's name.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] != "sqlite":
        return "", ""
    name, _, query = rest.removeprefix("/").partition("?")
    return name, query


def file_url(file: Path, **options: str) -> str:
    """Write the URL of a SQLite file, whatever its name: a "?" would end the name in a plain URL.

    Args:
        file: absolute path.
        options: of SQLite's own URI, such as `mode="ro"`.
    """
    if "?" not in str(file) and not options:
        return f"sqlite:///{file.as_posix()}"
    query = "&".join(f"{name}={value}" for name, value in (options | {"uri": "true"}).items())
    return f"sqlite:///file:{quote(file.as_posix(), errors='surrogateescape')}?{query}"


def absolute_url(url: str, folder: Path) -> str:
    """Make a SQLite URL with a relative path absolute, so that it means the same file from everywhere.

    Args:
        url: any SQLAlchemy URL.
        folder: what a relative path is relative to.

    Returns:
        The URL; unchanged where its path is absolute (a drive letter counts), in memory, or not SQLite's.
    """
    file = sqlite_file(url)
    if file is None or file.is_absolute() or _DRIVE.match(str(file)):
        return url
    scheme, _, rest = url.partition("://")
    query = rest.partition("?")[2]
    if "?" in str(folder.absolute()) and not query:
        return file_url(folder.absolute() / file)
    return f"{scheme}:///{(folder.absolute() / file).as_posix()}" + (f"?{query}" if query else "")
