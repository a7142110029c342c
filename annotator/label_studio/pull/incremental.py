"""Which tasks a pull has to look at: those that changed since the last one, if it can be shown that these are all.

The server says when a task changed last, and counts its tasks and annotations. A pull keeps when it looked, by the
server's clock, and both counts; the next one lists what changed since, and if the counts do not add up (annotations
deleted in bulk, a server restored from a copy, somebody else's tasks) it lists everything instead.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from annotator.errors import RequestRefused
from annotator.label_studio.client import LabelStudioClient, ProjectTotals
from annotator.label_studio.payload.tasks import as_own, key_of

OVERLAP = timedelta(seconds=120)
"""A change becomes visible a little after the time that it carries, and two clocks may differ a little."""


@dataclass(frozen=True, slots=True)
class ChangedTasks:
    """The tasks to look at."""

    tasks: list[dict[str, Any]]
    complete: bool
    """These are all tasks of the project."""
    totals: ProjectTotals
    """What the project holds, as far as `tasks` show it."""
    unchanged: bool = False
    """Nothing has changed since the last pull; `tasks` are only those that it left unsettled."""
    since: str | None = None
    """What changes later than this was not seen; the next pull begins here. None if that cannot be said."""


def list_changed(
    client: LabelStudioClient,
    project_id: int,
    mark: Mapping[str, Any] | None,
    counts: Mapping[int, int | None],
    registry_id: str | None = None,
) -> ChangedTasks:
    """List the tasks that a pull has to look at.

    Args:
        client: to the server.
        project_id: the project.
        mark: what the last pull kept, None to list everything.
        counts: annotations and skips of tasks at the last pull, by task.
        registry_id: whose tasks are to be told from those of other registries.

    Raises:
        LabelStudioError: the server cannot be used, or listed less than it has.
    """
    changed = _list_changed(client, project_id, mark, counts)
    return replace(changed, tasks=[as_own(task, registry_id) for task in changed.tasks])


def _list_changed(
    client: LabelStudioClient, project_id: int, mark: Mapping[str, Any] | None, counts: Mapping[int, int | None]
) -> ChangedTasks:
    try:
        before: ProjectTotals | None = client.totals(project_id)
    except RequestRefused:
        # A server of another edition may not count; then everything is listed every time.
        before = None
    since = _looked_at(before) if before is not None else None
    if before is not None and mark and mark.get("changed_at") and mark.get("since"):
        last = ProjectTotals(int(mark["tasks"]), int(mark["annotations"]), str(mark["changed_at"]))
        if before == last:
            tasks = _unsettled(client, mark, seen=())
            return ChangedTasks(tasks, complete=False, totals=last, unchanged=True, since=str(mark["since"]))
        tasks = client.list_tasks(project_id, with_annotations=True, changed_since=str(mark["since"]))
        found = _add_up(last, tasks, counts, before.changed_at)
        if found is not None and (_same(found, before) or _same(found, client.totals(project_id))):
            tasks += _unsettled(client, mark, seen=[int(task["id"]) for task in tasks])
            return ChangedTasks(tasks, complete=False, totals=found, since=since)
    tasks = client.list_tasks(project_id, with_annotations=True)
    said = sum(len(task["annotations"]) for task in tasks)
    totals = ProjectTotals(len(tasks), said, before.changed_at if before is not None else None)
    return ChangedTasks(tasks, complete=True, totals=totals, since=since)


def with_siblings(
    client: LabelStudioClient, changed: ChangedTasks, task_ids: Sequence[int], registry_id: str | None
) -> ChangedTasks:
    """Add tasks that have not changed to those that have; one that was deleted meanwhile is left out."""
    more = [as_own(task, registry_id) for task in _fetched(client, task_ids)]
    return replace(changed, tasks=[*changed.tasks, *more]) if more else changed


def _unsettled(client: LabelStudioClient, mark: Mapping[str, Any], seen: Container[int]) -> list[dict[str, Any]]:
    """Fetch the tasks that the last pull left unsettled, without those that have changed and are listed anyway."""
    return _fetched(client, [int(task_id) for task_id in mark.get("unsettled") or [] if int(task_id) not in seen])


def _fetched(client: LabelStudioClient, wanted: Sequence[int]) -> list[dict[str, Any]]:
    found = []
    for task_id in wanted:
        try:
            found.append(client.get_task(task_id))
        except RequestRefused as exc:
            # It was deleted since.
            if exc.status != HTTPStatus.NOT_FOUND:
                raise
    return found


def _looked_at(totals: ProjectTotals) -> str | None:
    """Return the time up to which this look has seen every change, in the form that the server's filter reads."""
    moments = [totals.asked_at] if totals.asked_at is not None else []
    if totals.changed_at is not None:
        changed = datetime.fromisoformat(totals.changed_at)
        if not moments or changed > moments[0] + OVERLAP / 2:
            # No clock, or one that is behind the changes: then the newest change is the time.
            moments = [changed]
    return (moments[0].astimezone(UTC) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moments else None


def _add_up(
    last: ProjectTotals, tasks: list[dict[str, Any]], counts: Mapping[int, int | None], changed_at: str | None
) -> ProjectTotals | None:
    """Work out what the project must hold if nothing else has changed; None where that cannot be known."""
    new, said = 0, last.annotations
    for task in tasks:
        task_id, now = int(task["id"]), len(task["annotations"])
        if key_of(task) is None:
            return None
        old = counts.get(task_id)
        new += old is None
        said += now - (old or 0)
    return ProjectTotals(last.tasks + new, said, changed_at)


def _same(first: ProjectTotals, second: ProjectTotals) -> bool:
    return (first.tasks, first.annotations) == (second.tasks, second.annotations)
