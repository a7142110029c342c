"""Writes what a pull has planned: reviews, the labels and classes that follow, answers to attention checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from annotator.label_studio.pull.consensus import class_policy, settle_images
from annotator.label_studio.pull.interpret import SOURCES
from annotator.label_studio.pull.plan import Known, PlannedReview, PullPlan, PullReport, PullRequest
from annotator.label_studio.pull.withdraw import withdraw_classes
from db.history.classes import SettledClasses, settle_classes
from db.plain_text import counted
from db.records import (
    ConnectionRecord,
    Location,
    LocationSource,
    LocationStatus,
    NewLabel,
    OperationKind,
    ProposalRecord,
    ReviewOutcome,
)
from db.records.class_labels import ClassLabelRecord, ClassSource, NewClassLabel
from db.registry import Registry, Transaction


@dataclass(frozen=True, slots=True)
class Pulled:
    """What all reviews of a pull have in common."""

    connection: ConnectionRecord
    known: Known
    request: PullRequest
    operation: int | None
    """Its number; None in a rehearsal."""


@dataclass(slots=True)
class Stored:
    """What followed from the reviews that were stored."""

    contested: list[int] = field(default_factory=list)
    """Images for which no review holds."""
    classes: set[int] = field(default_factory=set)
    """Images whose class changed."""
    class_contested: list[int] = field(default_factory=list)
    """Images whose reviewers disagree about the class."""

    def add(self, other: "Stored") -> None:
        """Count what followed from more reviews."""
        self.contested += other.contested
        self.classes |= other.classes
        self.class_contested += other.class_contested

    def told(self, report: PullReport) -> PullReport:
        """Write it into a report."""
        return replace(
            report,
            contested=self.contested,
            classes=len(self.classes),
            class_contested=sorted(set(self.class_contested)),
        )


def store_reviews(tx: Transaction, pulled: Pulled, chunk: Sequence[PlannedReview]) -> Stored:
    """Store a chunk of reviews and what follows from them."""
    connection, request, operation = pulled.connection, pulled.request, pulled.operation
    # Another pull may have been here since the plan was made.
    stored = tx.reviews.versions(connection.id, [planned.review.external_id for planned in chunk])
    fresh = [item for item in chunk if stored.get(item.review.external_id) != item.review.external_version]
    review_ids = tx.reviews.add_many(connection.id, [planned.review for planned in fresh], operation_id=operation)
    labels: list[NewLabel] = []
    spoke_last: dict[int, int] = {}
    for review_id, planned in zip(review_ids, fresh, strict=True):
        label = _label(tx, pulled, planned, review_id, spoke_last)
        if label is not None:
            labels.append(replace(label, operation_id=operation))
            spoke_last[label.image_id] = planned.review.external_id
    tx.labels.append_many(labels)
    classes = [_class_label(pulled, planned, review_id) for review_id, planned in zip(review_ids, fresh, strict=True)]
    tx.class_labels.add_many([label for label in classes if label is not None])
    images = {planned.review.image_id for planned in chunk}
    contested = settle_images(tx, images, request.policy, change_test=request.change_test, operation_id=operation)
    settled = _settle_classes(tx, images, pulled)
    return Stored(contested, set(settled.changed), settled.contested)


def _settle_classes(tx: Transaction, images: set[int], pulled: Pulled) -> SettledClasses:
    return settle_classes(
        tx,
        images,
        origin=_origin(pulled.connection),
        decide=class_policy(pulled.request.policy),
        operation_id=pulled.operation,
        change_test=pulled.request.change_test,
    )


def store_withdrawn_classes(tx: Transaction, withdrawn: Sequence[ClassLabelRecord], request: PullRequest) -> Stored:
    """Take back the classes that deleted annotations stated."""
    if not withdrawn:
        return Stored()
    withdraw_classes(tx, withdrawn)
    settled = settle_classes(
        tx,
        {label.image_id for label in withdrawn},
        origin="its annotation was deleted in Label Studio",
        decide=class_policy(request.policy),
        change_test=request.change_test,
    )
    return Stored([], set(settled.changed), settled.contested)


def begin_operation(
    registry: Registry, connection: ConnectionRecord, request: PullRequest, plan: PullPlan
) -> int | None:
    """Note that a pull begins, which can be undone as a whole; None where it stores no review."""
    if not plan.reviews:
        return None
    detail = f"pull of {counted(len(plan.reviews), 'review')} from {connection.url} project {connection.project_id}"
    with registry.begin() as tx:
        return tx.operations.begin(OperationKind.PULL, detail, author=request.author)


def _origin(connection: ConnectionRecord) -> str:
    return f"Label Studio {connection.url} project {connection.project_id}"


def _proposal_of(planned: PlannedReview, proposals: Mapping[int, ProposalRecord]) -> ProposalRecord | None:
    number = planned.review.proposal_id
    return proposals.get(number) if number is not None else None


def _class_label(pulled: Pulled, planned: PlannedReview, review_id: int) -> NewClassLabel | None:
    """Work out the class that a review states, None where it states none."""
    review = planned.review
    if review.class_name is None or review.class_source is None:
        return None
    proposal = _proposal_of(planned, pulled.known.proposals)
    accepted = review.class_source is ClassSource.ACCEPTED and proposal is not None
    return NewClassLabel(
        image_id=review.image_id,
        class_name=review.class_name,
        source=review.class_source,
        reviewer=review.reviewer,
        review_id=review_id,
        run_id=proposal.run_id if accepted and proposal is not None else None,
        operation_id=pulled.operation,
    )


def _label(
    tx: Transaction, pulled: Pulled, planned: PlannedReview, review_id: int, spoke_last: Mapping[int, int]
) -> NewLabel | None:
    """Work out the label that follows from a review.

    Args:
        tx: a writing transaction.
        pulled: the pull.
        planned: the review.
        review_id: its number.
        spoke_last: by image, the annotation whose label, not stored yet, is the last one.
    """
    review, connection = planned.review, pulled.connection
    if review.location is not None:
        proposal = _proposal_of(planned, pulled.known.proposals)
        from_proposal = review.outcome in (ReviewOutcome.ACCEPTED, ReviewOutcome.EDITED)
        return NewLabel(
            review.image_id,
            review.location,
            SOURCES[review.outcome],
            reviewer=review.reviewer,
            review_id=review_id,
            run_id=proposal.run_id if proposal is not None and from_proposal else None,
            on_test=pulled.request.change_test,
            origin=_origin(connection),
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
        on_test=pulled.request.change_test,
        origin=_origin(connection),
    )


def store_attention_responses(registry: Registry, connection: ConnectionRecord, plan: PullPlan) -> None:
    """Store the answers to attention checks, which never become labels."""
    if plan.checks:
        with registry.begin() as tx:
            stored = tx.attention_checks.versions(connection.id)
            fresh = [said for said in plan.checks if stored.get(said.external_id) != said.external_version]
            tx.attention_checks.add_reviews(fresh)
