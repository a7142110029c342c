"""Pulls reviews from Label Studio into the registry: a plan, a journal, then one transaction per chunk.

What a person meant is worked out in `pull.interpret`. A proposal that nobody reviewed never becomes a label.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.ownership import own_project
from annotator.label_studio.page import note_on_tasks
from annotator.label_studio.payload.labeling_config import verdict_in
from annotator.label_studio.payload.tasks import image_ids_of, image_of, key_of, problem_of, round_of, with_registry
from annotator.label_studio.pull.consensus import LATEST, check_policy
from annotator.label_studio.pull.incremental import ChangedTasks, list_changed, with_siblings
from annotator.label_studio.pull.plan import (
    Known,
    PlannedReview,
    PullPlan,
    PullReport,
    PullRequest,
    parent_version,
    plan_pull,
)
from annotator.label_studio.pull.store import (
    Pulled,
    Stored,
    begin_operation,
    store_attention_responses,
    store_reviews,
    store_withdrawn_classes,
)
from annotator.label_studio.pull.withdraw import Withdrawn, find_withdrawn, find_withdrawn_classes, withdraw
from annotator.label_studio.sync_journal import journaled
from annotator.label_studio.sync_report import PlannedPull, counts_of
from db.progress import Progress, SilentProgress
from db.records import ConnectionRecord, ImageRecord, NewReview, ProposalRecord, TaskLink
from db.records.reviews import WRONG_CLASS
from db.records.sync import StepAction, SyncKind, SyncRecord, SyncStatus, SyncStep
from db.registry import Registry, Transaction

CHUNK = 200


def pull_reviews(
    registry: Registry,
    client: LabelStudioClient,
    request: PullRequest | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PullReport:
    """Store every annotation that is new or was changed since the last pull.

    Args:
        registry: where labels and reviews go.
        client: to the connected server.
        request: what is brought in, and how reviews are read; None for the defaults.
        dry_run: only say what would be stored.
        progress: where to show how far it is.

    Raises:
        NotFound: the registry is not connected; InvalidArgument: there is no such policy.
        LabelStudioError: the server cannot be used, or listed less than it has; nothing is concluded from that.
    """
    request = request or PullRequest()
    policy, change_test, options = request.policy, request.change_test, request.to_document()
    with registry.read() as tx:
        connection = tx.connections.current()
        last = tx.journal.last(connection.id, SyncKind.PULL, status=SyncStatus.FINISHED)
        counts = tx.connections.annotation_counts(connection.id)
        mark = None if request.full else _usable_mark(tx, last, options)
    identity = own_project(registry, client, connection.project_id, dry_run=dry_run)
    changed = list_changed(client, connection.project_id, mark, counts, identity)
    changed = with_siblings(client, changed, _siblings(registry, connection, changed), identity)
    users = client.user_names() if changed.tasks or policy != LATEST else {}
    known = read_known(registry, connection, changed.tasks, users, policy)
    plan = plan_pull(changed.tasks, known, change_test=change_test, empty_is_none=request.empty_is_none)
    withdrawn = find_withdrawn(registry, connection, changed.tasks, known.images, change_test=change_test)
    unstated = find_withdrawn_classes(registry, connection, changed.tasks, known.images, change_test=change_test)
    report = _report(registry, connection, changed, known, plan, withdrawn, last)
    if changed.unchanged or (mark is not None and not changed.tasks):
        return report
    if dry_run:
        with registry.begin(rehearsal=True) as tx:
            withdraw(tx, connection, withdrawn)
            stored = store_withdrawn_classes(tx, unstated, request)
            stored.add(store_reviews(tx, Pulled(connection, known, request, None), plan.reviews))
            return stored.told(report)
    with journaled(registry, connection, SyncKind.PULL, options) as journal:
        steps = journal.plan([_step(planned) for planned in plan.reviews])
        stored = Stored()
        if withdrawn or unstated:
            with registry.begin() as tx:
                withdraw(tx, connection, withdrawn)
                stored.add(store_withdrawn_classes(tx, unstated, request))
        pulled = Pulled(connection, known, request, begin_operation(registry, connection, request, plan))
        # No bar for nothing.
        shown = progress if progress is not None and plan.reviews else SilentProgress()
        with shown.task("storing reviews", len(plan.reviews)) as task:
            for start in range(0, len(plan.reviews), CHUNK):
                chunk = plan.reviews[start : start + CHUNK]
                with registry.begin() as tx:
                    stored.add(store_reviews(tx, pulled, chunk))
                journal.done(steps[start : start + CHUNK])
                task.advance(len(chunk))
        store_attention_responses(registry, connection, plan)
        report = stored.told(replace(report, operation=pulled.operation))
        journal.finish(counts_of(report), _mark(registry, connection, changed, known, plan, report))
    # The data of a task that cannot be read are not known, and would be lost.
    own = [task for task in changed.tasks if image_of(task, known.images) is not None and problem_of(task) is None]
    data = {int(task["id"]): with_registry(task, identity)["data"] for task in own}
    note_on_tasks(client, data, {task_id: f"Please check: {why}" for task_id, why in plan.unsettled.items()})
    return report


def _usable_mark(tx: Transaction, last: SyncRecord | None, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return where this pull can begin; None where everything has to be looked at again."""
    if last is None or last.options != options or last.mark.get("undo", 0) != tx.operations.last_undo():
        # After an undoing, reviews may be missing that were stored before.
        return None
    if last.mark.get("waiting") and last.mark.get("position") != tx.snapshots.position():
        # Something was skipped that the registry may know better by now.
        return None
    return last.mark


def _mark(
    registry: Registry,
    connection: ConnectionRecord,
    changed: ChangedTasks,
    known: Known,
    plan: PullPlan,
    report: PullReport,
) -> dict[str, Any]:
    """Note which tasks there are and how many annotations they have; returns where the next pull can begin."""
    new = {int(task["id"]): len(task["annotations"]) for task in changed.tasks}
    with registry.begin() as tx:
        tx.connections.set_links(connection.id, _unknown_links(changed, known))
        old = tx.connections.annotation_counts(connection.id)
        tx.connections.set_annotation_counts(
            connection.id, {task_id: count for task_id, count in new.items() if old.get(task_id, count) != count}
        )
        position, undo = tx.snapshots.position(), tx.operations.last_undo()
    return {
        "changed_at": changed.totals.changed_at,
        "since": changed.since,
        "tasks": changed.totals.tasks,
        "annotations": changed.totals.annotations,
        "waiting": plan.waiting,
        "unsettled": sorted(plan.unsettled),
        "position": position,
        "undo": undo,
        "gone": report.gone,
    }


def _siblings(registry: Registry, connection: ConnectionRecord, changed: ChangedTasks) -> list[int]:
    """List the other tasks of images that have several: what was said of an image is looked at together."""
    if changed.complete or not changed.tasks:
        return []
    listed = {int(task["id"]) for task in changed.tasks}
    with registry.read() as tx:
        tasks = tx.connections.tasks(connection.id)
    images = {tasks[task_id].image_id for task_id in listed if task_id in tasks}
    return [task_id for task_id, link in tasks.items() if link.image_id in images and task_id not in listed]


def _unknown_links(changed: ChangedTasks, known: Known) -> list[TaskLink]:
    """List tasks of ours that the registry does not know: made for another copy of it, or before it was restored."""
    found = [(task, image_of(task, known.images)) for task in changed.tasks]
    return [
        TaskLink(image.id, int(task["id"]), None, round=round_of(task))
        for task, image in found
        if image is not None and int(task["id"]) not in known.links
    ]


def read_known(
    registry: Registry,
    connection: ConnectionRecord,
    tasks: Sequence[Mapping[str, Any]],
    users: Mapping[int, str],
    policy: str,
) -> Known:
    """Read what a plan for these tasks needs.

    Raises:
        InvalidArgument: there is no such policy.
    """
    with registry.read() as tx:
        if policy != LATEST:
            check_policy(policy, {*users.values(), *(review.reviewer for review in tx.reviews.all())})
        links = tx.connections.tasks(connection.id)
        images = {image.key: image for image in tx.images.select(ids=image_ids_of(tasks))}
        listed = {image.id for image in images.values()}
        sent = [link.proposal_id for link in links.values() if link.image_id in listed and link.proposal_id is not None]
        proposals = tx.proposals.by_id(sent) | _earlier_proposals(tx, tasks, images)
        versions = tx.reviews.versions(connection.id) | tx.attention_checks.versions(connection.id)
        checks = tx.attention_checks.of_connection(connection.id)
        class_by_reviews = tx.class_labels.stated_by_reviews(listed)
    return Known(images, links, proposals, versions, checks, users, class_by_reviews)


def _report(
    registry: Registry,
    connection: ConnectionRecord,
    changed: ChangedTasks,
    known: Known,
    plan: PullPlan,
    withdrawn: Withdrawn,
    last: SyncRecord | None,
) -> PullReport:
    listed = {image.id for image in known.images.values()}
    unchanged, gone = plan.unchanged, int(last.mark.get("gone") or 0) if last is not None else 0
    if changed.complete:
        keys = {key_of(task) for task in changed.tasks}
        with registry.read() as tx:
            linked = tx.images.select(ids={link.image_id for link in known.links.values()})
        broken = {int(task["id"]) for task in changed.tasks if problem_of(task) is not None}
        unreadable = {link.image_id for number, link in known.links.items() if number in broken}
        gone = sum(image.key not in keys and image.id not in unreadable for image in linked)
    else:
        with registry.read() as tx:
            said = tx.reviews.images(connection.id)
        unchanged += sum(image_id not in listed for image_id in said.values())
    return PullReport(
        created=sum(not planned.is_update for planned in plan.reviews),
        updated=sum(planned.is_update for planned in plan.reviews),
        unchanged=unchanged,
        withdrawn=len({annotation_id for _, _, annotation_id in withdrawn}),
        conflict=sum(planned.is_conflict for planned in plan.reviews),
        gone=gone,
        catch=len(plan.checks),
        skipped=plan.skipped,
        questioned=[planned.review.image_id for planned in plan.reviews if _questions_class(planned.review, known)],
        outcomes=dict(Counter(str(planned.review.outcome) for planned in plan.reviews)),
        plan=[
            *(_planned_action(planned) for planned in plan.reviews),
            *(PlannedPull("gone", image_id, None, annotation_id) for _, image_id, annotation_id in withdrawn),
        ],
    )


def _questions_class(review: NewReview, known: Known) -> bool:
    """Say whether a review says that a class is wrong which no review decides."""
    if verdict_in(review.payload["result"]) == WRONG_CLASS:
        return True
    images = {image.id: image for image in known.images.values()} if review.class_name is not None else {}
    present = images[review.image_id].class_name if review.class_name is not None else None
    return present not in (None, review.class_name) and review.image_id not in known.class_by_reviews


def _planned_action(planned: PlannedReview) -> PlannedPull:
    action = StepAction.CONFLICT if planned.is_conflict else _step(planned).action
    review = planned.review
    return PlannedPull(
        str(action), review.image_id, planned.task_id, review.external_id, str(review.outcome), review.reviewer
    )


def _step(planned: PlannedReview) -> SyncStep:
    review = planned.review
    return SyncStep(
        action=StepAction.UPDATE if planned.is_update else StepAction.CREATE,
        image_id=review.image_id,
        task_id=planned.task_id,
        annotation_id=review.external_id,
        proposal_id=review.proposal_id,
        detail=str(review.outcome),
    )


def _earlier_proposals(
    tx: Transaction, tasks: Sequence[Mapping[str, Any]], images: Mapping[str, ImageRecord]
) -> dict[int, ProposalRecord]:
    """Find the proposals that annotations started from, where a newer one has been sent since."""
    wanted: dict[str, set[int]] = {}
    for task in tasks:
        image = image_of(task, images)
        for annotation in task.get("annotations") or []:
            version = parent_version(task, annotation)
            if image is not None and version is not None:
                wanted.setdefault(version, set()).add(image.id)
    found: dict[int, ProposalRecord] = {}
    names = {run.name: run.id for run in tx.runs.all()} if wanted else {}
    for version, image_ids in wanted.items():
        if version in names:
            for proposal in tx.proposals.of_run(names[version], image_ids):
                found[proposal.id] = proposal
    return found
