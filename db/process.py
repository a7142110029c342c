"""Whether a process is still alive, on every system, and not just another one that was given its number."""

from datetime import UTC, datetime, timedelta

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
