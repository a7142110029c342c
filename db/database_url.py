"""Which file a SQLite URL means: pure text, so that settings can ask without loading SQLAlchemy."""

import re
from pathlib import Path


def sqlite_file(url: str) -> Path | None:
    """Return the file that a SQLAlchemy URL names; None for a database in memory, or another kind of database."""
    scheme, separator, rest = url.partition("://")
    name = rest.removeprefix("/").partition("?")[0]
    if not separator or scheme.partition("+")[0] != "sqlite" or name in ("", ":memory:") or name.startswith("file:"):
        return None
    return Path(name)


def absolute_url(url: str, folder: Path) -> str:
    """Make a SQLite URL with a relative path absolute, so that it means the same file from everywhere.

    Args:
        url: any SQLAlchemy URL.
        folder: what a relative path is relative to.

    Returns:
        The URL; unchanged where its path is absolute (a drive letter counts), in memory, or not SQLite's.
    """
    file = sqlite_file(url)
    if file is None or file.is_absolute() or re.match(r"[A-Za-z]:[\\/]", str(file)):
        return url
    scheme, _, rest = url.partition("://")
    query = rest.partition("?")[2]
    return f"{scheme}:///{(folder.absolute() / file).as_posix()}" + (f"?{query}" if query else "")
