"""What people see of a project besides its tasks: instructions, tabs in the Data Manager, notes on tasks.

None of it is needed to sync, and not everybody's token may change it, so a refusal is no error here.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from annotator.errors import AuthRejected, RequestRefused
from annotator.label_studio.client import LabelStudioClient, Project
from annotator.label_studio.payload.instructions import EARLIER_INSTRUCTIONS, INSTRUCTIONS
from annotator.label_studio.payload.labeling_config import digest_of, interface, is_generated, is_same, refreshed
from annotator.label_studio.payload.tasks import NOTE, READING, SECOND_READING, with_new_keys

REFUSED = (AuthRejected, RequestRefused)
"""The token's user may not, or this edition of the server has nothing of the kind."""

HIDDEN = (
    "tasks:data.partly_key",
    "tasks:data.partly_control",
    "tasks:data.partly_classes",
    "tasks:total_predictions",
    "tasks:predictions_results",
    "tasks:predictions_model_versions",
    "tasks:predictions_score",
    "tasks:avg_lead_time",
    "tasks:annotations_results",
    "tasks:annotators",
    "tasks:cancelled_annotations",
    "tasks:file_upload",
    "tasks:storage_filename",
    "tasks:inner_id",
    "tasks:draft_exists",
    "tasks:created_at",
    "tasks:updated_at",
    "tasks:updated_by",
    "tasks:ground_truth",
    "tasks:annotations_ids",
    "tasks:reviewed",
    "tasks:comments",
    "tasks:comment_count",
    "tasks:comment_authors",
    "tasks:unresolved_comment_count",
    "tasks:last_comment_updated_at",
)
"""Columns that say nothing to an annotator, or too much: whether a proposal was held back is among them."""

HIDDEN_BESIDE_IMAGE = (
    "tasks:id",
    "tasks:completed_at",
    "tasks:total_annotations",
    "tasks:data.partly_score",
    "tasks:data.partly_proposal",
    "tasks:data.partly_reading",
    "tasks:data.partly_note",
)
"""Columns for which the narrow list beside an open task has no room."""


def _filter(column: str, operator: str, kind: str, value: object) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


TABS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "to review": [_filter("completed_at", "empty", "Datetime", True)],
    "unclear": [_filter(f"data.{NOTE}", "contains", "String", ":")],
    "second reading": [
        _filter("completed_at", "empty", "Datetime", True),
        _filter(f"data.{READING}", "contains", "String", SECOND_READING),
    ],
    "done": [_filter("completed_at", "empty", "Datetime", False)],
}
"""The Data Manager's tabs, by title, each with the tasks that it shows."""


def set_up_page(client: LabelStudioClient, project_id: int) -> None:
    """Give a project its instructions, unless it has others of its own, and the tabs that it lacks.

    Raises:
        ConnectionFailed: the server cannot be reached.
    """
    with suppress(*REFUSED):
        said = client.http.get(f"/api/projects/{project_id}/").get("expert_instruction")
        if not said or digest_of(said) in EARLIER_INSTRUCTIONS:
            client.http.patch(f"/api/projects/{project_id}/", {"expert_instruction": INSTRUCTIONS})
    with suppress(*REFUSED):
        views = client.http.get("/api/dm/views/", project=project_id)
        # What a tab holds is anybody's to write.
        known = [view["data"] for view in views if isinstance(view, Mapping) and isinstance(view.get("data"), Mapping)]
        there = [data.get("title") for data in known]
        for title, items in TABS.items():
            if title not in there:
                data = {
                    "title": title,
                    "type": "list",
                    "filters": {"conjunction": "and", "items": [dict(item) for item in items]},
                    "ordering": ["tasks:id"],
                    "hiddenColumns": {"explore": list(HIDDEN), "labeling": [*HIDDEN, *HIDDEN_BESIDE_IMAGE]},
                }
                client.http.post("/api/dm/views/", {"project": project_id, "data": data})


def refresh_interface(client: LabelStudioClient, project: Project, *, dry_run: bool = False) -> str:
    """Give a project today's labeling interface and instructions, if it has those of an earlier version.

    Args:
        client: to the server.
        project: as the server has it.
        dry_run: change nothing.

    Returns:
        The interface that the project has now; on a dry run the one that it would have.
    """
    wanted = refreshed(project.config)
    if is_same(wanted, project.config) or dry_run:
        return wanted
    try:
        client.http.patch(f"/api/projects/{project.id}/", {"label_config": wanted})
    except REFUSED:
        return project.config
    set_up_page(client, project.id)
    return wanted


def show_score(client: LabelStudioClient, project_id: int, config: str, *, masks: bool, score: bool) -> bool:
    """Show or hide the score in the header of a project whose labeling interface partly wrote.

    Returns:
        False where somebody has changed the interface; it was left as it is.

    Raises:
        LabelStudioError: the server cannot be used, or refuses.
    """
    if not is_generated(config):
        return False
    wanted = interface(masks=masks, show_score=score)
    if not is_same(wanted, config):
        client.http.patch(f"/api/projects/{project_id}/", {"label_config": wanted})
    return True


def note_on_tasks(client: LabelStudioClient, data: Mapping[int, Mapping[str, Any]], notes: Mapping[int, str]) -> None:
    """Write into tasks what annotators have to settle in them, and take back what is settled.

    Args:
        client: to the server.
        data: of tasks that were looked at, as the server has it, by task.
        notes: by task; a task without one has nothing to settle.

    Raises:
        ConnectionFailed: the server cannot be reached.
    """
    for task_id, present in data.items():
        note = notes.get(task_id, "")
        if (present.get(NOTE) or "") != note:
            with suppress(*REFUSED):
                client.http.patch(f"/api/tasks/{task_id}/", {"data": {**with_new_keys(present), NOTE: note}})
