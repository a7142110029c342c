"""Files that are put in place whole or not at all: written beside their target, synced, then renamed over it."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(
    target: Path, *, mode: int = 0o666, durable: bool = True, named: Callable[[Path], Path] | None = None
) -> Iterator[Path]:
    """Give a new file beside `target` to write to; it takes the target's place when the block ends without an error.

    Args:
        target: the file to make or replace; its folder is made where it is missing.
        mode: permissions of the new file, from before its first byte is written, less what the umask withholds.
        durable: wait until the disk has it, so that a power cut right after leaves the new file; False for many files
            that can be made again.
        named: given the finished draft, returns where it goes instead: for names that depend on the content.

    Yields:
        The path to write to. After an error it is removed, and the target is as it was.

    Raises:
        OSError: there is no space, or no permission.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield draft
        if durable:
            with draft.open("rb") as written:
                os.fsync(written.fileno())
        draft.replace(named(draft) if named is not None else target)
    finally:
        draft.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes, *, mode: int = 0o666, durable: bool = True) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: there is no space, or no permission; the target is as it was.
    """
    with replacing(target, mode=mode, durable=durable) as draft:
        draft.write_bytes(content)


def write_text(target: Path, content: str, *, mode: int = 0o666) -> None:
    """Write a text file (UTF-8) whole or not at all.

    Raises:
        OSError: there is no space, or no permission; the target is as it was.
    """
    write_bytes(target, content.encode("utf-8"), mode=mode)
