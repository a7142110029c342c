"""The only door to Label Studio: a small client that cannot duplicate, cannot list short, and leaks no secret.

The SDK's pager takes any 404 for the end of a listing; here listings are compared with the server's own total. How
requests are sent, tried again and refused is in `annotator.label_studio.transport`.
"""

import base64
import functools
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from annotator.errors import (
    AuthRejected,
    IncompleteListing,
    LabelStudioError,
    ProjectUnusable,
    RequestRefused,
)
from annotator.label_studio.payload.received import lack_results, read_task
from annotator.label_studio.transport import NO_RETRIES, TIMEOUT_S, Transport, normalize_url

PAGE_SIZE = 100
KEYS_PAGE = 1000
TASKS_PAGE = 250
MOST_PAGES = 1000
"""Of projects; whoever has more of them gives a number."""
LISTING_TRIES = 3
KEYS = "id,data,predictions_model_versions,overlap,is_labeled,total_annotations,cancelled_annotations"
"""What a listing needs that only compares what is there."""
OF_ANNOTATIONS = "result,was_cancelled,completed_by,updated_by,lead_time,created_at,updated_at,parent_prediction"
EVERYTHING = f"id,data,annotations,predictions,overlap,model_version,score,{OF_ANNOTATIONS}"
"""The server leaves out what is not named here in tasks, and in their annotations and predictions alike."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project in Label Studio."""

    id: int
    title: str
    config: str
    num_tasks: int


@dataclass(frozen=True, slots=True)
class ProjectTotals:
    """How much a project holds, by the server's own count."""

    tasks: int
    annotations: int
    """Skips included."""
    changed_at: str | None
    """Time of the last change of any task, by the server's clock; None where there is no task."""
    asked_at: datetime | None = field(default=None, compare=False)
    """What the server's clock showed; None where it does not say."""


class LabelStudioClient:
    """Talks to one Label Studio server."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S, ca_file: Path | None = None) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            url: the server's address, with its path prefix where it has one.
            token: a personal access token or a legacy token.
            timeout_s: how long to wait for one answer.
            ca_file: certificates (PEM) of the authority that signed the server's, where the system lacks them.

        Raises:
            InvalidArgument: the address or the certificates cannot be read; AuthRejected: the token has expired.
        """
        self.url = normalize_url(url)
        self.http = Transport(self.url, token, timeout_s=timeout_s, ca_file=ca_file)
        self._sdk: Any = self.http.sdk

    def __enter__(self) -> "LabelStudioClient":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.http.close()

    def whoami(self) -> str:
        """Return the e-mail address that the token belongs to.

        Raises:
            AuthRejected: the token is refused; ConnectionFailed: there is no server.
        """
        user = self.http.read(lambda: self._sdk.users.whoami(request_options=NO_RETRIES))
        return str(user.email)

    def user_names(self) -> dict[int, str]:
        """Return the e-mail addresses of the server's users by number, as far as the token may see them."""
        try:
            users = self.http.read(lambda: list(self._sdk.users.list(request_options=NO_RETRIES)))
        except (AuthRejected, RequestRefused):
            return {}
        return {int(user.id): str(user.email) for user in users if user.email}

    def find_project(self, title: str) -> Project | None:
        """Return the oldest project with exactly this title."""
        found: list[Any] = []
        known: set[Any] = set()
        page, seen, total = 1, 0, 1
        # By the server's own count: it answers 404 beyond its last page, which may well be a full one.
        while seen < total:
            try:
                pager = self.http.read(functools.partial(self._sdk.projects.list, page=page, page_size=PAGE_SIZE))
            except RequestRefused as exc:
                if page == 1:
                    raise
                raise IncompleteListing(f"the listing of projects on {self.url} stopped at page {page}") from exc
            items = [item for item in pager.items or [] if item.id not in known]
            known.update(item.id for item in items)
            total, seen = int(pager.response.count), seen + len(items)
            found += [item for item in items if item.title == title]
            if (not items and seen < total) or page == MOST_PAGES:
                raise IncompleteListing(f"{self.url} has {total} projects, but only {seen} were listed; try again")
            page += 1
        return self.get_project(min(item.id for item in found)) if found else None

    def get_project(self, project_id: int) -> Project:
        """Return a project.

        Raises:
            ProjectUnusable: it does not exist, or the token's user may not see it.
        """
        try:
            item = self.http.read(lambda: self._sdk.projects.get(id=project_id, request_options=NO_RETRIES))
        except RequestRefused as exc:
            raise ProjectUnusable(
                f"project {project_id} on {self.url} cannot be read ({exc}); "
                f"connect again with: partly connect {self.url}"
            ) from exc
        return Project(item.id, item.title or "", item.label_config or "", int(item.task_number or 0))

    def create_project(self, title: str, config: str) -> Project:
        """Create a project with a labeling interface."""
        item = self.http.write(
            lambda: self._sdk.projects.create(
                title=title,
                label_config=config,
                description="Images of partly; boxes drawn here are pulled into its registry.",
                show_collab_predictions=True,
                request_options=NO_RETRIES,
            )
        )
        return Project(item.id, title, config, 0)

    def list_tasks(
        self, project_id: int, *, with_annotations: bool, changed_since: str | None = None
    ) -> list[dict[str, Any]]:
        """Return every task of a project, in order of id, as `read_task` does.

        Args:
            project_id: the project.
            with_annotations: with annotations and predictions; without, their model versions alone, in a tenth of the
                time.
            changed_since: only tasks changed at this time or later, by the server's clock (ISO 8601).

        Raises:
            IncompleteListing: the server said that there are more, however often it was asked.
        """
        for attempt in range(LISTING_TRIES):
            try:
                return self._list_once(project_id, with_annotations=with_annotations, changed_since=changed_since)
            except IncompleteListing:
                # Somebody may have added a task meanwhile.
                if attempt == LISTING_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _list_once(self, project_id: int, *, with_annotations: bool, changed_since: str | None) -> list[dict[str, Any]]:
        query: dict[str, Any] = {
            "project": project_id,
            "page_size": TASKS_PAGE if with_annotations else KEYS_PAGE,
            "fields": "all",
            "include": EVERYTHING if with_annotations else KEYS,
            "resolve_uri": "false",
        }
        if changed_since is not None:
            query["query"] = _changed_since(changed_since)
        tasks: dict[int, dict[str, Any]] = {}
        page, most = 1, None
        while True:
            try:
                answer = self.http.get("/api/tasks/", **query, page=page)
            except RequestRefused as exc:
                if exc.status is None:
                    raise
                if page == 1:
                    raise ProjectUnusable(f"the tasks of project {project_id} cannot be listed ({exc})") from exc
                raise IncompleteListing(f"the listing of project {project_id} stopped at page {page} ({exc})") from exc
            before = len(tasks)
            with self.http.translated():
                items, total = list(answer["tasks"]), int(answer["total"])
                if with_annotations and lack_results(items):
                    raise RequestRefused(f"{self.url} lists annotations without their results")
                tasks.update((task["id"], task) for task in map(read_task, items))
            # Somebody may add tasks meanwhile, but not as many again.
            most = 2 * total + PAGE_SIZE if most is None else most
            if len(tasks) >= total or len(tasks) == before or len(tasks) > most:
                break
            page += 1
        if len(tasks) != total:
            raise IncompleteListing(
                f"project {project_id} has {total} tasks, but only {len(tasks)} were listed; try again"
            )
        return [tasks[task_id] for task_id in sorted(tasks)]

    def totals(self, project_id: int) -> ProjectTotals:
        """Return how much a project holds and when it changed last, in two short requests."""
        query: dict[str, Any] = {
            "project": project_id,
            "page": 1,
            "page_size": 1,
            "fields": "task_only",
            "include": "id,updated_at",
            "query": json.dumps({"ordering": ["-tasks:updated_at"]}),
        }
        answer = self.http.read(lambda: self.http.send("GET", "/api/tasks/", params=query))
        counts = self.http.get(f"/api/projects/{project_id}/")
        with self.http.translated():
            changed = [str(task["updated_at"]) for task in answer.json()["tasks"]]
            date = answer.headers.get("date")
            return ProjectTotals(
                tasks=int(counts["task_number"]),
                annotations=int(counts["total_annotations_number"]) + int(counts["skipped_annotations_number"]),
                changed_at=changed[0] if changed else None,
                asked_at=parsedate_to_datetime(date) if date else None,
            )

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Create tasks with their predictions in one request, which is never repeated.

        Returns:
            The new tasks' ids as the server lists them, which nothing promises to be in the order of `tasks`; none
            where this edition of the server does not say.

        Raises:
            ConnectionFailed: there was no answer: whether the tasks exist has to be looked up.
        """
        answer = self.http.post(f"/api/projects/{project_id}/import", list(tasks), return_task_ids="true")
        with self.http.translated():
            return [int(task_id) for task_id in answer.get("task_ids") or []]

    def import_predictions(self, project_id: int, predictions: Sequence[Mapping[str, Any]]) -> None:
        """Add predictions to tasks that exist, in one request, which is never repeated."""
        self.http.post(f"/api/projects/{project_id}/import/predictions", list(predictions))

    def set_annotators(self, task_id: int, count: int) -> None:
        """Ask for this many people's annotations of a task ("overlap" in Label Studio)."""
        self.http.patch(f"/api/tasks/{task_id}/", {"overlap": count})

    def show_predictions(self, project_id: int, model_version: str) -> tuple[str | None, bool]:
        """Show annotators the predictions of a model version; returns the resulting setting."""
        item = self.http.patch(
            f"/api/projects/{project_id}/", {"model_version": model_version, "show_collab_predictions": True}
        )
        with self.http.translated():
            return item["model_version"], bool(item["show_collab_predictions"])

    def shown_predictions(self, project_id: int) -> tuple[str | None, bool]:
        """Return the model version that annotators see, and whether predictions are shown at all."""
        item = self.http.read(lambda: self._sdk.projects.get(id=project_id, request_options=NO_RETRIES))
        return item.model_version, bool(item.show_collab_predictions)

    def get_task(self, task_id: int) -> dict[str, Any]:
        """Return one task with its annotations and predictions, as `read_task` does."""
        answer = self.http.get(f"/api/tasks/{task_id}/")
        with self.http.translated():
            return read_task(answer)

    def create_annotation(
        self,
        task_id: int,
        result: Sequence[Mapping[str, Any]],
        *,
        parent_prediction: int | None = None,
        lead_time_s: float | None = None,
        was_cancelled: bool = False,
    ) -> int:
        """Submit an annotation as the token's user, as the review page does, and return its id."""
        optional: dict[str, Any] = {} if lead_time_s is None else {"lead_time": lead_time_s}
        # The server takes the field, the SDK's method has no parameter for it.
        body = {} if parent_prediction is None else {"parent_prediction": parent_prediction}
        item = self.http.write(
            lambda: self._sdk.annotations.create(
                id=task_id,
                result=[dict(region) for region in result],
                was_cancelled=was_cancelled,
                request_options=NO_RETRIES | {"additional_body_parameters": body},
                **optional,
            )
        )
        return int(item.id)

    def update_annotation(self, annotation_id: int, result: Sequence[Mapping[str, Any]]) -> None:
        """Change a submitted annotation, as the review page does."""
        self.http.write(
            lambda: self._sdk.annotations.update(
                id=annotation_id, result=[dict(region) for region in result], request_options=NO_RETRIES
            )
        )

    def ensure_local_storage(self, project_id: int, folder: Path) -> None:
        """Let a project serve the files of a folder on the server's own machine."""
        local = self._sdk.import_storage.local
        present = self.http.read(lambda: local.list(project=project_id, request_options=NO_RETRIES))
        if not any(Path(str(storage.path)) == folder for storage in present):
            self.http.write(
                lambda: local.create(
                    project=project_id,
                    path=str(folder),
                    title="images of partly",
                    use_blob_urls=True,
                    request_options=NO_RETRIES,
                )
            )

    def upload_images(self, project_id: int, files: Sequence[tuple[str, bytes]]) -> dict[str, str]:
        """Upload images to the server in one request, without making tasks.

        Args:
            project_id: the project that they belong to.
            files: names (which are kept at the end of the address) and contents.

        Returns:
            The address for a task's data of every name.

        Raises:
            IncompleteListing: the server did not keep all of them.
        """
        # The server keeps one file of a field's name.
        parts = [(f"file{n}", (name, content)) for n, (name, content) in enumerate(files)]
        base = f"/api/projects/{project_id}"
        answer = self.http.write(
            lambda: self.http.send("POST", f"{base}/import", params={"commit_to_project": "false"}, files=parts).json()
        )
        with self.http.translated():
            wanted = json.dumps(answer["file_upload_ids"])
        uploaded = self.http.get(f"{base}/file-uploads", ids=wanted)
        with self.http.translated():
            stored = [str(item["file"]) for item in uploaded]
        # The server puts a few characters and "-" before the name.
        found = {name: f"/data/{path.lstrip('/')}" for name, _ in files for path in stored if path.endswith(f"-{name}")}
        missing = [name for name, _ in files if name not in found]
        if missing:
            raise IncompleteListing(f"{len(missing)} of {len(files)} uploaded images are not on the server; push again")
        return found

    def storages(self, project_id: int, kind: str) -> list[dict[str, Any]]:
        """Return the import storages of a project, of one kind: `s3`, `gcs`, `azure`."""
        answer = self.http.get(f"/api/storages/{kind}/", project=project_id)
        with self.http.translated():
            return [dict(storage) for storage in answer]

    def image_problem(self, address: str, task_id: int | None = None, *, hosts: Container[str] = ()) -> str | None:
        """Fetch a task's image as a browser would, and say what is wrong with it; None if it is served.

        Args:
            address: what the task's data says: a path on the server, an address elsewhere, or an object in a bucket.
            task_id: the task, through which the server resolves an object in a bucket.
            hosts: on which images may lie, beside the server.
        """
        scheme = address.partition("://")[0] if "://" in address else ""
        if scheme and scheme not in ("http", "https"):
            if task_id is None:
                return None
            encoded = base64.urlsafe_b64encode(address.encode()).decode()
            address = f"/tasks/{task_id}/resolve/?fileuri={encoded}"
        try:
            answer = self.http.fetch(address, hosts)
        except LabelStudioError as exc:
            return f"it cannot be fetched ({exc})"
        if answer.status != HTTPStatus.OK:
            return f"the server answers with status {answer.status}"
        if not answer.kind.startswith(("image/", "application/octet-stream", "binary/octet-stream")):
            return f"the server sends {answer.kind or 'something without a type'} instead of an image"
        return "the server sends an empty file" if answer.is_empty else None


def _changed_since(moment: str) -> str:
    item = {
        "filter": "filter:tasks:updated_at",
        "operator": "greater_or_equal",
        "type": "Datetime",
        "value": moment,
    }
    return json.dumps({"filters": {"conjunction": "and", "items": [item]}})
