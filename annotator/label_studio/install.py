"""Installs Label Studio into an environment of its own, with a Python that it runs on."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from filelock import FileLock

from annotator.errors import StudioFailed
from db.progress import Progress

PACKAGE = "label-studio>=1.20"
BUILT = ("numpy", "opencv-python-headless", "pandas")
"""What it needs and nobody compiles at home: where its newest release pins one that is not built for a Python, the
newest release that can do with a built one is installed."""
NEWEST_PYTHON = (3, 13)
"""Label Studio 1.23 pins django-environ 0.10, which imports what Python 3.14 no longer has (`pkgutil.find_loader`)."""
OLDER_PYTHONS = ("3.13", "3.12", "3.11", "3.10")


def install_studio(environment: Path, progress: Progress) -> None:
    """Install Label Studio into its own environment, once.

    Raises:
        StudioFailed: the installation failed, and the message holds its last lines; or there is no Python on this
            machine that it runs on.
    """
    if is_installed(environment):
        return
    environment.parent.mkdir(parents=True, exist_ok=True)
    # Two commands may find it missing at the same moment.
    with FileLock(environment.with_name(f"{environment.name}.lock")):
        if not is_installed(environment):
            _install(environment, progress)


def is_installed(environment: Path) -> bool:
    """Say whether it is, and the Python that it was installed with is still there."""
    # Before Python 3.14 `Path.is_file` raises where somebody else's folder cannot be looked into.
    return os.path.isfile(environment / ".installed") and os.path.isfile(program(environment, "python"))  # noqa: PTH113


def program(environment: Path, name: str) -> Path:
    """Return where a virtual environment has a program: in `bin`, or on Windows in `Scripts` and with its end."""
    folder = sysconfig.get_path("scripts", "venv", vars={"base": str(environment), "platbase": str(environment)})
    return Path(folder) / f"{name}{sysconfig.get_config_var('EXE') or ''}"


def _install(environment: Path, progress: Progress) -> None:
    interpreter = _interpreter()
    progress.say(f"installing Label Studio into {environment} (once, about a minute)")
    if environment.exists():
        shutil.rmtree(environment)
    _run([interpreter, "-m", "venv", str(environment)])
    python = str(program(environment, "python"))
    uv = _uv()
    wanted = [*(f"--only-binary={name}" for name in BUILT), PACKAGE]
    if uv is None or not _run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=False):
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    (environment / ".installed").touch()


def _interpreter() -> str:
    """Return a Python that Label Studio runs on: this one, or an older one beside it."""
    if sys.version_info[:2] <= NEWEST_PYTHON:
        return sys.executable
    for version in OLDER_PYTHONS:
        found = shutil.which(f"python{version}")
        if found is not None and _run([found, "-c", "import ensurepip, venv"], check=False):
            return found
    uv = _uv()
    if uv is not None:
        # It also knows those that it installed itself, and on Windows those of the registry.
        wanted = f">={OLDER_PYTHONS[-1]},<{NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1] + 1}"
        find = [uv, "python", "find", "--no-project", wanted]
        done = subprocess.run(find, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    this = ".".join(map(str, sys.version_info[:2]))
    raise StudioFailed(
        f"Label Studio does not run on Python {this} yet, and no Python {OLDER_PYTHONS[-1]} to {OLDER_PYTHONS[0]} was "
        f"found on this machine; install one beside it (uv python install {OLDER_PYTHONS[0]}, or your system's "
        f"python{OLDER_PYTHONS[0]} with its venv), then repeat: partly studio start; or use a server that runs "
        "elsewhere: partly connect URL"
    )


def _uv() -> str | None:
    return shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


def _run(command: list[str], *, check: bool = True) -> bool:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and check:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise StudioFailed(f"Label Studio cannot be installed: {' '.join(command[:4])} failed:\n{last}")
    return done.returncode == 0
