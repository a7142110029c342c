"""Compares a registry with its Label Studio project, and says what to do about each difference. Changes nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.network.origin import web_hosts
from annotator.label_studio.ownership import own_project
from annotator.label_studio.payload.labeling_config import config_problem
from annotator.label_studio.payload.tasks import (
    KEY,
    LIVE_TITLE,
    as_own,
    image_ids_of,
    image_of,
    is_as_sent,
    is_of_another,
    key_of,
    problem_of,
    round_of,
    why_unreadable,
)
from annotator.label_studio.pull.consensus import LATEST
from annotator.label_studio.pull.plan import SAID_THERE, plan_pull
from annotator.label_studio.pull.pull_reviews import read_known
from annotator.label_studio.sync_journal import is_at_work
from db.plain_text import counted
from db.records import ImageRecord, TaskLink, run_name
from db.records.sync import StepState, SyncKind
from db.registry import Registry

DUPLICATE = "studio_duplicate_tasks"
TASK_GONE = "studio_task_deleted"
IMAGE_GONE = "studio_unknown_image"
IMAGE_REMOVED = "studio_image_removed"
OTHER_REGISTRY = "studio_other_registry"
FOREIGN = "studio_foreign_tasks"
NOT_PULLED = "studio_not_pulled"
UNREADABLE = "studio_task_unreadable"
UNSETTLED = "studio_annotation_unsettled"
WITHDRAWN = "studio_annotation_deleted"
DIFFERS = "studio_label_changed_here"
UNSHOWN = "studio_proposals_not_shown"
INTERFACE = "studio_interface_changed"
NOT_SERVED = "studio_image_not_served"
PUSH_CUT = "studio_push_cut"

SAMPLE = 8
"""Images that are fetched through Label Studio, evenly from its tasks."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, with its repair in the detail."""

    kind: str
    images: list[ImageRecord]
    detail: str
    tasks: list[int] = field(default_factory=list)


def compare_with_studio(registry: Registry, client: LabelStudioClient) -> list[Difference]:
    """Reconcile the tasks and annotations of the connected project with what the registry knows of them.

    Raises:
        NotFound: the registry is not connected.
        LabelStudioError: the server cannot be used, or listed less than it has; nothing is concluded from that.
    """
    with registry.read() as tx:
        connection = tx.connections.current()
    identity = own_project(registry, client, connection.project_id, dry_run=True)
    project = client.get_project(connection.project_id)
    shown = client.shown_predictions(connection.project_id)
    tasks = [as_own(task, identity) for task in client.list_tasks(connection.project_id, with_annotations=True)]
    with registry.read() as tx:
        links = tx.connections.links(connection.id)
        versions = tx.reviews.versions(connection.id)
        annotated = tx.reviews.images(connection.id)
        ids = {*image_ids_of(tasks), *links, *annotated.values()}
        images = {image.id: image for image in tx.images.select(ids=ids)}
        removed = {image.key: image for image in tx.images.select(ids=ids, removed=True)}
        last_push = tx.journal.last(connection.id, SyncKind.PUSH)
        left = (
            tx.journal.steps(last_push.id, states=[StepState.PLANNED, StepState.SENT]) if last_push is not None else []
        )
        proposals = tx.proposals.by_id(link.proposal_id for link in links.values() if link.proposal_id is not None)
    plan = plan_pull(tasks, read_known(registry, connection, tasks, {}, LATEST), change_test=True)
    differences = [
        *_task_differences(tasks, links, images, removed),
        *_annotation_differences(tasks, images, versions, annotated, plan.unsettled),
    ]
    if left and last_push is not None and not is_at_work(last_push):
        why = (
            f"the last push was interrupted with {counted(len(left), 'step')} left; repeat the same "
            f"partly push to continue it"
        )
        cut = [images[step.image_id] for step in left if step.image_id in images]
        differences.append(Difference(PUSH_CUT, cut, why))
    differences += _unserved(client, tasks, images)
    if problem := config_problem(project.config):
        why = f"the labeling interface of project {project.id} was changed: {problem}; restore it in its settings"
        differences.append(Difference(INTERFACE, [], why))
    newest = max((proposal.run_id for proposal in proposals.values()), default=None)
    if newest is not None and shown not in [(run_name(newest), True), (LIVE_TITLE, True)]:
        seen = shown[0] or "no model"
        why = f"annotators see the predictions of {seen}, not of {run_name(newest)}; to show them: partly push"
        differences.append(Difference(UNSHOWN, [], why))
    return differences


def _unserved(
    client: LabelStudioClient, tasks: Sequence[Mapping[str, Any]], images: Mapping[int, ImageRecord]
) -> list[Difference]:
    known = {image.key: image for image in images.values()}
    own = [task for task in tasks if key_of(task) in known and problem_of(task) is None]
    differences = []
    for task in own[:: max(1, len(own) // SAMPLE)][:SAMPLE]:
        address = task["data"].get("image")
        is_text = isinstance(address, str)
        # Whoever writes tasks does not decide whom this machine asks.
        hosts = web_hosts([known[task["data"][KEY]].path.location])
        problem = client.image_problem(address, int(task["id"]), hosts=hosts) if is_text else "its address is not text"
        if problem is not None:
            why = f"annotators cannot see the image of task {task['id']}: {problem}; to restore it: partly push --all"
            differences.append(Difference(NOT_SERVED, [known[task["data"][KEY]]], why, [int(task["id"])]))
    return differences


def _task_differences(
    tasks: Sequence[Mapping[str, Any]],
    links: Mapping[int, TaskLink],
    images: Mapping[int, ImageRecord],
    removed: Mapping[str, ImageRecord],
) -> list[Difference]:
    by_slot: dict[tuple[str, int], list[int]] = defaultdict(list)
    foreign: list[int] = []
    others: list[int] = []
    unreadable: list[Mapping[str, Any]] = []
    for task in tasks:
        key = key_of(task)
        if problem_of(task) is not None:
            unreadable.append(task)
        elif is_of_another(task):
            others.append(int(task["id"]))
        elif key:
            by_slot[key, round_of(task)].append(int(task["id"]))
        else:
            foreign.append(int(task["id"]))
    known = {image.key: image for image in images.values()}
    differences = []
    for (key, _), task_ids in by_slot.items():
        if key in removed:
            why = f"task {task_ids[0]} shows an image that was removed from the data set; its reviews are not pulled. "
            why += "Delete the task in Label Studio, or put the image back: partly undo --list"
            differences.append(Difference(IMAGE_REMOVED, [removed[key]], why, task_ids))
        elif key not in known:
            why = f"task {task_ids[0]} shows image {key}, which is not in this registry; it is left alone"
            differences.append(Difference(IMAGE_GONE, [], why, task_ids))
        elif len(task_ids) > 1:
            listed = ", ".join(map(str, sorted(task_ids)))
            why = f"tasks {listed} show the same image; partly uses {min(task_ids)}: delete the others in Label Studio"
            differences.append(Difference(DUPLICATE, [known[key]], why, sorted(task_ids)))
    broken = {int(task["id"]): task for task in unreadable}
    for task_id, task in broken.items():
        shown = [images[image_id] for image_id, link in links.items() if link.task_id == task_id and image_id in images]
        differences.append(Difference(UNREADABLE, shown, f"{why_unreadable(task)}, then: partly pull", [task_id]))
    for image_id, link in links.items():
        image = images.get(image_id)
        if image is not None and (image.key, link.round) not in by_slot and link.task_id not in broken:
            why = f"task {link.task_id} was deleted in Label Studio; to create it again: partly push --recreate"
            differences.append(Difference(TASK_GONE, [image], why, [link.task_id]))
    if others:
        why = (
            f"{counted(len(others), 'task belongs', 'tasks belong')} to another registry; what is "
            f"not known here is left alone. To take over those whose images "
        )
        why += "are registered here: partly connect --adopt"
        differences.append(Difference(OTHER_REGISTRY, [], why, others))
    if foreign:
        why = f"{counted(len(foreign), 'task was', 'tasks were')} not made by partly, and left alone"
        differences.append(Difference(FOREIGN, [], why, foreign))
    return differences


def _annotation_differences(
    tasks: Sequence[Mapping[str, Any]],
    images: Mapping[int, ImageRecord],
    versions: Mapping[int, str],
    annotated: Mapping[int, int],
    unsettled: Mapping[int, str],
) -> list[Difference]:
    known = {image.key: image for image in images.values()}
    differences = []
    there: set[int] = set()
    listed: dict[int, int] = {}
    for task in tasks:
        image = image_of(task, known)
        if image is None or problem_of(task) is not None:
            continue
        listed[image.id] = int(task["id"])
        said = [item for item in task.get("annotations") or [] if not is_as_sent(item)]
        standing = [item for item in said if not item.get("was_cancelled")]
        there.update(int(item["id"]) for item in standing)
        new = [item for item in standing if versions.get(int(item["id"])) != str(item.get("updated_at"))]
        pulled = [item for item in standing if int(item["id"]) in versions]
        changed_here = image.label is not None and image.label.source not in SAID_THERE
        if new and int(task["id"]) in unsettled:
            why = f"an annotation cannot be stored: {unsettled[int(task['id'])]}; correct it in Label Studio, then: "
            differences.append(Difference(UNSETTLED, [image], why + "partly pull", [int(task["id"])]))
        elif new and changed_here and pulled:
            why = "the label changed on both sides since the last pull; the next pull keeps Label Studio's"
            differences.append(Difference(DIFFERS, [image], why, [int(task["id"])]))
        elif new:
            why = (
                f"{counted(len(new), 'annotation was', 'annotations were')} not pulled yet, or changed "
                f"since; to pull them: partly pull"
            )
            differences.append(Difference(NOT_PULLED, [image], why, [int(task["id"])]))
        elif pulled and changed_here:
            why = "the current label was imported after the review; Label Studio shows an older one"
            differences.append(Difference(DIFFERS, [image], why, [int(task["id"])]))
    # What a task that cannot be read still holds is not known.
    unknown = {image.id for task in tasks if problem_of(task) and (image := image_of(task, known)) is not None}
    for annotation_id, image_id in annotated.items():
        image = images.get(image_id)
        if (
            image is None
            or image_id in unknown
            or image_id not in listed
            or annotation_id in there
            or image.label is None
        ):
            continue
        if image.label.review_id is not None and image.label.retraction_id is None:
            why = f"annotation {annotation_id} was deleted after it was pulled; to retract its label: partly pull"
            differences.append(Difference(WITHDRAWN, [image], why, [listed[image_id]]))
    return differences
