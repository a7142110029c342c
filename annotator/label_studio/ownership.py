"""Which registry a Label Studio project belongs to: two registries never share one, and none is mixed up by its name.

A registry has an id. Its project's description carries it, and so do the keys of its tasks, so that a project whose
description was rewritten is still recognised.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from annotator.errors import AuthRejected, ProjectUnusable, RequestRefused
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.payload.tasks import (
    KEY,
    as_own,
    full_key,
    image_ids_of,
    image_key_of,
    key_of,
    problem_of,
    registry_suffix,
    with_new_keys,
)
from db.progress import Progress, SilentProgress
from db.records import ImageRecord
from db.registry import Registry

MARK = re.compile(r"\s*\(registry ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\)")


def identity_of(registry: Registry) -> str:
    """Return the registry's id, which it gets when it is first needed."""
    known = _known(registry)
    if known is not None:
        return known
    with registry.begin() as tx:
        return tx.connections.ensure_identity()


def own_project(registry: Registry, client: LabelStudioClient, project_id: int, *, dry_run: bool = False) -> str | None:
    """Make sure that a project is this registry's, and note in it that it is.

    Args:
        registry: which is connected, or about to be.
        client: to the server.
        project_id: the project.
        dry_run: check, and note nothing.

    Returns:
        The registry's id; None on a dry run before it has one.

    Raises:
        ProjectUnusable: it is another registry's; nothing was changed.
        LabelStudioError: the server cannot be used.
    """
    identity = _known(registry)
    found = client.http.get(f"/api/projects/{project_id}/")
    description, title = str(found.get("description") or ""), str(found.get("title") or "")
    owner = _owner(description)
    if owner is not None and owner == identity:
        return identity
    if owner is not None:
        raise _of_another(client, project_id, title, int(found.get("task_number") or 0))
    others = _others(registry, client, project_id, identity) if found.get("task_number") else []
    if others:
        raise _of_another(client, project_id, title, len(others))
    if dry_run:
        return identity
    identity = identity_of(registry)
    _mark(client, project_id, description, identity)
    return identity


def adopt_project(
    registry: Registry,
    client: LabelStudioClient,
    project_id: int,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> int:
    """Take a project over from another registry: its tasks of images that are registered here become this registry's.

    Images are matched by content. Other tasks are left alone. Interrupted, it can be repeated.

    Returns:
        How many tasks were taken over.

    Raises:
        LabelStudioError: the server cannot be used; what was done stays done.
    """
    identity = (_known(registry) or str(UUID(int=0))) if dry_run else identity_of(registry)
    tasks = client.list_tasks(project_id, with_annotations=False)
    with registry.read() as tx:
        images = tx.images.select()
    waiting: dict[str, list[ImageRecord]] = defaultdict(list)
    suffix = registry_suffix(identity)
    own = {image_key_of(task) for task in tasks if (key_of(task) or "").endswith(suffix)}
    for image in reversed(images):
        if image.key not in own:
            waiting[_content(image.key)].append(image)
    taken = []
    for task in tasks:
        key = key_of(task)
        if key is None or problem_of(task) or key.endswith(suffix) or not waiting.get(_content(key)):
            continue
        taken.append((task, waiting[_content(key)].pop()))
    if dry_run:
        return len(taken)
    with (progress or SilentProgress()).task("adopting tasks", len(taken)) as bar:
        for task, image in taken:
            data = {**with_new_keys(task["data"]), KEY: full_key(image, identity)}
            client.http.patch(f"/api/tasks/{task['id']}/", {"data": data})
            bar.advance()
    found = client.http.get(f"/api/projects/{project_id}/")
    # Last, so that an interrupted adoption is repeated.
    _mark(client, project_id, str(found.get("description") or ""), identity)
    return len(taken)


def _known(registry: Registry) -> str | None:
    with registry.read() as tx:
        return tx.connections.identity()


def _owner(description: str) -> str | None:
    found = MARK.search(description)
    return found[1] if found else None


def _mark(client: LabelStudioClient, project_id: int, description: str, identity: str) -> None:
    text = MARK.sub("", description).strip() or "Images of partly; boxes drawn here are pulled into its registry."
    # Not everybody may change a project; the keys of its tasks still say whose it is.
    with suppress(AuthRejected, RequestRefused):
        client.http.patch(f"/api/projects/{project_id}/", {"description": f"{text} (registry {identity})"})


def _others(
    registry: Registry, client: LabelStudioClient, project_id: int, identity: str | None
) -> list[Mapping[str, Any]]:
    """Return the tasks of a project without a note that show images of another registry."""
    tasks = [as_own(task, identity) for task in client.list_tasks(project_id, with_annotations=False)]
    known = _keys(registry, tasks)
    return [task for task in tasks if (key := key_of(task)) is not None and key not in known]


def _keys(registry: Registry, tasks: Iterable[Mapping[str, Any]]) -> set[str]:
    ids = image_ids_of(tasks)
    with registry.read() as tx:
        return {image.key for removed in (False, True) for image in tx.images.select(ids=ids, removed=removed)}


def _content(key: str) -> str:
    """Return the part of a key that is made of the image's content."""
    return [*key.split("-"), ""][1]


def free_title(client: LabelStudioClient, wanted: str) -> str:
    """Return a title that no project on the server has: the wanted one, or the first with a number behind it."""
    title, number = wanted, 2
    while client.find_project(title) is not None:
        title = f"{wanted} {number}"
        number += 1
    return title


def _of_another(client: LabelStudioClient, project_id: int, title: str, count: int) -> ProjectUnusable:
    return ProjectUnusable(
        f"project {project_id} ({title!r}) on {client.url} belongs to another registry, and its {count} tasks show "
        "images under that registry's numbers. Nothing was changed. To work in a separate project: partly connect "
        f"{client.url} --title {free_title(client, title)!r}. If this registry replaces the other (say, because its "
        f"folder was deleted and started anew), take over the project: partly connect {client.url} --adopt"
    )
