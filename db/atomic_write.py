"""Files that are put in place whole or not at all: written beside their target, synced, then renamed over it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(
    target: Path, *, mode: int = 0o644, durable: bool = True, named: Callable[[Path], Path] | None = None
) -> Iterator[Path]:
    """Give a new file beside `target` to write to; it takes the target's place when the block ends without an error.

    Args:
        target: the file to make or replace; its folder is made where it is missing.
        mode: permissions of the new file, from before its first byte is written.
        durable: wait until the disk has it, so that a power cut right after leaves the new file; False for many files
            that can be made again.
        named: given the finished draft, returns where it goes instead: for names that depend on the content.

    Yields:
        The path to write to. After an error it is removed, and the target is as it was.

    Raises:
        OSError: there is no space, or no permission.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    os.close(handle)
    draft = Path(name)
    try:
        draft.chmod(mode)
        yield draft
        if durable:
            with draft.open("rb") as written:
                os.fsync(written.fileno())
        draft.replace(named(draft) if named is not None else target)
    finally:
        draft.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: there is no space, or no permission; the target is as it was.
    """
    with replacing(target, mode=mode, durable=durable) as draft:
        draft.write_bytes(content)


def write_text(target: Path, content: str, *, mode: int = 0o644) -> None:
    """Write a text file (UTF-8) whole or not at all.

    Raises:
        OSError: there is no space, or no permission; the target is as it was.
    """
    write_bytes(target, content.encode("utf-8"), mode=mode)
