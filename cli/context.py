"""The composition root: settings -> registry, client, local server; made when first asked for."""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output import Output
from cli.settings import Settings, load_settings, studio_folders
from cli.training_settings import TrainingSettings, training_settings

if TYPE_CHECKING:
    from annotator.label_studio.client import LabelStudioClient
    from annotator.label_studio.connect import ConnectResult
    from annotator.label_studio.local_server import StudioPaths
    from db.progress import Progress
    from db.registry import Registry
    from learner.config import TrainConfig
    from learner.distributed import Processes

TOKEN_VARIABLE = "PARTLY_LABEL_STUDIO_TOKEN"
KEYRING_SERVICE = "partly label studio"


@dataclass(slots=True, weakref_slot=True)
class CommonOptions:
    """Options that every command takes."""

    project: Path | None = None
    database: str | None = None
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """Where people review, and how they log in."""

    address: str
    username: str | None = None
    """Of the local server's account; None where everybody has their own account."""
    account_file: str | None = None
    """Where the password is."""

    def __str__(self) -> str:
        """Say it in a line."""
        if self.username is None:
            return f"review at {self.address} (log in with your own account)"
        return f"review at {self.address} (log in as {self.username}; the password is in {self.account_file})"


class Workspace:
    """What a command works with."""

    def __init__(self, options: CommonOptions) -> None:
        self.options = options
        self.output = Output(as_json=options.as_json, quiet=options.quiet)

    @cached_property
    def settings(self) -> Settings:
        """Return the settings of the project that the command runs in."""
        return load_settings(project=self.options.project, database=self.options.database)

    @cached_property
    def registry(self) -> "Registry":
        """Return the project's registry."""
        # Whoever is in no project is told so before anything is loaded.
        settings = self.settings
        from db.registry import open_registry

        return open_registry(settings.database_url, settings.root)

    def close(self) -> None:
        """Close what was opened."""
        if "registry" in self.__dict__:
            self.registry.close()

    @property
    def is_first_process(self) -> bool:
        """Say whether this is the first of the processes that torchrun, SLURM or a person has started."""
        return all(os.environ.get(name, "0") == "0" for name in ("RANK", "NODE_RANK", "SLURM_PROCID"))

    def check_run(self, run: str | None) -> str:
        """Return the name of the run that is meant, or refuse it before anything that takes long is loaded."""
        from learner.early_checks import finished_run

        return finished_run(self.registry, run).name

    def check_query(self, strategy: str | None) -> None:
        """Refuse a query strategy that there is none of, and a project without images, before torch is loaded."""
        from learner.early_checks import check_images
        from learner.query.strategies import find_strategy

        if strategy is not None:
            find_strategy(strategy)
        check_images(self.registry, "to ask about")

    def say_next(self, *, dry_run: bool = False) -> None:
        """Tell a person what to do next, with the command to type; nothing where nothing was done."""
        if self.options.as_json or dry_run:
            return
        from cli.workflows.next_steps import next_steps

        step = next_steps(self.registry, self.studio_runs)[0]
        self.output.line(f"next: {step.command} ({step.why})")

    @cached_property
    def user(self) -> str:
        """Return who works here, for the history."""
        import getpass

        try:
            return getpass.getuser()
        except (KeyError, OSError, ImportError):
            # ImportError is Windows' way before Python 3.13.
            return "unknown"

    @cached_property
    def progress(self) -> "Progress":
        """Return what long work reports to."""
        return self.output.progress()

    def training_config(
        self, preset: str, file: Path | None, pairs: list[str] | None, weights: str | None
    ) -> "TrainConfig":
        """Return a training's settings: the preset, the project's, a file's, then those that were typed."""
        return self.training_settings(preset, file, pairs, weights).config

    def training_settings(
        self, preset: str, file: Path | None, pairs: list[str] | None, weights: str | None
    ) -> TrainingSettings:
        """Return a training's settings, and where each comes from."""
        return training_settings(preset, self.settings.train, file, pairs, weights)

    def processes(self, device: str, devices: int | None, num_nodes: int) -> "Processes":
        """Start or join the processes that share a command's work; only the first of them speaks.

        torchrun says how many it has started; everybody else has to ask for them.
        """
        # torch warns on every process that stage 2 has no unused parameters; it reads this when it is loaded.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        from learner.distributed import start_processes

        started = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        nodes = max(num_nodes, int(os.environ.get("WORLD_SIZE", "1")) // started if started > 1 else 1)
        processes = start_processes(device, devices=devices or started, num_nodes=nodes)
        if not processes.is_first:
            self.output.mute()
        return processes

    @cached_property
    def studio(self) -> "StudioPaths":
        """Return where the local Label Studio lives."""
        return studio_paths()

    def studio_runs(self) -> bool:
        """Say whether the local Label Studio does."""
        from annotator.label_studio.local_server import studio_status

        return studio_status(self.studio).running

    def local_url(self) -> str:
        """Return the address of this machine's own Label Studio.

        Raises:
            StudioStopped: it is not running.
        """
        from annotator.errors import StudioStopped
        from annotator.label_studio.local_server import studio_status

        url = studio_status(self.studio).url
        if url is None:
            raise StudioStopped(
                "the local Label Studio is not running; start it with: partly studio start, or connect to another: "
                "partly connect URL"
            )
        return url

    def connected_client(self) -> "LabelStudioClient":
        """Return a client to the server that the registry is connected with."""
        with self.registry.read() as tx:
            url = tx.connections.current().url
        return self.client(url)

    def client(self, url: str, *, is_typed: bool = False) -> "LabelStudioClient":
        """Return a client to a server, with the token that is known for it.

        Args:
            url: the server's address.
            is_typed: the user has named it just now; else it comes from a registry or a settings file.

        Raises:
            AuthRejected: there is no token, or the user has never named this server.
        """
        from annotator.label_studio.client import LabelStudioClient
        from annotator.label_studio.transport import check_reachable, normalize_url

        normal, ca_file = normalize_url(url), self.settings.ca_file
        token = find_token(normal, self.studio)
        if token is None:
            # Nobody should look for a token for a server that is down.
            check_reachable(normal, ca_file=ca_file)
            token = ask_token(normal)
        if not is_local_studio(normal, self.studio):
            confirm_server(normal, is_typed=is_typed)
        return LabelStudioClient(normal, token, ca_file=ca_file)

    def connect(
        self,
        client: "LabelStudioClient",
        *,
        title: str | None,
        project_id: int | None = None,
        masks: bool = False,
        adopt: bool = False,
        show_score: bool | None = None,
        dry_run: bool = False,
    ) -> "ConnectResult":
        """Connect the registry with a project: the one asked for, else the last one, else that of partly.toml."""
        from annotator.label_studio.connect import ConnectRequest, connect_project, known_project

        if project_id is None and title is None:
            project_id = known_project(self.registry, client.url)
        request = ConnectRequest(
            title=title or self.settings.title, project_id=project_id, masks=masks, adopt=adopt, show_score=show_score
        )
        return connect_project(
            self.registry,
            client,
            request,
            media_folder=self.media_folder(client.url),
            dry_run=dry_run,
            progress=self.progress,
        )

    def check_running(self, url: str) -> None:
        """Make sure that a server answers.

        Raises:
            ConnectionFailed: it does not.
        """
        from annotator.label_studio.transport import check_reachable

        check_reachable(url, ca_file=self.settings.ca_file)

    def review_page(self, url: str, project_id: int) -> ReviewPage:
        """Say where a project is reviewed, and how to log in; no password is ever read out."""
        from annotator.label_studio.local_server import read_account

        account = read_account(self.studio) if is_local_studio(url, self.studio) else None
        address = f"{url}/projects/{project_id}/data"
        if account is None:
            return ReviewPage(address)
        return ReviewPage(address, account.username, str(self.studio.account_file))

    def media_folder(self, url: str) -> "Path | None":
        """Return the folder that the server can serve files from, None where it is not the local one."""
        return self.studio.media if is_local_studio(url, self.studio) else None


def studio_paths() -> "StudioPaths":
    """Return where the local Label Studio lives, which needs no project."""
    from annotator.label_studio.local_server import StudioPaths

    return StudioPaths(*studio_folders())


def is_local_studio(url: str, paths: "StudioPaths") -> bool:
    """Say whether an address is that of this machine's own Label Studio."""
    from annotator.label_studio.local_server import studio_status

    # People type localhost, the server listens on 127.0.0.1.
    return studio_status(paths).url == url.replace("//localhost:", "//127.0.0.1:")


def find_token(url: str, paths: "StudioPaths") -> str | None:
    """Find the token for a server: the environment, the local server's account, the keyring; None without one."""
    from annotator.label_studio.local_server import read_account

    if os.environ.get(TOKEN_VARIABLE):
        return os.environ[TOKEN_VARIABLE]
    account = read_account(paths)
    if account is not None and is_local_studio(url, paths):
        return account.token
    return _from_keyring(url)


def ask_token(url: str) -> str:
    """Prompt for the token of a server.

    Raises:
        AuthRejected: there is nobody to ask.
    """
    from annotator.errors import AuthRejected

    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"Access token for {url} (Account & Settings, Access Token): ").strip()
    raise AuthRejected(f"no token for {url}; set {TOKEN_VARIABLE}, or start the local server with: partly studio start")


def confirm_server(url: str, *, is_typed: bool) -> None:
    """Make sure that the user has named a server before a token goes there.

    Only a token in the environment can go astray: one that is typed, or kept in the keyring, belongs to an address.

    Raises:
        AuthRejected: the user has not, or says no.
    """
    from annotator.errors import AuthRejected
    from cli.trusted_servers import URL_VARIABLE, is_trusted, trust

    if is_typed:
        trust(url)
    if not os.environ.get(TOKEN_VARIABLE) or is_trusted(url):
        return
    if sys.stdin.isatty():
        import typer

        question = f"The address {url} comes from this project, not from you. Send it the token in {TOKEN_VARIABLE}?"
        if typer.confirm(question, err=True):
            trust(url)
            return
    raise AuthRejected(
        f"the token in {TOKEN_VARIABLE} has never been used with {url}, and that address comes from this project, not "
        f"from you; nothing was sent. If it is your server: partly connect {url}, or set {URL_VARIABLE}={url}"
    )


def _from_keyring(url: str) -> str | None:
    try:
        import keyring
    except ImportError:
        return None
    stored: str | None = keyring.get_password(KEYRING_SERVICE, url)
    return stored
