"""Windows' rules about files, kept on another system: run as a program, with what `partly` is to be given.

No file that is open is moved, replaced or deleted; no file that is open for reading alone is synced; no folder is
opened; no name has characters that Windows refuses; and what the `os` module lacks there is missing. It is no Windows:
drive letters, permissions and the programs of others are as they are here.
"""

import builtins
import fcntl
import io
import os
import shutil
import sys
from pathlib import Path

# They have a module of their own for each system, and the one for this takes what Windows lacks.
import platformdirs  # noqa: F401
import psutil  # noqa: F401

MISSING = (
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "setsid",
    "killpg",
    "getpgid",
    "fork",
    "forkpty",
    "chown",
    "mkfifo",
)
FORBIDDEN = frozenset('<>:"|?*')


def held(path: str) -> bool:
    """Say whether this process has a file, or one in a folder, open."""
    target = os.path.realpath(path)
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            place = str(descriptor.readlink())
        except OSError:
            continue
        if place == target or place.startswith(f"{target}/"):
            return True
    return False


def refuse_held(name: str) -> None:
    plain = getattr(os, name)

    def checked(*places, **options):
        for place in places:
            if isinstance(place, str | bytes | os.PathLike) and held(os.fsdecode(place)):
                raise PermissionError(13, f"{name} of a file that this process has open", os.fsdecode(place))
        return plain(*places, **options)

    setattr(os, name, checked)


def refuse_names(module, name: str, makes) -> None:
    plain = getattr(module, name)

    def checked(place, *rest, **options):
        if isinstance(place, str | bytes | os.PathLike) and makes(*rest, **options):
            last = Path(os.fsdecode(place)).name
            if FORBIDDEN & set(last) or (last.endswith((".", " ")) and last not in (".", "..")):
                raise OSError(22, "Windows has no such name", os.fsdecode(place))
        return plain(place, *rest, **options)

    setattr(module, name, checked)


def keep_windows_rules() -> None:
    for name in ("rename", "replace", "unlink", "remove", "rmdir"):
        refuse_held(name)
    shutil._use_fd_functions = False
    refuse_names(os, "mkdir", lambda *_, **__: True)
    refuse_names(os, "open", lambda flags=0, *_, **__: bool(flags & os.O_CREAT))
    for module in (builtins, io):
        refuse_names(module, "open", lambda mode="r", *_, **__: bool(set(mode) & set("wax")))
    plain_open, plain_sync = os.open, os.fsync

    def no_folder(place, *rest, **options):
        if Path(os.fsdecode(place)).is_dir() and not os.fsdecode(place).startswith(("/proc", "/sys")):
            raise PermissionError(13, "a folder cannot be opened", os.fsdecode(place))
        return plain_open(place, *rest, **options)

    def writable_sync(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "fsync of a file that is open for reading alone")
        plain_sync(descriptor)

    os.open, os.fsync = no_folder, writable_sync
    for name in MISSING:
        delattr(os, name)


if __name__ == "__main__":
    keep_windows_rules()
    from partly.__main__ import main

    sys.argv = ["partly", *sys.argv[1:]]
    main()
