"""Brings what people said in Label Studio into the registry. A plan first, then one transaction a chunk.

What a person meant is worked out here, by comparing geometry, not taken from the server's own "origin":
accepted (the proposal's boxes as they were), edited, rejected (nothing left of them), drawn, or known to be empty.
A skipped task, a draft and a prediction are no statements, and a proposal that nobody reviewed never becomes a label.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotator.client import LabelStudioClient
from annotator.geometry import box_from_percent
from annotator.labeling import NO_LESION, rectangles_in, verdict_in
from annotator.push import image_ids_of, key_of
from annotator.resolution import LATEST, check_policy, settle_images
from db.progress import Progress, SilentProgress
from db.records import (
    ConnectionRecord,
    ImageRecord,
    Location,
    LocationSource,
    LocationStatus,
    NewReview,
    ProposalRecord,
    ReviewOutcome,
    Split,
    TaskLink,
)
from db.regions import boxes_iou
from db.registry import Registry, Transaction

CHUNK = 200
ACCEPTED_IOU = 0.995
"""Above it the boxes are the proposal's: percent and pixels round differently."""

SOURCES = {
    ReviewOutcome.ACCEPTED: LocationSource.ACCEPTED,
    ReviewOutcome.EDITED: LocationSource.EDITED,
    ReviewOutcome.DRAWN: LocationSource.DRAWN,
    ReviewOutcome.EMPTY: LocationSource.DRAWN,
}


class NoStatement(Exception):
    """An annotation that says nothing that can be stored; the message is the reason."""


@dataclass(slots=True)
class PullReport:
    """What a pull did."""

    created: int = 0
    """Reviews of images that had none from this annotation."""
    updated: int = 0
    """Annotations that were changed over there since the last pull."""
    unchanged: int = 0
    withdrawn: int = 0
    """Annotations that were deleted or turned into a skip after an earlier pull; what they said is taken back."""
    skipped: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    contested: list[int] = field(default_factory=list)
    """Images on which people disagree so that the policy finds no word that holds; their location is not known."""


@dataclass(frozen=True, slots=True)
class PlannedReview:
    """A review to store, and whether it replaces an earlier version."""

    review: NewReview
    is_update: bool


def pull_reviews(
    registry: Registry,
    client: LabelStudioClient,
    *,
    policy: str = LATEST,
    change_test: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PullReport:
    """Store every annotation that is new or was changed since the last pull.

    Args:
        registry: where labels and reviews go.
        client: to the connected server.
        policy: what holds where several people have spoken about an image: see `annotator.resolution`.
        change_test: store what was said about test images too; without it they are skipped and can be pulled later.
        dry_run: only say what would be stored.
        progress: where to show how far it is.

    Raises:
        NotFound: the registry is not connected; InvalidArgument: there is no such policy.
        LabelStudioError: the server cannot be used, or listed less than it has; nothing is concluded from that.
    """
    with registry.read() as tx:
        connection = tx.connections.current()
    tasks = client.list_tasks(connection.project_id, with_annotations=True)
    users = client.user_names()
    with registry.read() as tx:
        if policy != LATEST:
            check_policy(policy, {*users.values(), *(review.reviewer for review in tx.reviews.all())})
        links = tx.connections.links(connection.id)
        versions = tx.reviews.versions(connection.id)
        images = {image.key: image for image in tx.images.select(ids=image_ids_of(tasks))}
        proposals = tx.proposals.by_id(link.proposal_id for link in links.values() if link.proposal_id is not None)
        earlier = _earlier_proposals(tx, tasks, images)
    report = PullReport()
    plan = plan_pull(tasks, images, links, proposals | earlier, versions, report, users, change_test=change_test)
    report.created = sum(not planned.is_update for planned in plan)
    report.updated = sum(planned.is_update for planned in plan)
    report.outcomes = dict(Counter(str(planned.review.outcome) for planned in plan))
    _withdraw(registry, connection, tasks, images, report, change_test=change_test, dry_run=dry_run)
    if dry_run:
        return report
    with (progress or SilentProgress()).task("storing reviews", len(plan)) as task:
        for start in range(0, len(plan), CHUNK):
            chunk = plan[start : start + CHUNK]
            with registry.begin() as tx:
                # Another pull may have been here since the plan was made.
                stored = tx.reviews.versions(connection.id)
                for planned in chunk:
                    review = planned.review
                    if stored.get(review.external_id) != review.external_version:
                        _store(tx, connection, planned, proposals | earlier, change_test=change_test)
                spoken = {planned.review.image_id for planned in chunk}
                report.contested += settle_images(tx, spoken, policy, change_test=change_test)
            task.advance(len(chunk))
    return report


def _withdraw(
    registry: Registry,
    connection: ConnectionRecord,
    tasks: Sequence[Mapping[str, Any]],
    images: Mapping[str, ImageRecord],
    report: PullReport,
    *,
    change_test: bool,
    dry_run: bool,
) -> None:
    """Take back what annotations said that are not there any more, while their task is.

    A task that is gone says nothing about the labels: a project that was emptied over there takes no label with it.
    """
    standing: set[int] = set()
    listed: dict[int, ImageRecord] = {}
    for task in tasks:
        image = images.get(key_of(task) or "")
        if image is not None:
            listed[image.id] = image
            annotations = task.get("annotations") or []
            standing.update(int(item["id"]) for item in annotations if not item.get("was_cancelled"))
    with registry.read() if dry_run else registry.begin() as tx:
        known = tx.reviews.images(connection.id)
        gone = [key for key, image_id in known.items() if image_id in listed and key not in standing]
        found = [
            (label_id, image_id, annotation_id)
            for label_id, image_id, annotation_id in tx.retractions.statements_of_annotations(connection.id, gone)
            if change_test or listed[image_id].split is not Split.TEST
        ]
        report.withdrawn = len({annotation_id for _, _, annotation_id in found})
        if found and not dry_run:
            number = tx.retractions.add(
                [label_id for label_id, _, _ in found],
                author=f"deleted in Label Studio {connection.url} project {connection.project_id}",
            )
            tx.retractions.settle([image_id for _, image_id, _ in found], retraction_id=number)


def _earlier_proposals(
    tx: Transaction, tasks: Sequence[Mapping[str, Any]], images: Mapping[str, ImageRecord]
) -> dict[int, ProposalRecord]:
    """Find the proposals that annotations started from, where a newer one has been sent since."""
    wanted: dict[str, set[int]] = {}
    for task in tasks:
        image = images.get(key_of(task) or "")
        for annotation in task.get("annotations") or []:
            version = _parent_version(task, annotation)
            if image is not None and version is not None:
                wanted.setdefault(version, set()).add(image.id)
    found: dict[int, ProposalRecord] = {}
    names = {run.name: run.id for run in tx.runs.all()}
    for version, image_ids in wanted.items():
        if version in names:
            for proposal in tx.proposals.of_run(names[version]):
                if proposal.image_id in image_ids:
                    found[proposal.id] = proposal
    return found


def _parent_version(task: Mapping[str, Any], annotation: Mapping[str, Any]) -> str | None:
    parent = annotation.get("parent_prediction")
    for prediction in task.get("predictions") or []:
        if parent is not None and prediction.get("id") == parent:
            return str(prediction.get("model_version"))
    return None


def plan_pull(
    tasks: Sequence[Mapping[str, Any]],
    images: Mapping[str, ImageRecord],
    links: Mapping[int, TaskLink],
    proposals: Mapping[int, ProposalRecord],
    versions: Mapping[int, str],
    report: PullReport,
    users: Mapping[int, str] | None = None,
    *,
    change_test: bool = False,
) -> list[PlannedReview]:
    """Decide what every annotation means; pure but for `report`, which counts what is unchanged or skipped.

    Args:
        tasks: with annotations and predictions.
        images: registered images by key.
        links: tasks known here, by image.
        proposals: by id.
        versions: version last stored of each annotation.
        report: filled with what is not planned.
        users: e-mail addresses by number.
        change_test: plan reviews of test images too.

    Returns:
        Reviews in the order in which they were made, so that the last word on an image is the last one stored.
    """
    planned: list[tuple[str, int, PlannedReview]] = []
    for task in tasks:
        key = key_of(task)
        annotations = list(task.get("annotations") or [])
        image = images.get(key or "")
        if image is None:
            if annotations:
                why = "the task was not made by partly" if not key else f"its image {key} is not registered here"
                report.skipped.append({"task": task.get("id"), "reason": why})
            continue
        for annotation in annotations:
            version, annotation_id = str(annotation.get("updated_at")), int(annotation["id"])
            if versions.get(annotation_id) == version:
                report.unchanged += 1
                continue
            proposal = _proposal_of(task, annotation, image, links.get(image.id), proposals)
            try:
                if image.split is Split.TEST and not change_test:
                    raise NoStatement("the image is in the test split; to change what is known of it: --change-test")
                review = interpret_annotation(annotation, image, proposal, users)
            except NoStatement as exc:
                report.skipped.append({"image": image.id, "task": task.get("id"), "reason": str(exc)})
                continue
            planned.append((version, annotation_id, PlannedReview(review, annotation_id in versions)))
    return [review for _, _, review in sorted(planned, key=lambda item: item[:2])]


def _proposal_of(
    task: Mapping[str, Any],
    annotation: Mapping[str, Any],
    image: ImageRecord,
    link: TaskLink | None,
    proposals: Mapping[int, ProposalRecord],
) -> ProposalRecord | None:
    version = _parent_version(task, annotation)
    for proposal in proposals.values():
        if proposal.image_id == image.id and proposal.run_name == version:
            return proposal
    return proposals.get(link.proposal_id) if link is not None and link.proposal_id is not None else None


def interpret_annotation(
    annotation: Mapping[str, Any],
    image: ImageRecord,
    proposal: ProposalRecord | None,
    users: Mapping[int, str] | None = None,
) -> NewReview:
    """Work out what a person meant by an annotation.

    Args:
        annotation: as the server lists it.
        image: what it is about.
        proposal: what the person was shown, None where nothing was.
        users: e-mail addresses by number, as far as they are known.

    Raises:
        NoStatement: it says nothing that can be stored; the message says why.
    """
    if annotation.get("was_cancelled"):
        raise NoStatement("the task was skipped")
    result = list(annotation.get("result") or [])
    boxes = _boxes_in(result, image)
    verdict = verdict_in(result)
    if verdict == NO_LESION and boxes:
        raise NoStatement(f"it says {NO_LESION!r} and draws a box; one of the two has to go")
    location: Location | None = None
    iou: float | None = None
    if boxes:
        location = Location(LocationStatus.PRESENT, boxes)
        iou = boxes_iou(boxes, proposal.boxes) if proposal is not None else None
        if proposal is None or iou == 0:
            outcome = ReviewOutcome.DRAWN
        elif iou is not None and iou >= ACCEPTED_IOU and len(boxes) == len(proposal.boxes):
            outcome = ReviewOutcome.ACCEPTED
            # The proposal's own numbers, not what is left of them after two conversions.
            location = Location(LocationStatus.PRESENT, proposal.boxes)
        else:
            outcome = ReviewOutcome.EDITED
    elif verdict == NO_LESION:
        outcome, location = ReviewOutcome.EMPTY, Location(LocationStatus.EMPTY)
    elif proposal is not None:
        outcome = ReviewOutcome.REJECTED
    else:
        raise NoStatement(f"it is empty; if there is nothing to find, choose {NO_LESION!r}")
    return NewReview(
        image_id=image.id,
        outcome=outcome,
        reviewer=_reviewer(annotation, users or {}),
        external_id=int(annotation["id"]),
        external_version=str(annotation.get("updated_at")),
        proposal_id=proposal.id if proposal is not None else None,
        iou=iou,
        seconds=annotation.get("lead_time"),
        location=location,
        payload={"result": result, "created_at": annotation.get("created_at")},
    )


def _boxes_in(result: Sequence[Mapping[str, Any]], image: ImageRecord) -> tuple[Any, ...]:
    boxes = []
    for region in rectangles_in(result):
        size = (region.get("original_width"), region.get("original_height"))
        if None not in size and size != (image.width, image.height):
            raise NoStatement(
                f"it was drawn on an image of {size[0]}x{size[1]} px, the registered one is "
                f"{image.width}x{image.height}"
            )
        try:
            box = box_from_percent(region.get("value") or {}, image.width, image.height)
        except ValueError as exc:
            raise NoStatement(f"a rectangle cannot be read: {exc}") from exc
        if box is not None:
            boxes.append(box)
    return tuple(boxes)


def _reviewer(annotation: Mapping[str, Any], users: Mapping[int, str]) -> str:
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        return str(by.get("email") or by.get("id"))
    return users.get(by, f"user {by}") if by is not None else "unknown"


def _store(
    tx: Transaction,
    connection: ConnectionRecord,
    planned: PlannedReview,
    proposals: Mapping[int, ProposalRecord],
    *,
    change_test: bool,
) -> None:
    review = planned.review
    review_id = tx.reviews.add(connection.id, review)
    origin = f"Label Studio {connection.url} project {connection.project_id}"
    if review.location is not None:
        proposal = proposals.get(review.proposal_id) if review.proposal_id is not None else None
        from_proposal = review.outcome in (ReviewOutcome.ACCEPTED, ReviewOutcome.EDITED)
        tx.labels.append(
            review.image_id,
            review.location,
            source=SOURCES[review.outcome],
            reviewer=review.reviewer,
            review_id=review_id,
            run_id=proposal.run_id if proposal is not None and from_proposal else None,
            on_test=change_test,
            origin=origin,
        )
    elif planned.is_update and tx.labels.comes_from_annotation(review.image_id, connection.id, review.external_id):
        # The same annotation said where it is before, and has taken that back.
        tx.labels.append(
            review.image_id,
            Location(LocationStatus.UNKNOWN),
            source=LocationSource.WITHDRAWN,
            reviewer=review.reviewer,
            review_id=review_id,
            on_test=change_test,
            origin=origin,
        )
