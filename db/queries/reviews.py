"""Reviews of images by people, one row per annotation and version of it."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, and_, cast, exists, func, select
from sqlalchemy.orm import Session, aliased

from db.queries.bulk import chunks, insert_rows, reserve_ids
from db.queries.labels import labels_by_id
from db.queries.status import stands
from db.records import LocationLabel, NewReview, ReviewOutcome, ReviewRecord
from db.records.reviews import WRONG_CLASS
from db.tables import ClassLabel, Image, ImageVersion, Proposal, ProposalBox, Review, now
from db.tables import LocationLabel as LabelRow


class ReviewQueries:
    """Reviews of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def versions(self, connection_id: int, annotation_ids: Sequence[int] | None = None) -> dict[int, str]:
        """Return the version last stored of every annotation of a Label Studio project, or of these."""
        statement = (
            select(Review.external_id, Review.external_version)
            .where(Review.connection_id == connection_id, stands(Review))
            .order_by(Review.id)
        )
        if annotation_ids is None:
            return {row[0]: _version(row[1]) for row in self._session.execute(statement)}
        found: dict[int, str] = {}
        for chunk in chunks(annotation_ids):
            rows = self._session.execute(statement.where(Review.external_id.in_(chunk)))
            found.update((row[0], _version(row[1])) for row in rows)
        return found

    def all(self) -> list[ReviewRecord]:
        """Return the newest version of every annotation that was ever stored, oldest first."""
        newer = aliased(Review)
        newest = ~exists().where(
            newer.connection_id == Review.connection_id,
            newer.external_id == Review.external_id,
            newer.id > Review.id,
            stands(newer),
        )
        columns = (
            Review.id,
            Review.image_id,
            Review.outcome,
            Review.reviewer,
            Review.seconds,
            Review.iou,
            Proposal.score,
            Proposal.run_id,
            Review.created_at,
            and_(Proposal.id.is_not(None), ~exists().where(ProposalBox.proposal_id == Proposal.id)),
        )
        statement = select(*columns).outerjoin(Proposal, Proposal.id == Review.proposal_id)
        statement = statement.where(newest, stands(Review))
        return [
            ReviewRecord(row[0], row[1], ReviewOutcome(row[2]), *row[3:9], of_nothing=bool(row[9]))
            for row in self._session.execute(statement.order_by(Review.id))
        ]

    def statements(self, review_ids: Sequence[int]) -> dict[int, LocationLabel]:
        """Return the location labels made by reviews, by review; none for rejections."""
        found: dict[int, LocationLabel] = {}
        for chunk in chunks(review_ids):
            of_reviews = select(LabelRow.id).where(LabelRow.review_id.in_(chunk), LabelRow.retraction_id.is_(None))
            of_reviews = of_reviews.where(LabelRow.restores_id.is_(None)).order_by(LabelRow.id)
            ids = list(self._session.scalars(of_reviews))
            for label in sorted(labels_by_id(self._session, ids).values(), key=lambda label: label.id):
                # The first label of a review is its own statement; later ones are derived from it (consensus).
                if label.review_id is not None:
                    found.setdefault(label.review_id, label)
        return found

    def questioned_classes(self) -> list[int]:
        """Return the images whose latest review says that their class is wrong, unless the class was changed since.

        It says so by the verdict "wrong class", or by stating another class than the one that the image has.
        """
        latest = select(func.max(Review.id)).where(stands(Review)).group_by(Review.image_id)
        asked: dict[int, datetime] = {}
        says = cast(Review.payload, Text).contains(json.dumps(WRONG_CLASS), autoescape=True)
        columns = (Review.image_id, Review.created_at, Review.payload)
        for image_id, at, payload in self._session.execute(select(*columns).where(Review.id.in_(latest), says)):
            if _says_wrong_class(payload):
                asked[image_id] = at
        other = (
            select(Review.image_id, Review.created_at)
            .join(ClassLabel, ClassLabel.review_id == Review.id)
            .join(Image, Image.id == Review.image_id)
            .where(Review.id.in_(latest), Image.class_id != ClassLabel.class_id)
        )
        asked |= {row[0]: row[1] for row in self._session.execute(other)}
        return self._unchanged_since(asked)

    def _unchanged_since(self, asked: Mapping[int, datetime]) -> list[int]:
        """Return those of these images whose class has not been changed since a time."""
        found: list[int] = []
        for chunk in chunks(sorted(asked)):
            versions = select(ImageVersion.image_id, ImageVersion.class_id, ImageVersion.created_at)
            before: dict[int, int | None] = {}
            after: dict[int, int | None] = {}
            ordered = versions.where(ImageVersion.image_id.in_(chunk)).order_by(ImageVersion.id)
            for image_id, class_id, at in self._session.execute(ordered):
                after[image_id] = class_id
                if at <= asked[image_id]:
                    before[image_id] = class_id
            found += [image_id for image_id in chunk if before.get(image_id, after[image_id]) == after[image_id]]
        return found

    def images(self, connection_id: int) -> dict[int, int]:
        """Return the image of every annotation of a Label Studio project that was ever stored."""
        of_project = and_(Review.connection_id == connection_id, stands(Review))
        statement = select(Review.external_id, Review.image_id).where(of_project)
        return {row[0]: row[1] for row in self._session.execute(statement)}

    def add(self, connection_id: int, review: NewReview) -> int:
        """Store a review and return its id; see `add_many`."""
        return self.add_many(connection_id, [review])[0]

    def add_many(
        self, connection_id: int, reviews: Sequence[NewReview], *, operation_id: int | None = None
    ) -> list[int]:
        """Store reviews and return their ids.

        Args:
            connection_id: the project that they were made in.
            reviews: what people said.
            operation_id: the pull that stores them.

        Raises:
            Conflict: (at commit) a version of an annotation is stored already.
        """
        ids = reserve_ids(self._session, Review, len(reviews)) if reviews else []
        undone = self._undone_versions(connection_id, [review.external_id for review in reviews])
        at = now()
        rows = [
            {
                "id": review_id,
                "connection_id": connection_id,
                "external_id": review.external_id,
                "external_version": _distinct(review.external_version, undone.get(review.external_id, ())),
                "image_id": review.image_id,
                "proposal_id": review.proposal_id,
                "outcome": review.outcome,
                "reviewer": review.reviewer,
                "iou": review.iou,
                "seconds": review.seconds,
                "payload": json.dumps(review.payload),
                "operation_id": operation_id,
                "created_at": at,
            }
            for review_id, review in zip(ids, reviews, strict=True)
        ]
        insert_rows(self._session, Review, rows)
        return ids

    def _undone_versions(self, connection_id: int, annotation_ids: Sequence[int]) -> dict[int, set[str]]:
        """Return the versions of annotations that were stored by pulls which have been undone."""
        found: dict[int, set[str]] = defaultdict(set)
        for chunk in chunks(annotation_ids):
            undone = and_(Review.connection_id == connection_id, Review.external_id.in_(chunk), ~stands(Review))
            for row in self._session.execute(select(Review.external_id, Review.external_version).where(undone)):
                found[row[0]].add(row[1])
        return found


AGAIN = "~"
"""Between a version and how often it was stored before, by pulls that were undone."""


def _says_wrong_class(payload: Mapping[str, Any] | str) -> bool:
    # Reviews are stored in bulk as text, which one database reads back as such.
    document = json.loads(payload) if isinstance(payload, str) else payload
    result = document.get("result")
    # Results that were stored by earlier versions may be of any form.
    regions = [region for region in (result if isinstance(result, list) else []) if isinstance(region, dict)]
    values = [region["value"] for region in regions if isinstance(region.get("value"), dict)]
    return any(WRONG_CLASS in choices for value in values if isinstance(choices := value.get("choices"), list))


def _version(stored: str) -> str:
    return stored.partition(AGAIN)[0]


def _distinct(version: str, undone: Collection[str]) -> str:
    """Tell a version from the same one that is kept from an undone pull."""
    before = sum(_version(stored) == version for stored in undone)
    return f"{version}{AGAIN}{before}" if before else version
