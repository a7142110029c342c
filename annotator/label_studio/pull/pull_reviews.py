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
from annotator.label_studio.payload.tasks import image_ids_of, image_of, key_of, round_of, with_registry
from annotator.label_studio.pull.consensus import LATEST, check_policy, settle_images
from annotator.label_studio.pull.incremental import ChangedTasks, list_changed, with_siblings
from annotator.label_studio.pull.interpret import SOURCES
from annotator.label_studio.pull.plan import (
    Known,
    PlannedReview,
    PullPlan,
    PullReport,
    PullRequest,
    parent_version,
    plan_pull,
)
from annotator.label_studio.pull.withdraw import Withdrawn, find_withdrawn, withdraw
from annotator.label_studio.sync_journal import journaled
from annotator.label_studio.sync_report import PlannedPull, counts_of
from db.progress import Progress, SilentProgress
from db.records import (
    ConnectionRecord,
    ImageRecord,
    Location,
    LocationSource,
    LocationStatus,
    NewLabel,
    OperationKind,
    ProposalRecord,
    ReviewOutcome,
    TaskLink,
)
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
    report = _report(registry, connection, changed, known, plan, withdrawn, last)
    if changed.unchanged or (mark is not None and not changed.tasks):
        return report
    if dry_run:
        with registry.begin(rehearsal=True) as tx:
            withdraw(tx, connection, withdrawn)
            return replace(report, contested=_store(tx, connection, plan.reviews, known, request, None))
    with journaled(registry, connection, SyncKind.PULL, options) as journal:
        steps = journal.plan([_step(planned) for planned in plan.reviews])
        if withdrawn:
            with registry.begin() as tx:
                withdraw(tx, connection, withdrawn)
        contested: list[int] = []
        operation = _begin_operation(registry, connection, request, plan)
        # No bar for nothing.
        shown = progress if progress is not None and plan.reviews else SilentProgress()
        with shown.task("storing reviews", len(plan.reviews)) as task:
            for start in range(0, len(plan.reviews), CHUNK):
                chunk = plan.reviews[start : start + CHUNK]
                with registry.begin() as tx:
                    contested += _store(tx, connection, chunk, known, request, operation)
                journal.done(steps[start : start + CHUNK])
                task.advance(len(chunk))
        _store_attention_responses(registry, connection, plan)
        report = replace(report, contested=contested, operation=operation)
        journal.finish(counts_of(report), _mark(registry, connection, changed, known, plan, report))
    own = [task for task in changed.tasks if image_of(task, known.images) is not None]
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
    return Known(images, links, proposals, versions, checks, users)


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
        gone = sum(image.key not in keys for image in linked)
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
        questioned=[
            planned.review.image_id
            for planned in plan.reviews
            if verdict_in(planned.review.payload["result"]) == WRONG_CLASS
        ],
        outcomes=dict(Counter(str(planned.review.outcome) for planned in plan.reviews)),
        plan=[
            *(_planned_action(planned) for planned in plan.reviews),
            *(PlannedPull("gone", image_id, None, annotation_id) for _, image_id, annotation_id in withdrawn),
        ],
    )


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


def _store(
    tx: Transaction,
    connection: ConnectionRecord,
    chunk: Sequence[PlannedReview],
    known: Known,
    request: PullRequest,
    operation: int | None,
) -> list[int]:
    """Store a chunk of reviews and the labels that follow; returns the images for which no review holds."""
    change_test = request.change_test
    # Another pull may have been here since the plan was made.
    stored = tx.reviews.versions(connection.id, [planned.review.external_id for planned in chunk])
    fresh = [item for item in chunk if stored.get(item.review.external_id) != item.review.external_version]
    review_ids = tx.reviews.add_many(connection.id, [planned.review for planned in fresh], operation_id=operation)
    labels: list[NewLabel] = []
    spoke_last: dict[int, int] = {}
    for review_id, planned in zip(review_ids, fresh, strict=True):
        label = _label(tx, connection, planned, review_id, known.proposals, spoke_last, change_test=change_test)
        if label is not None:
            labels.append(replace(label, operation_id=operation))
            spoke_last[label.image_id] = planned.review.external_id
    tx.labels.append_many(labels)
    images = {planned.review.image_id for planned in chunk}
    return settle_images(tx, images, request.policy, change_test=change_test, operation_id=operation)


def _begin_operation(
    registry: Registry, connection: ConnectionRecord, request: PullRequest, plan: PullPlan
) -> int | None:
    if not plan.reviews:
        return None
    detail = f"pull of {len(plan.reviews)} reviews from {connection.url} project {connection.project_id}"
    with registry.begin() as tx:
        return tx.operations.begin(OperationKind.PULL, detail, author=request.author)


def _label(
    tx: Transaction,
    connection: ConnectionRecord,
    planned: PlannedReview,
    review_id: int,
    proposals: Mapping[int, ProposalRecord],
    spoke_last: Mapping[int, int],
    *,
    change_test: bool,
) -> NewLabel | None:
    """Work out the label that follows from a review.

    Args:
        tx: a writing transaction.
        connection: where it was said.
        planned: the review.
        review_id: its number.
        proposals: by id.
        spoke_last: by image, the annotation whose label, not stored yet, is the last one.
        change_test: changing what is known of a test image is meant.
    """
    review = planned.review
    origin = f"Label Studio {connection.url} project {connection.project_id}"
    if review.location is not None:
        proposal = proposals.get(review.proposal_id) if review.proposal_id is not None else None
        from_proposal = review.outcome in (ReviewOutcome.ACCEPTED, ReviewOutcome.EDITED)
        return NewLabel(
            review.image_id,
            review.location,
            SOURCES[review.outcome],
            reviewer=review.reviewer,
            review_id=review_id,
            run_id=proposal.run_id if proposal is not None and from_proposal else None,
            on_test=change_test,
            origin=origin,
        )
    if not planned.is_update:
        return None
    said_last = (
        spoke_last[review.image_id] == review.external_id
        if review.image_id in spoke_last
        else tx.labels.comes_from_annotation(review.image_id, connection.id, review.external_id)
    )
    if not said_last:
        return None
    # The same annotation said where it is before, and has taken that back.
    return NewLabel(
        review.image_id,
        Location(LocationStatus.UNKNOWN),
        LocationSource.WITHDRAWN,
        reviewer=review.reviewer,
        review_id=review_id,
        on_test=change_test,
        origin=origin,
    )


def _store_attention_responses(registry: Registry, connection: ConnectionRecord, plan: PullPlan) -> None:
    if plan.checks:
        with registry.begin() as tx:
            stored = tx.attention_checks.versions(connection.id)
            fresh = [said for said in plan.checks if stored.get(said.external_id) != said.external_version]
            tx.attention_checks.add_reviews(fresh)
