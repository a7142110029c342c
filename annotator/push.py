"""Sends images to Label Studio as tasks, with proposals as visible predictions. A plan first, then the work.

A task is recognised by our own key in its data, never by its place in a list or its file name. So a push can be
repeated, or cut anywhere and repeated, without a second task for an image; and a request whose answer never came is
followed by a look at what is there, not by the same request.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from annotator.client import LabelStudioClient
from annotator.connect import MEDIA_LOCAL
from annotator.errors import ConnectionFailed, IncompleteListing, ProjectUnusable
from annotator.labeling import result_from_boxes
from annotator.media import media_bytes, media_name, place_media
from db.errors import ImageUnreadable, InvalidArgument
from db.progress import Progress, SilentProgress
from db.records import ConnectionRecord, ImageRecord, ProposalRecord, Split, Supervision, TaskLink
from db.registry import Registry

CHUNK = 100
WRITE_ROUNDS = 4
KEY = "partly_key"
CONTROL = "partly_control"


def key_of(task: Mapping[str, Any]) -> str | None:
    """Return our key of the image that a task is of, None where the task was not made by partly."""
    key = (task.get("data") or {}).get(KEY)
    return str(key) if key else None


def image_ids_of(tasks: Iterable[Mapping[str, Any]]) -> list[int]:
    """Return the numbers of the images that tasks are of, as far as their keys are of our form."""
    numbers = ((key_of(task) or "").partition("-")[0] for task in tasks)
    return [int(number) for number in numbers if number.isdigit()]


@dataclass(slots=True)
class PushPlan:
    """What a push would do."""

    create: list[ImageRecord] = field(default_factory=list)
    update: list[tuple[ImageRecord, int]] = field(default_factory=list)
    """Images whose task exists and lacks the newest proposal, with the task's id."""
    adopt: list[TaskLink] = field(default_factory=list)
    """Tasks that are there already and only have to be noted here."""
    unchanged: int = 0
    gone: list[ImageRecord] = field(default_factory=list)
    """Images whose task was deleted over there; they are left alone unless asked for."""
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    """Images with several tasks of our key; the oldest one counts."""
    controls: set[int] = field(default_factory=set)
    """Images whose task is there without the proposal, on purpose."""
    skipped: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class PushReport:
    """What a push did."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    gone: int = 0
    """Images whose task was deleted in Label Studio and not made anew."""
    conflict: int = 0
    """Images with several tasks in Label Studio, of which the oldest counts."""
    predictions: int = 0
    control: int = 0
    """New tasks whose proposal was held back."""
    skipped: list[dict[str, Any]] = field(default_factory=list)


def push_images(
    registry: Registry,
    client: LabelStudioClient,
    *,
    what: str = "proposals",
    limit: int | None = None,
    media_folder: Path | None = None,
    recreate: bool = False,
    control_share: float = 0.0,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PushReport:
    """Create tasks for images, and predictions for their pending proposals.

    Args:
        registry: where the images and proposals are.
        client: to the connected server.
        what: `proposals` (images with a pending proposal), `partly` (all images without a known location, proposals
            included) or `all` (every image outside test).
        limit: at most this many new tasks; images with the surest proposals first.
        media_folder: folder that the local server serves, where images are placed there.
        recreate: make tasks anew that were deleted in Label Studio.
        control_share: share of the new tasks with a proposal that are sent without it, 0 to 1, so that what people draw
            by themselves can be compared with what they make of a proposal.
        dry_run: only say what would be done.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: `what` or `limit` is out of range.
        NotFound: the registry is not connected.
        LabelStudioError: the server cannot be used; what was done stays done, and the same push goes on from there.
    """
    if what not in ("proposals", "partly", "all"):
        raise InvalidArgument(f"what to push is proposals, partly or all, got {what!r}")
    if limit is not None and limit < 1:
        raise InvalidArgument(f"--limit must be at least 1, got {limit}")
    if not 0 <= control_share <= 1:
        raise InvalidArgument(f"--control-share is a share from 0 to 1, got {control_share}")
    progress = progress or SilentProgress()
    with registry.read() as tx:
        connection = tx.connections.current()
        links = tx.connections.links(connection.id)
        # Of those without a task the surest come first, so this many are always enough.
        enough = limit + len(links) if limit is not None else None
        waiting = tx.proposals.pending(limit=enough)
        if enough is not None:
            waiting += tx.proposals.pending_for(links)
        proposals = {proposal.image_id: proposal for proposal in waiting}
        outside_test = [Split.TRAIN, Split.VAL, None]
        if what == "proposals":
            images = tx.images.select(splits=outside_test, ids=proposals)
        else:
            supervision = Supervision.PARTLY if what == "partly" else None
            images = tx.images.select(splits=outside_test, supervision=supervision, limit=enough)
            further = set(proposals) - {image.id for image in images}
            images += tx.images.select(splits=outside_test, supervision=supervision, ids=further)
    tasks = client.list_tasks(connection.project_id, with_annotations=bool(proposals))
    plan = plan_push(images, proposals, links, tasks, limit=limit, recreate=recreate)
    report = PushReport(
        unchanged=plan.unchanged, gone=len(plan.gone), conflict=len(plan.conflicts), skipped=plan.skipped
    )
    if dry_run:
        report.created, report.updated = len(plan.create), len(plan.update)
        return report
    controls = {image.id for image in plan.create if image.id in proposals and is_control(image, control_share)}
    report.control = len(controls)
    for image_id in controls | plan.controls:
        proposals.pop(image_id, None)
    push = _Push(registry, client, connection, proposals, controls, media_folder, progress)
    push.note(plan.adopt)
    made_anew = {image.id for image in (*plan.create, *plan.gone)}
    push.restore_media([image for image in images if image.id not in made_anew])
    report.created = push.create(plan.create, report)
    report.updated = push.add_predictions(plan.update)
    report.predictions = sum(image.id in proposals for image in plan.create) + report.updated
    push.show_predictions()
    return report


def plan_push(
    images: Sequence[ImageRecord],
    proposals: dict[int, ProposalRecord],
    links: dict[int, TaskLink],
    tasks: Iterable[dict[str, Any]],
    *,
    limit: int | None = None,
    recreate: bool = False,
) -> PushPlan:
    """Compare what should be there with what is; pure.

    Args:
        images: to have a task.
        proposals: pending ones, by image.
        links: tasks known here, by image.
        tasks: tasks there, with predictions where there are proposals.
        limit: at most this many new tasks.
        recreate: plan tasks anew that were deleted over there.
    """
    plan = PushPlan()
    there: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for task in tasks:
        key = key_of(task)
        if key:
            there[key].append(task)
    ordered = sorted(images, key=lambda image: (-_score(proposals.get(image.id)), image.id))
    for image in ordered:
        proposal = proposals.get(image.id)
        found = there.get(image.key, [])
        link = links.get(image.id)
        if not found and link is not None and not recreate:
            plan.gone.append(image)
            why = f"its task {link.task_id} was deleted in Label Studio; to make it anew: --recreate"
            plan.skipped.append({"image": image.id, "task": link.task_id, "reason": why})
            continue
        if len(found) > 1:
            tasks_there = sorted(int(candidate["id"]) for candidate in found)
            plan.conflicts.append({"image": image.id, "tasks": tasks_there})
        if not found:
            if limit is None or len(plan.create) < limit:
                plan.create.append(image)
            else:
                plan.skipped.append({"image": image.id, "reason": "beyond --limit"})
            continue
        task = min(found, key=lambda candidate: int(candidate["id"]))
        if (task.get("data") or {}).get(CONTROL) or (link is not None and link.control):
            # Its proposal is held back on purpose, and so are those of later runs.
            plan.unchanged += 1
            plan.controls.add(image.id)
            if link is None:
                plan.adopt.append(TaskLink(image.id, int(task["id"]), None, control=True))
            continue
        shown = proposal is not None and _has_prediction(task, proposal.run_name)
        if proposal is not None and not shown:
            plan.update.append((image, int(task["id"])))
            continue
        plan.unchanged += 1
        proposal_id = proposal.id if proposal is not None else link.proposal_id if link else None
        wanted = TaskLink(image.id, int(task["id"]), proposal_id)
        if link != wanted:
            plan.adopt.append(wanted)
    return plan


def _score(proposal: ProposalRecord | None) -> float:
    return proposal.score if proposal is not None else -1.0


def _has_prediction(task: dict[str, Any], model_version: str) -> bool:
    return any(prediction.get("model_version") == model_version for prediction in task.get("predictions") or [])


def is_control(image: ImageRecord, share: float) -> bool:
    """Choose controls by content alone: the same images every time, and nobody can guess which."""
    digest = hashlib.sha256(f"control/{image.content_hash}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def prediction_of(image: ImageRecord, proposal: ProposalRecord) -> dict[str, Any]:
    """Write a proposal as a prediction: its run as model version, its score, its boxes."""
    return {
        "model_version": proposal.run_name,
        "score": proposal.score,
        "result": result_from_boxes(proposal.boxes, image.width, image.height, region_prefix=f"{proposal.run_name}-"),
    }


class _Push:
    """The work of one push."""

    def __init__(
        self,
        registry: Registry,
        client: LabelStudioClient,
        connection: ConnectionRecord,
        proposals: dict[int, ProposalRecord],
        controls: set[int],
        media_folder: Path | None,
        progress: Progress,
    ) -> None:
        self._registry = registry
        self._client = client
        self._connection = connection
        self._proposals = proposals
        self._controls = controls
        self._media_folder = media_folder
        self._progress = progress

    def note(self, links: Sequence[TaskLink]) -> None:
        """Remember which task belongs to which image."""
        if links:
            with self._registry.begin() as tx:
                tx.connections.set_links(self._connection.id, links)

    def restore_media(self, images: Sequence[ImageRecord]) -> None:
        """Put images of existing tasks back that were lost where the local server serves them."""
        if self._connection.media == MEDIA_LOCAL and self._media_folder is not None:
            for image in images:
                with suppress(ImageUnreadable):
                    place_media(image, self._media_folder)

    def create(self, images: Sequence[ImageRecord], report: PushReport) -> int:
        """Create tasks in chunks and return how many are new."""
        ready: list[tuple[ImageRecord, dict[str, Any]]] = []
        with self._progress.task("preparing images", len(images)) as task:
            for image in images:
                try:
                    ready.append((image, self._task_of(image)))
                except (ImageUnreadable, OSError) as exc:
                    report.skipped.append({"image": image.id, "reason": str(exc)})
                task.advance()
        if not ready:
            return 0
        with self._progress.task("creating tasks", len(ready)) as task:
            for start in range(0, len(ready), CHUNK):
                chunk = ready[start : start + CHUNK]
                self._send_until_there(chunk)
                task.advance(len(chunk))
        ids = self._task_ids()
        missing = [image.id for image, _ in ready if image.key not in ids]
        if missing:
            raise IncompleteListing(f"{len(missing)} of the tasks just created are not listed; push again")
        self.note(
            [
                TaskLink(image.id, ids[image.key], self._proposal_id(image), image.id in self._controls)
                for image, _ in ready
            ]
        )
        return len(ready)

    def _send_until_there(self, chunk: Sequence[tuple[ImageRecord, dict[str, Any]]]) -> None:
        waiting = list(chunk)
        for attempt in range(WRITE_ROUNDS):
            try:
                self._client.import_tasks(self._connection.project_id, [task for _, task in waiting])
                return
            except ConnectionFailed:
                if attempt == WRITE_ROUNDS - 1:
                    raise
                # The server may have done the work before the answer was lost: look before sending again.
                ids = self._task_ids()
                waiting = [(image, task) for image, task in waiting if image.key not in ids]
                if not waiting:
                    return

    def _task_ids(self) -> dict[str, int]:
        tasks = self._client.list_tasks(self._connection.project_id, with_annotations=False)
        ids: dict[str, int] = {}
        for task in tasks:
            key = key_of(task)
            if key:
                ids.setdefault(key, int(task["id"]))
        return ids

    def add_predictions(self, updates: Sequence[tuple[ImageRecord, int]]) -> int:
        """Add the newest proposals to tasks that exist."""
        for start in range(0, len(updates), CHUNK):
            chunk = updates[start : start + CHUNK]
            self._client.import_predictions(
                self._connection.project_id,
                [{"task": task_id, **prediction_of(image, self._proposals[image.id])} for image, task_id in chunk],
            )
            self.note([TaskLink(image.id, task_id, self._proposals[image.id].id) for image, task_id in chunk])
        return len(updates)

    def show_predictions(self) -> None:
        """Make the newest run's predictions the ones that people see, and make sure that they do."""
        if not self._proposals:
            return
        newest = max(self._proposals.values(), key=lambda proposal: proposal.run_id)
        project_id = self._connection.project_id
        if self._client.shown_predictions(project_id) != (newest.run_name, True):
            self._client.show_predictions(project_id, newest.run_name)
        with self._registry.read() as tx:
            link = tx.connections.links(self._connection.id).get(newest.image_id)
        if link is None:
            return
        task = self._client.get_task(link.task_id)
        if not _has_prediction(task, newest.run_name) or self._client.shown_predictions(project_id) != (
            newest.run_name,
            True,
        ):
            raise ProjectUnusable(
                f"the proposals of {newest.run_name} were sent, but project {project_id} does not show them: set its "
                f"model version to {newest.run_name} in Label Studio (Settings, Annotation, Prelabeling)"
            )

    def _task_of(self, image: ImageRecord) -> dict[str, Any]:
        proposal = self._proposals.get(image.id)
        data = {
            "image": self._image_url(image),
            KEY: image.key,
            "partly_class": image.class_name or "not known",
            "partly_score": proposal.score if proposal is not None else None,
            CONTROL: image.id in self._controls,
        }
        return {"data": data} | ({"predictions": [prediction_of(image, proposal)]} if proposal is not None else {})

    def _image_url(self, image: ImageRecord) -> str:
        if self._connection.media == MEDIA_LOCAL:
            if self._media_folder is None:
                raise ProjectUnusable("the connected server is not the local one any more; connect again")
            file = place_media(image, self._media_folder)
            return "/data/local-files/?d=" + quote(f"{self._media_folder.name}/{file.name}")
        return self._client.upload_image(self._connection.project_id, media_name(image), media_bytes(image))

    def _proposal_id(self, image: ImageRecord) -> int | None:
        proposal = self._proposals.get(image.id)
        return proposal.id if proposal is not None else None
