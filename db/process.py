"""Processes on every system: which are still alive, and how to start one that outlives this one."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

CLOCK = timedelta(seconds=2)
"""What the system's clock and a process's start may disagree by."""


def process_runs(pid: int, *, since: datetime | None = None) -> bool:
    """Say whether a process is alive.

    Args:
        pid: its number on this machine.
        since: when it is known to have been running; a process that began later only has the same number.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        begun = datetime.fromtimestamp(process.create_time(), UTC)
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:
        # Somebody else's: it is there, and more cannot be known.
        return True
    return since is None or begun <= since + CLOCK


def process_stopped(pid: int) -> bool:
    """Say whether a process is only suspended (as with Ctrl+Z), so that it says nothing and may go on at any time."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        return False


NEW_GROUP = 0x00000200
NO_WINDOW = 0x08000000
"""Windows' CREATE_NEW_PROCESS_GROUP and CREATE_NO_WINDOW, which `subprocess` has on Windows alone."""


def on_its_own() -> dict[str, Any]:
    """Return the options of `subprocess.Popen` for a server that goes on when its terminal is closed or gets Ctrl+C."""
    if sys.platform.startswith("win"):
        return {"creationflags": NEW_GROUP | NO_WINDOW}
    return {"start_new_session": True}
