"""What is counted over the whole registry, and what is still waiting for a person."""

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.queries.images import count_images
from db.records import LocationStatus, RegistryStatus, Split
from db.tables import Image, Operation, Proposal, Retraction, Review, Run


class StatusQueries:
    """Counts over the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def count(self) -> RegistryStatus:
        """Count images by supervision, location, class and split, proposals by outcome, and runs."""
        images, locations, classes, splits = count_images(self._session)
        return RegistryStatus(
            images=images,
            locations=locations,
            classes=classes,
            splits=splits,
            proposals=self._count_proposals(),
            runs={"total": self._session.scalar(select(func.count()).select_from(Run)) or 0},
        )

    def _count_proposals(self) -> dict[str, int]:
        counts = {"pending": 0, "accepted": 0, "edited": 0, "rejected": 0}
        waiting = select(func.count()).select_from(Proposal).join(Image, Image.id == Proposal.image_id)
        counts["pending"] = self._session.scalar(waiting.where(is_pending())) or 0
        newest = aliased(Review)
        later = exists().where(newest.proposal_id == Review.proposal_id, newest.id > Review.id, stands(newest))
        latest = and_(stands(Review), ~later)
        statement = (
            select(Review.outcome, func.count()).where(Review.proposal_id.is_not(None), latest).group_by(Review.outcome)
        )
        for outcome, count in self._session.execute(statement):
            # A reviewer who replaced a proposal by something else has rejected it.
            counts[outcome if outcome in counts else "rejected"] += count
        return counts


def is_pending() -> ColumnElement[bool]:
    """Say of a proposal joined with its image that it waits for a person.

    It is not reviewed, its image is outside test and still without a known location, there is no newer run's
    proposal, and its run was not taken back. Nor is its image in validation: those are reviewed without a proposal.
    """
    newer = aliased(Proposal)
    taken_back = _retracted_runs()
    return and_(
        Image.removed.is_(False),
        Image.location_status == LocationStatus.UNKNOWN,
        or_(Image.split.is_(None), Image.split.not_in([Split.TEST, Split.VAL])),
        Proposal.run_id.not_in(taken_back),
        ~exists().where(Review.proposal_id == Proposal.id, stands(Review)),
        ~exists().where(
            newer.image_id == Proposal.image_id, newer.run_id > Proposal.run_id, newer.run_id.not_in(taken_back)
        ),
    )


def stands(review: type[Review]) -> ColumnElement[bool]:
    """Say of a review that the pull which stored it has not been undone."""
    undone = select(Operation.id).where(Operation.undone.is_(True))
    return or_(review.operation_id.is_(None), review.operation_id.not_in(undone))


def _retracted_runs() -> "ColumnElement[int]":
    undoing = aliased(Retraction)
    return (
        select(Retraction.run_id)
        .where(
            Retraction.run_id.is_not(None),
            Retraction.reviewer.is_(None),
            Retraction.since.is_(None),
            Retraction.undoes_id.is_(None),
            ~exists().where(undoing.undoes_id == Retraction.id),
        )
        .scalar_subquery()
    )
