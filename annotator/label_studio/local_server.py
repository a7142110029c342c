"""A Label Studio on this machine, in an environment of its own: start, stop, status.

It listens on 127.0.0.1 only, keeps its data below `home`, and never asks the internet for anything. Its account is
made up at the first start; password and token lie in a file that only the user can read, and reach the server through
its environment, never through its command line.
"""

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from annotator.errors import StudioFailed
from annotator.label_studio.install import install_studio, is_installed, program
from db.atomic_write import write_text
from db.process import on_its_own, process_runs
from db.progress import Progress, SilentProgress

USERNAME = "partly@localhost.local"
FIRST_PORT = 8080
START_TIMEOUT_S = 300.0
START_TRIES = 5
STOP_TIMEOUT_S = 20.0
MEDIA_FOLDER = "media"
PORT_TAKEN = "port is already in use"
"""What Django says where a port was taken between being looked at and being opened."""

OFFLINE = {
    "LATEST_VERSION_CHECK": "0",
    "COLLECT_ANALYTICS": "0",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}
"""Without these the server hangs for minutes where there is no internet."""


_children: "dict[int, subprocess.Popen[bytes]]" = {}
"""Servers that this very process started; they go on when it ends."""


@dataclass(frozen=True, slots=True)
class StudioPaths:
    """Where a local server lives."""

    home: Path
    """Its data: account, database, images it serves, log."""
    environment: Path
    """Its virtual environment, which servers can share."""

    @property
    def files(self) -> Path:
        """Root of the files that it may serve."""
        return self.home / "files"

    @property
    def media(self) -> Path:
        """Folder that images are placed in."""
        return self.files / MEDIA_FOLDER

    @property
    def account_file(self) -> Path:
        """Name, password and token of its only account, readable by its owner alone."""
        return self.home / "account.json"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.home / "server.log"


@dataclass(frozen=True, slots=True)
class StudioStatus:
    """A local server's state."""

    running: bool
    installed: bool
    url: str | None = None
    username: str | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The local server's only account."""

    username: str
    password: str
    token: str

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Account(username={self.username!r})"


def plan_start(paths: StudioPaths, *, port: int | None = None) -> StudioStatus:
    """Say what a start would come to: the server's state, with a number of a process only if it is running already.

    Raises:
        StudioFailed: it is running on another port.
    """
    status = studio_status(paths)
    if not status.running:
        chosen = port or _free_port(_last_port(paths))
        return StudioStatus(running=True, installed=True, url=f"http://127.0.0.1:{chosen}", username=USERNAME)
    if port is not None and status.url != f"http://127.0.0.1:{port}":
        raise StudioFailed(
            f"the local Label Studio is already running at {status.url}; to move it to port {port}: "
            f"partly studio stop, then partly studio start --port {port}"
        )
    return status


def start_studio(paths: StudioPaths, *, port: int | None = None, progress: Progress | None = None) -> StudioStatus:
    """Install the server where it is missing, start it where it is not running, and wait until it answers.

    Args:
        paths: where it lives.
        port: to listen on; None for the one it had before or the first free one from 8080 on.
        progress: where to say what takes time.

    Raises:
        StudioFailed: it cannot be installed or does not come up, and the message names the log; or it is running on
            another port.
    """
    progress = progress or SilentProgress()
    status = plan_start(paths, port=port)
    if status.pid is not None:
        return status
    install_studio(paths.environment, progress)
    paths.media.mkdir(parents=True, exist_ok=True)
    account = read_account(paths) or _make_account(paths)
    chosen = _port_in(status)
    for _ in range(START_TRIES):
        found = _start_at(paths, account, chosen, progress)
        if found is not None and port in (None, _port_in(found)):
            return found
        if port is not None:
            stop_studio(paths)
            break
        # Another server, started at the same moment, was there first.
        chosen = _free_port(chosen + 1)
    raise StudioFailed(f"port {chosen} is in use by another server; choose another one with --port")


def _start_at(paths: StudioPaths, account: Account, chosen: int, progress: Progress) -> StudioStatus | None:
    """Start the server on a port and wait until it answers; None where another server took the port meanwhile.

    Label Studio itself goes to the next port where the one that it was given is taken, so where it listens is read
    from its process.
    """
    progress.say(f"starting Label Studio on http://127.0.0.1:{chosen} (the first start takes about half a minute)")
    logged = paths.log.stat().st_size if paths.log.is_file() else 0
    process = _launch(paths, account, chosen)
    deadline = time.monotonic() + START_TIMEOUT_S
    while (listens := _port_of(process.pid)) is None or not _is_healthy(f"http://127.0.0.1:{listens}"):
        if process.poll() is not None:
            said = _log_from(paths, logged)
            if PORT_TAKEN in said:
                return None
            last = said.strip().rpartition("\n")[2]
            raise StudioFailed(f"Label Studio stopped while starting; see its log: {paths.log} (last line: {last})")
        if time.monotonic() > deadline:
            _terminate(process.pid)
            raise StudioFailed(f"Label Studio did not answer within {START_TIMEOUT_S:.0f} s; see {paths.log}")
        time.sleep(0.5)
    _write_private(paths.home / "server.json", {"pid": process.pid, "port": listens})
    return studio_status(paths)


def stop_studio(paths: StudioPaths, *, dry_run: bool = False) -> bool:
    """Stop the server, whether it answers or not; False where none was running. Its data stays."""
    state = _read_json(paths.home / "server.json")
    if state is None or not _is_ours(int(state["pid"]), paths):
        return False
    if not dry_run:
        _terminate(int(state["pid"]))
    return True


def studio_status(paths: StudioPaths) -> StudioStatus:
    """Say whether the server is installed and answers, and where."""
    installed = is_installed(paths.environment)
    state = _read_json(paths.home / "server.json")
    if state is None or not _is_ours(int(state["pid"]), paths):
        return StudioStatus(running=False, installed=installed)
    url = f"http://127.0.0.1:{state['port']}"
    if not _is_healthy(url):
        return StudioStatus(running=False, installed=installed)
    return StudioStatus(running=True, installed=installed, url=url, username=USERNAME, pid=int(state["pid"]))


def read_account(paths: StudioPaths) -> Account | None:
    """Return the local server's account, None before its first start."""
    stored = _read_json(paths.account_file)
    return Account(**stored) if stored else None


def _launch(paths: StudioPaths, account: Account, port: int) -> "subprocess.Popen[bytes]":
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LABEL_STUDIO", "PARTLY"))}
    environment = (
        inherited
        | OFFLINE
        | {
            "LABEL_STUDIO_BASE_DATA_DIR": str(paths.home / "data"),
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(paths.files),
            "LABEL_STUDIO_USERNAME": account.username,
            "LABEL_STUDIO_PASSWORD": account.password,
            "LABEL_STUDIO_USER_TOKEN": account.token,
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            # So that it can ask `partly serve`, call webhooks, and use a bucket on this same machine. A server that
            # strangers reach must not; this one listens on 127.0.0.1 alone.
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
        }
    )
    command = [str(program(paths.environment, "label-studio")), "start", "--no-browser", "--internal-host", "127.0.0.1"]
    # The flag counts only when the data folder is made; it lets the token above be used at all.
    command += ["--port", str(port), "--enable-legacy-api-token"]
    with paths.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=paths.home,
            **on_its_own(),
        )
    _children[process.pid] = process
    return process


def _make_account(paths: StudioPaths) -> Account:
    account = Account(USERNAME, secrets.token_urlsafe(12), secrets.token_hex(20))
    _write_private(paths.account_file, asdict(account))
    return account


def _write_private(path: Path, document: object) -> None:
    write_text(path, json.dumps(document), mode=0o600)


def _read_json(path: Path) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _last_port(paths: StudioPaths) -> int:
    state = _read_json(paths.home / "server.json")
    return int(state["port"]) if state else FIRST_PORT


def _free_port(first: int) -> int:
    for port in range(first, first + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise StudioFailed(f"no free port between {first} and {first + 99}; choose one with --port")


def _port_in(status: StudioStatus) -> int:
    return int(str(status.url).rpartition(":")[2])


def _port_of(pid: int) -> int | None:
    """Say which port a process, or one that it started, listens on."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    return int(connection.laddr.port)
    return None


def _log_from(paths: StudioPaths, start: int) -> str:
    with paths.log.open("rb") as log:
        log.seek(start)
        return log.read().decode("utf-8", "replace")


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: this machine alone is asked."""

    def redirect_request(self, *_: object) -> None:
        """Do not ask again."""


def _is_healthy(url: str) -> bool:
    # A proxy of the environment is for the world outside, not for this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _StayHere())
    try:
        with opener.open(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refusal:
        # It holds the answer open; Python 3.14 warns of one that is dropped so.
        refusal.close()
        return False
    except (urllib.error.URLError, OSError):
        return False


def _is_ours(pid: int, paths: StudioPaths) -> bool:
    """Say whether a process is the local server, and not another one that was given its number since."""
    if not process_runs(pid):
        return False
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return any(str(paths.environment) in word for word in command)


def _terminate(pid: int) -> None:
    """Ask the server and all it has started to end, and end what has not after a while."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    if pid in _children:
        # Our own child stays as a zombie until it is reaped.
        _children[pid].poll()
