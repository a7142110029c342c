"""The only door to Label Studio: a small client that cannot duplicate, cannot list short, and leaks no secret.

The SDK repeats POST requests on 5xx, 408, 409 and 429, so a proxy's time-out makes duplicates; its pager takes any 404
for the end of a listing; the text of its errors holds headers. Here writes are never repeated (callers look up what is
there by our own key instead), listings are compared with the server's own total, and errors are translated.
"""

import functools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx

from annotator.errors import (
    AuthRejected,
    ConnectionFailed,
    IncompleteListing,
    LabelStudioError,
    ProjectUnusable,
    RequestRefused,
)
from annotator.labeling import CONFIG
from db.errors import InvalidArgument

T = TypeVar("T")

PAGE_SIZE = 100
READ_TRIES = 4
READ_PAUSE_S = 0.5
TIMEOUT_S = 120.0
NO_RETRIES: dict[str, Any] = {"max_retries": 0}


@dataclass(frozen=True, slots=True)
class Project:
    """A project in Label Studio."""

    id: int
    title: str
    config: str
    num_tasks: int


def normalize_url(url: str) -> str:
    """Bring a server's address into one form: scheme and host in lower case, no trailing slash, no user or query.

    Raises:
        InvalidArgument: it is not an http or https address.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(f"expected the address of a Label Studio, such as http://localhost:8080, got {url!r}")
    host = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
    netloc = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme.lower(), netloc, parts.path.rstrip("/"), "", ""))


class LabelStudioClient:
    """Talks to one Label Studio server."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            url: the server's address.
            token: a personal access token or a legacy token.
            timeout_s: how long to wait for one answer.
        """
        import label_studio_sdk

        self.url = normalize_url(url)
        self._http = httpx.Client(timeout=timeout_s, follow_redirects=True)
        sdk: Any = label_studio_sdk
        self._sdk = sdk.LabelStudio(base_url=self.url, api_key=token, httpx_client=self._http)

    def __enter__(self) -> "LabelStudioClient":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def whoami(self) -> str:
        """Return the e-mail address that the token belongs to.

        Raises:
            AuthRejected: the token is refused; ConnectionFailed: there is no server.
        """
        user = self._read(lambda: self._sdk.users.whoami(request_options=NO_RETRIES))
        return str(user.email)

    def user_names(self) -> dict[int, str]:
        """Return the e-mail addresses of the server's users by number, as far as the token may see them."""
        try:
            users = self._read(lambda: list(self._sdk.users.list(request_options=NO_RETRIES)))
        except (AuthRejected, RequestRefused):
            return {}
        return {int(user.id): str(user.email) for user in users if user.email}

    def find_project(self, title: str) -> Project | None:
        """Return the oldest project with exactly this title."""
        found: list[Any] = []
        page, seen, total = 1, 0, 1
        # By the server's own count: it answers 404 beyond its last page, which may well be a full one.
        while seen < total:
            try:
                pager = self._read(functools.partial(self._sdk.projects.list, page=page, page_size=PAGE_SIZE))
            except RequestRefused as exc:
                if page == 1:
                    raise
                raise IncompleteListing(f"the listing of projects on {self.url} broke off at page {page}") from exc
            items = list(pager.items or [])
            total, seen = int(pager.response.count), seen + len(items)
            found += [item for item in items if item.title == title]
            if not items and seen < total:
                raise IncompleteListing(f"{self.url} has {total} projects, but only {seen} were listed; try again")
            page += 1
        return self.get_project(min(item.id for item in found)) if found else None

    def get_project(self, project_id: int) -> Project:
        """Return a project.

        Raises:
            ProjectUnusable: it does not exist, or the token's user may not see it.
        """
        try:
            item = self._read(lambda: self._sdk.projects.get(id=project_id, request_options=NO_RETRIES))
        except RequestRefused as exc:
            raise ProjectUnusable(
                f"project {project_id} on {self.url} cannot be read ({exc}); "
                f"connect again with: partly connect {self.url}"
            ) from exc
        return Project(item.id, item.title or "", item.label_config or "", int(item.task_number or 0))

    def create_project(self, title: str) -> Project:
        """Create a project with partly's labelling interface."""
        item = self._write(
            lambda: self._sdk.projects.create(
                title=title,
                label_config=CONFIG,
                description="Images of partly; boxes drawn here are pulled into its registry.",
                show_collab_predictions=True,
                request_options=NO_RETRIES,
            )
        )
        return Project(item.id, title, CONFIG, 0)

    def list_tasks(self, project_id: int, *, with_annotations: bool) -> list[dict[str, Any]]:
        """Return every task of a project, in order of id.

        Args:
            project_id: the project.
            with_annotations: with annotations and predictions; slower.

        Raises:
            IncompleteListing: the server said that there are more, or pages overlapped.
        """
        fields = "all" if with_annotations else "task_only"
        tasks: dict[int, dict[str, Any]] = {}
        page, total = 1, 0
        while True:
            try:
                answer = self._read(
                    functools.partial(
                        self._sdk.tasks.list,
                        project=project_id,
                        page=page,
                        page_size=PAGE_SIZE,
                        fields=fields,
                        resolve_uri=False,
                        request_options=NO_RETRIES,
                    )
                )
            except RequestRefused as exc:
                if page == 1:
                    raise ProjectUnusable(f"the tasks of project {project_id} cannot be listed ({exc})") from exc
                raise IncompleteListing(
                    f"the listing of project {project_id} broke off at page {page} ({exc})"
                ) from exc
            items = [_plain(item) for item in answer.items or []]
            total = int(answer.response.total)
            tasks.update((int(item["id"]), item) for item in items)
            if len(tasks) >= total or not items:
                break
            page += 1
        if len(tasks) != total:
            raise IncompleteListing(
                f"project {project_id} has {total} tasks, but only {len(tasks)} were listed; try again"
            )
        return [tasks[task_id] for task_id in sorted(tasks)]

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Create tasks with their predictions in one request, which is never repeated.

        Raises:
            ConnectionFailed: there was no answer: whether the tasks exist has to be looked up.
        """
        self._write(
            lambda: self._sdk.projects.import_tasks(
                id=project_id,
                request=list(tasks),
                return_task_ids=True,
                request_options=NO_RETRIES,
            )
        )

    def import_predictions(self, project_id: int, predictions: Sequence[Mapping[str, Any]]) -> None:
        """Add predictions to tasks that exist, in one request, which is never repeated."""
        self._write(
            lambda: self._sdk.projects.import_predictions(
                id=project_id, request=list(predictions), request_options=NO_RETRIES
            )
        )

    def show_predictions(self, project_id: int, model_version: str) -> None:
        """Select the model version whose predictions people see, and turn seeing them on."""
        self._write(
            lambda: self._sdk.projects.update(
                id=project_id,
                model_version=model_version,
                show_collab_predictions=True,
                request_options=NO_RETRIES,
            )
        )

    def shown_predictions(self, project_id: int) -> tuple[str | None, bool]:
        """Return the model version that people see, and whether they see predictions at all."""
        item = self._read(lambda: self._sdk.projects.get(id=project_id, request_options=NO_RETRIES))
        return item.model_version, bool(item.show_collab_predictions)

    def get_task(self, task_id: int) -> dict[str, Any]:
        """Return one task with its annotations and predictions."""
        return _plain(self._read(lambda: self._sdk.tasks.get(id=str(task_id), request_options=NO_RETRIES)))

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
        item = self._write(
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
        self._write(
            lambda: self._sdk.annotations.update(
                id=annotation_id, result=[dict(region) for region in result], request_options=NO_RETRIES
            )
        )

    def ensure_local_storage(self, project_id: int, folder: Path) -> None:
        """Let a project serve the files of a folder on the server's own machine."""
        local = self._sdk.import_storage.local
        present = self._read(lambda: local.list(project=project_id, request_options=NO_RETRIES))
        if not any(Path(str(storage.path)) == folder for storage in present):
            self._write(
                lambda: local.create(
                    project=project_id,
                    path=str(folder),
                    title="images of partly",
                    use_blob_urls=True,
                    request_options=NO_RETRIES,
                )
            )

    def upload_image(self, project_id: int, name: str, content: bytes) -> str:
        """Upload an image to the server, without making a task, and return the address for a task's data."""
        headers = self._read(lambda: dict(self._sdk._client_wrapper.get_headers()))
        headers.pop("Content-Type", None)
        base = f"{self.url}/api/projects/{project_id}"
        with self._translated():
            answer = self._http.post(
                f"{base}/import",
                params={"commit_to_project": "false"},
                files={"file": (name, content)},
                headers=headers,
            )
            _check(answer)
            upload_id = answer.json()["file_upload_ids"][0]
            answer = self._http.get(f"{self.url}/api/import/file-upload/{upload_id}", headers=headers)
            _check(answer)
            return f"/data/{answer.json()['file'].lstrip('/')}"

    def image_problem(self, address: str) -> str | None:
        """Fetch a task's image as a browser would, and say what is wrong with it; None if it is served.

        Args:
            address: what the task's data says: a path on the server, or a whole address elsewhere.
        """
        parts = urlsplit(address)
        if parts.scheme and parts.scheme not in ("http", "https"):
            return None
        headers: dict[str, str] = {}
        if not parts.scheme:
            headers = self._read(lambda: dict(self._sdk._client_wrapper.get_headers()))
            headers.pop("Content-Type", None)
        try:
            answer = self._http.get(address if parts.scheme else f"{self.url}{address}", headers=headers)
        except httpx.HTTPError as exc:
            return f"it cannot be fetched ({type(exc).__name__})"
        kind = answer.headers.get("content-type", "")
        if answer.status_code != 200:
            return f"the server answers with status {answer.status_code}"
        if not kind.startswith(("image/", "application/octet-stream")):
            return f"the server sends {kind or 'something without a type'} instead of an image"
        return None if answer.content else "the server sends an empty file"

    def _read(self, call: Callable[[], T]) -> T:
        """Run a request that changes nothing; it is repeated while the server cannot be reached."""
        for attempt in range(READ_TRIES):
            try:
                with self._translated():
                    return call()
            except ConnectionFailed:
                if attempt == READ_TRIES - 1:
                    raise
                time.sleep(READ_PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    def _write(self, call: Callable[[], T]) -> T:
        with self._translated():
            return call()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except LabelStudioError:
            raise
        except ApiError as exc:
            raise _error_from_status(self.url, exc.status_code, exc.body) from exc.__cause__
        except httpx.HTTPError as exc:
            raise ConnectionFailed(f"{self.url} cannot be reached ({type(exc).__name__}: {exc})") from exc
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            # HTML instead of JSON, or an answer of another shape.
            raise RequestRefused(
                f"{self.url} answered in a form that Label Studio does not use ({type(exc).__name__})"
            ) from exc


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        raise _error_from_status(str(answer.request.url.copy_with(query=None)), answer.status_code, answer.text)


def _error_from_status(url: str, status: int | None, body: object) -> LabelStudioError:
    if status in (401, 403):
        return AuthRejected(
            f"{url} refused the token (status {status}); make a new one under Account & Settings, Access Token, "
            "and set PARTLY_LABEL_STUDIO_TOKEN"
        )
    if status is not None and status < 400:
        return RequestRefused(f"{url} answered in a form that Label Studio does not use: is this its address?")
    detail = body.get("detail") if isinstance(body, dict) else None
    text = f"status {status}" + (f": {str(detail)[:200]}" if detail else "")
    if status is None or status >= 500 or status in (408, 429):
        return ConnectionFailed(f"{url} is not able to answer ({text})")
    return RequestRefused(f"{url} refused the request ({text})")


def _plain(item: Any) -> dict[str, Any]:
    if isinstance(item, Mapping):
        return dict(item)
    with warnings.catch_warnings():
        # The SDK declares lists as strings, and pydantic warns about each of them.
        warnings.simplefilter("ignore", UserWarning)
        dumped: dict[str, Any] = item.model_dump(mode="json", by_alias=True)
    return dumped
