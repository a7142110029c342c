"""Reviews: what people said about images, one row per annotation and version of it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.records import NewReview
from db.tables import Review


class ReviewQueries:
    """Reviews of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def versions(self, connection_id: int) -> dict[int, str]:
        """Return the version last stored of every annotation of a Label Studio project."""
        statement = (
            select(Review.external_id, Review.external_version)
            .where(Review.connection_id == connection_id)
            .order_by(Review.id)
        )
        return {row[0]: row[1] for row in self._session.execute(statement)}

    def add(self, connection_id: int, review: NewReview) -> int:
        """Store a review and return its id.

        Raises:
            Conflict: (at commit) this version of the annotation is stored already.
        """
        row = Review(
            connection_id=connection_id,
            external_id=review.external_id,
            external_version=review.external_version,
            image_id=review.image_id,
            proposal_id=review.proposal_id,
            outcome=review.outcome,
            reviewer=review.reviewer,
            iou=review.iou,
            seconds=review.seconds,
            payload=review.payload,
        )
        self._session.add(row)
        self._session.flush()
        return row.id
