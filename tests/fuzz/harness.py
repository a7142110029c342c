"""Runs one trial in a process of its own, with little memory and little time, and says how it ended.

The process is a fork, so that thousands of trials do not import everything thousands of times. Memory is limited by
what is allocated beyond what the forked process had (RLIMIT_DATA: torch alone maps more address space than any trial
needs), time by the processor's clock against endless loops and by the wall's against waiting for what never comes.
"""

import contextlib
import ctypes
import faulthandler
import functools
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MEMORY_BYTES = 2 * 2**30
CPU_S = 10
WALL_S = 60
"""The machine may be busy; whoever waits for what never comes waits longer."""

FINE = frozenset({"fine", "refused"})
"""How a trial may end: it was used, or refused with a message."""


class Lost(Exception):
    """Something good was lost, or changed, because of something bad beside it."""


@dataclass(frozen=True, slots=True)
class End:
    """How a trial ended."""

    how: str
    """fine, refused, lost, traceback, signal, hang."""
    detail: str
    seconds: float
    peak_kib: int

    @property
    def is_fine(self) -> bool:
        """Nothing went wrong."""
        return self.how in FINE


def in_process(work: Callable[[], str], *, memory: int = MEMORY_BYTES, cpu_s: int = CPU_S, wall_s: int = WALL_S) -> End:
    """Run `work` in a fork; it returns `fine` or `refused`, and raises `Lost` or anything else that is wrong."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as said:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _run(work, writing, said.fileno(), memory, cpu_s, wall_s)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        _, status, usage = os.wait4(child, 0)
        seconds = time.monotonic() - started
        said.seek(0)
        output = said.read()[-4000:].decode(errors="replace")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        how = "hang" if number in (signal.SIGALRM, signal.SIGXCPU) else "signal"
        return End(how, f"{signal.Signals(number).name}\n{output}", seconds, usage.ru_maxrss)
    try:
        how, detail = json.loads(answer)
    except ValueError:
        how, detail = "signal", f"exit status {os.WEXITSTATUS(status)} without an answer\n{output}"
    return End(how, detail, seconds, usage.ru_maxrss)


def _run(work: Callable[[], str], writing: int, output: int, memory: int, cpu_s: int, wall_s: int) -> None:
    """Do the work and end the process; never returns."""
    how, detail = "traceback", ""
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, errors="backslashreplace", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        faulthandler.enable(sys.stderr)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, wall_s)
        _give_back_what_is_free()
        memory += _allocated()
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
        resource.setrlimit(resource.RLIMIT_CPU, (used + cpu_s, used + cpu_s + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        how = work()
    except Lost as exc:
        how, detail = "lost", str(exc)
    except BaseException:
        detail = traceback.format_exc()
    try:
        os.write(writing, json.dumps([how, detail[-30_000:]]).encode())
    finally:
        # Neither the parent's exit handlers nor its buffers are this process's.
        os._exit(0)


def _give_back_what_is_free() -> None:
    """What computes on the CPU has glibc keep what is freed: a trial would have that beyond its own."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _allocated() -> int:
    """Bytes that the tests before this one have left to the process; what a trial may take comes on top."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmData")).split()[1]) * 1024


@functools.cache
def _command() -> Callable[..., object]:
    """Build the command line once: it takes longer than many a trial."""
    from typer.main import get_command

    from cli.main import app

    return get_command(app)


def run_command(*arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
    """Run the command line in this process, as its program does.

    Returns:
        Exit code, and what it wrote on stdout and stderr.

    Raises:
        Exception: what the command line would show as a traceback.
    """
    command = _command()
    if folder is not None:
        os.chdir(folder)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = [
            os.fdopen(stream.fileno(), "w", closefd=False, encoding="utf-8", errors="surrogateescape")
            for stream in (out, err)
        ]
        code = 0
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            try:
                command(args=list(arguments), prog_name="partly")
            except SystemExit as exc:
                code = exc.code if isinstance(exc.code, int) else 1
        texts = []
        for stream, written in zip((out, err), streams, strict=True):
            written.flush()
            stream.seek(0)
            texts.append(stream.read().decode(errors="surrogateescape"))
    return code, texts[0], texts[1]
