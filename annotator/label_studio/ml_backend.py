"""Answers Label Studio's questions to a model while people work: its ML backend protocol, without a model of its own.

Label Studio asks for the health, sets the backend up (the answer names the model version), and sends tasks; for each it
gets a list of predictions, which is empty where nothing is proposed. What is shown is stored as a proposal first, so
that a pull can tell what a person was shown. Controls stay without a proposal, and so do test images. A proposal that
there is nothing to find is not answered: an answer cannot write it into the page's header, so it waits for a push.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from annotator.errors import LabelStudioError, ProjectUnusable
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.payload.plain import Unreadable
from annotator.label_studio.payload.received import read_task
from annotator.label_studio.payload.tasks import (
    CLASSES,
    CONTROL,
    LIVE_TITLE,
    PROBLEM,
    PROPOSAL,
    as_own,
    image_ids_of,
    image_of,
    prediction_of,
)
from annotator.label_studio.web_server import Handler, RequestInvalid
from db.records import ImageRecord, ProposalRecord
from db.registry import Registry

log = logging.getLogger(__name__)

MOST_TASKS = 100_000
"""In one request, of which each is answered with a list."""

PRIVATE = (
    "Label Studio refuses addresses in private networks unless it is started with SSRF_PROTECTION_ENABLED=false and "
    "ML_BLOCK_LOCAL_IP=false"
)

Proposer = Callable[[Iterable[int]], Mapping[int, ProposalRecord]]
"""Takes images by number; returns the current run's proposals, stored, for those that it has one for."""


class MlBackend:
    """The protocol, over a registry and something that proposes."""

    def __init__(self, registry: Registry, propose: Proposer, current_run: Callable[[], str]) -> None:
        """Prepare to answer.

        Args:
            registry: where the images are.
            propose: see `Proposer`.
            current_run: returns the name of the run that proposes now.
        """
        self._registry = registry
        self._propose = propose
        self._current_run = current_run

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """Return what answers which request."""
        return {
            ("GET", "/"): self.health,
            ("GET", "/health"): self.health,
            ("POST", "/setup"): self.setup,
            ("POST", "/predict"): self.predict,
            ("GET", "/versions"): self.versions,
            # Trainings are started by people, not by whoever saves an annotation.
            ("POST", "/webhook"): lambda _: {"result": "ignored"},
        }

    def health(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Say that the backend is there."""
        return {"status": "UP", "model_class": "partly"}

    def setup(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Name the model version. The token that Label Studio sends along is not used and not kept."""
        return {"model_version": self._current_run()}

    def versions(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """List the model versions."""
        with self._registry.read() as tx:
            return {"versions": [run.name for run in tx.runs.all()]}

    def predict(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a list of predictions for every task, in the order of the tasks; none for one that cannot be read.

        Raises:
            RequestInvalid: there is no list of tasks, or it is too long.
        """
        listed = request.get("tasks", [])
        if not isinstance(listed, list):
            raise RequestInvalid("tasks is not a list")
        if len(listed) > MOST_TASKS:
            raise RequestInvalid(f"more than {MOST_TASKS:,} tasks")
        with self._registry.read() as tx:
            identity = tx.connections.identity()
            tasks = [as_own(task, identity) for task in _readable(listed)]
            images = {image.key: image for image in tx.images.select(ids=image_ids_of(tasks))}
            blind = set(tx.connections.control_images())
        # By key: a number alone could be of an image in another registry.
        asked = {
            image.id
            for task in tasks
            if (image := image_of(task, images)) is not None and image.id not in blind and not task["data"].get(CONTROL)
        }
        proposals = self._propose(asked) if asked else {}
        return {"results": [self._answer(task, images, proposals) for task in tasks]}

    @staticmethod
    def _answer(
        task: Mapping[str, Any], images: Mapping[str, ImageRecord], proposals: Mapping[int, ProposalRecord]
    ) -> list[dict[str, Any]]:
        image, data = image_of(task, images), task["data"]
        proposal = proposals.get(image.id) if image is not None else None
        if image is None or proposal is None or proposal.is_nothing or data.get(PROPOSAL):
            # Neither is a box shown under a header that says "nothing to find".
            return []
        class_name = proposal.class_name if data.get(CLASSES) and image.class_name is None else None
        return [prediction_of(image, proposal.boxes, model_version=proposal.run_name, class_name=class_name)]


def _readable(listed: Iterable[Any]) -> list[dict[str, Any]]:
    """Return tasks as they can be read; one that cannot is nobody's, and the others are answered all the same."""
    tasks, problems = [], []
    for task in listed:
        try:
            # It is answered by its place in the list, so its number does not matter.
            found = read_task({**task, "id": 1}) if isinstance(task, Mapping) else {PROBLEM: "it is not a JSON object"}
        except Unreadable as exc:
            found = {PROBLEM: str(exc)}
        if found.get(PROBLEM):
            problems.append(found[PROBLEM])
            found = {"data": {}}
        tasks.append(found)
    if problems:
        # One line, however many a stranger sends.
        log.warning(
            "of %s tasks, %s cannot be read; the first: %s", f"{len(tasks):,}", f"{len(problems):,}", problems[0]
        )
    return tasks


def attach_backend(
    client: LabelStudioClient, project_id: int, url: str, *, account: tuple[str, str] | None = None
) -> None:
    """Make Label Studio ask a backend while people work on a project, and show what it answers.

    Args:
        client: to the server.
        project_id: the project.
        url: where the server reaches the backend, which must be running.
        account: name and password that the backend asks for.

    Raises:
        ProjectUnusable: the server cannot reach the backend.
    """
    present = [item for item in client.http.get("/api/ml/", project=project_id) if item.get("title") == LIVE_TITLE]
    document: dict[str, Any] = {"project": project_id, "url": url, "title": LIVE_TITLE, "is_interactive": False}
    if account is not None:
        document |= {"auth_method": "BASIC_AUTH", "basic_auth_user": account[0], "basic_auth_pass": account[1]}
    try:
        if present:
            client.http.patch(f"/api/ml/{present[0]['id']}", document)
        else:
            client.http.post("/api/ml/", document)
    except LabelStudioError as exc:
        raise ProjectUnusable(
            f"Label Studio at {client.url} does not accept {url} as an ML backend ({exc}); it must be able to "
            f"reach this machine at that address; set another with --url. {PRIVATE}"
        ) from exc
    client.show_predictions(project_id, LIVE_TITLE)


def detach_backend(client: LabelStudioClient, project_id: int) -> bool:
    """Make Label Studio stop asking; False where it did not ask."""
    present = [item for item in client.http.get("/api/ml/", project=project_id) if item.get("title") == LIVE_TITLE]
    for item in present:
        client.http.delete(f"/api/ml/{item['id']}")
    return bool(present)
