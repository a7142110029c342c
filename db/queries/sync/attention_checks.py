"""Attention checks: proposals known to be wrong, and people's responses to them. None of it becomes a label."""

import json
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.queries.bulk import insert_rows, reserve_ids
from db.records import Box
from db.records.sync import AttentionCheck, AttentionResponse
from db.tables import AttentionCheck as CheckRow
from db.tables import AttentionResponse as ReviewRow
from db.tables import now


class AttentionCheckQueries:
    """Attention checks of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, connection_id: int, checks: Sequence[AttentionCheck]) -> None:
        """Store the attention checks of a project, before they are sent."""
        ids = reserve_ids(self._session, CheckRow, len(checks)) if checks else []
        rows = [
            {
                "id": check_id,
                "connection_id": connection_id,
                "image_id": check.image_id,
                "run_id": check.run_id,
                "score": check.score,
                "boxes": json.dumps(_numbers(check.boxes)),
                "truth": json.dumps(_numbers(check.truth)),
                "created_at": now(),
            }
            for check_id, check in zip(ids, checks, strict=True)
        ]
        insert_rows(self._session, CheckRow, rows)

    def of_connection(self, connection_id: int) -> dict[int, AttentionCheck]:
        """Return the attention checks of a project, by image."""
        rows = self._session.scalars(select(CheckRow).where(CheckRow.connection_id == connection_id))
        return {row.image_id: _check(row) for row in rows}

    def add_reviews(self, reviews: Sequence[AttentionResponse]) -> None:
        """Store people's responses to attention checks.

        Raises:
            Conflict: (at commit) this version of the annotation is stored already.
        """
        ids = reserve_ids(self._session, ReviewRow, len(reviews)) if reviews else []
        rows = [
            {
                "id": review_id,
                "trial_id": review.check_id,
                "external_id": review.external_id,
                "external_version": review.external_version,
                "reviewer": review.reviewer,
                "outcome": "missed" if review.missed else "caught",
                "truth_iou": review.truth_iou,
                "seconds": review.seconds,
                "payload": json.dumps(review.payload),
                "created_at": now(),
            }
            for review_id, review in zip(ids, reviews, strict=True)
        ]
        insert_rows(self._session, ReviewRow, rows)

    def versions(self, connection_id: int) -> dict[int, str]:
        """Return the version last stored of every annotation of an attention check in a project."""
        statement = (
            select(ReviewRow.external_id, ReviewRow.external_version)
            .join(CheckRow, CheckRow.id == ReviewRow.trial_id)
            .where(CheckRow.connection_id == connection_id)
            .order_by(ReviewRow.id)
        )
        return {row[0]: row[1] for row in self._session.execute(statement)}

    def reviews(self) -> list[AttentionResponse]:
        """Return the newest version of each response, oldest first."""
        newest: dict[tuple[int, int], ReviewRow] = {}
        for row in self._session.scalars(select(ReviewRow).order_by(ReviewRow.id)):
            newest[row.trial_id, row.external_id] = row
        return [
            AttentionResponse(
                check_id=row.trial_id,
                external_id=row.external_id,
                external_version=row.external_version,
                reviewer=row.reviewer,
                missed=row.outcome == "missed",
                truth_iou=row.truth_iou,
                seconds=row.seconds,
                payload=row.payload,
            )
            for row in newest.values()
        ]

    def count(self) -> int:
        """Return the number of attention checks in all projects."""
        return self._session.scalar(select(func.count()).select_from(CheckRow)) or 0


def _numbers(boxes: Sequence[Box]) -> list[list[float]]:
    return [[box.x, box.y, box.width, box.height] for box in boxes]


def _check(row: CheckRow) -> AttentionCheck:
    return AttentionCheck(
        image_id=row.image_id,
        run_id=row.run_id,
        score=row.score,
        boxes=tuple(Box(*numbers) for numbers in row.boxes),
        truth=tuple(Box(*numbers) for numbers in row.truth),
        id=row.id,
    )
