"""Connects a registry with a Label Studio project: checks the server and the token, finds or creates the project."""

from dataclasses import dataclass
from pathlib import Path

from annotator.errors import ProjectUnusable
from annotator.label_studio.client import LabelStudioClient, Project
from annotator.label_studio.ownership import adopt_project, own_project
from annotator.label_studio.page import refresh_interface, set_up_page, show_score
from annotator.label_studio.payload.labeling_config import (
    MASK_TOOLS,
    config_problem,
    has_mask_tools,
    interface,
    is_generated,
)
from db.progress import Progress
from db.records import ConnectionRecord
from db.registry import Registry

MEDIA_LOCAL = "local"
"""Images are served from a folder on the server's own machine."""
MEDIA_UPLOAD = "upload"
"""Images are uploaded to the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest:
    """Which project to connect with."""

    title: str
    """Of the project to find or create, where no number is given."""
    project_id: int | None = None
    """An existing project; its labeling interface is checked, never changed."""
    masks: bool = False
    """The project is to have tools for masks: paint and outlines."""
    adopt: bool = False
    """Take the project over if it is another registry's."""
    show_score: bool | None = None
    """Show the proposal's score in the header; None to leave it as it is, which is without at first."""


@dataclass(frozen=True, slots=True)
class ConnectResult:
    """The project that push and pull work with."""

    connection: ConnectionRecord | None
    """None after a dry run."""
    project: Project | None
    """None where a dry run would create it."""
    user: str
    """E-mail address of the token's owner."""
    media: str
    """How images reach the server."""
    adopted: int = 0
    """Tasks taken over from another registry."""

    @property
    def project_id(self) -> int:
        """Number of the connected project.

        Raises:
            LookupError: it was a dry run, and there is no such project yet.
        """
        if self.project is None:
            raise LookupError("a dry run creates no project")
        return self.project.id


def known_project(registry: Registry, url: str) -> int | None:
    """Return the project on this server that was connected last, None where there was none."""
    with registry.read() as tx:
        known = tx.connections.with_url(url)
    return known[0].project_id if known else None


def connect_project(
    registry: Registry,
    client: LabelStudioClient,
    request: ConnectRequest,
    *,
    media_folder: Path | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ConnectResult:
    """Make a project the one that push and pull work with.

    Args:
        registry: which to connect.
        client: to the server.
        request: the project.
        media_folder: folder that the server, on this same machine, can serve; None to upload images.
        dry_run: check everything, create and store nothing.
        progress: where to show how far an adoption is.

    Returns:
        The connection and the project; a dry run stores no connection and creates no project.

    Raises:
        ConnectionFailed, AuthRejected: the server or the token does not do.
        ProjectUnusable: the project does not exist, has another labeling interface, or is another registry's.
    """
    user = client.whoami()
    title, masks = request.title, request.masks
    if request.project_id is not None:
        project: Project | None = client.get_project(request.project_id)
    else:
        project = client.find_project(title)
    if project is not None and (problem := config_problem(project.config)):
        raise ProjectUnusable(
            f"project {project.id} ({project.title!r}) has a labeling interface that partly cannot work "
            f"with: {problem}. It was not changed; connect to another with --title NAME, or add what is missing in "
            "its settings"
        )
    if project is not None and masks and not has_mask_tools(project.config):
        raise ProjectUnusable(
            f"project {project.id} ({project.title!r}) has no tools for masks. It was not changed; connect to another "
            "with --title NAME, or add to its labeling interface, in its settings:" + MASK_TOOLS
        )
    if project is not None and not request.adopt:
        own_project(registry, client, project.id, dry_run=dry_run)
    media = MEDIA_LOCAL if media_folder is not None else MEDIA_UPLOAD
    if dry_run:
        taken = adopt_project(registry, client, project.id, dry_run=True) if project and request.adopt else 0
        return ConnectResult(None, project, user, media, taken)
    created = project is None
    if project is None:
        project = client.create_project(title, interface(masks=masks, show_score=bool(request.show_score)))
        own_project(registry, client, project.id)
    elif request.show_score is not None and not show_score(
        client, project.id, project.config, masks=has_mask_tools(project.config), score=request.show_score
    ):
        raise ProjectUnusable(
            f"the labeling interface of project {project.id} ({project.title!r}) was changed by hand, so the score "
            "was neither added nor removed; edit its <Header> in the settings, where $partly_score is the score"
        )
    adopted = 0 if created or not request.adopt else adopt_project(registry, client, project.id, progress=progress)
    if media_folder is not None:
        client.ensure_local_storage(project.id, media_folder)
    if is_generated(project.config):
        refresh_interface(client, client.get_project(project.id))
        # Another team's project keeps its own tabs and instructions.
        set_up_page(client, project.id)
    with registry.begin() as tx:
        connection = tx.connections.use(url=client.url, project_id=project.id, media=media)
    return ConnectResult(connection, project, user, media, adopted)
