"""Queries and rounds: which images people were asked about, and when. Never changed; the newest query is pushed."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.queries.bulk import insert_rows
from db.records import LocationStatus
from db.records.asked import NewQuery, NewRound, Part, QueryRecord, Question, RoundRecord
from db.tables import Image, Query, QueryItem, Round


class AskedQueries:
    """Queries and rounds of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, new: NewQuery) -> QueryRecord:
        """Store a query with its questions."""
        row = Query(
            run_id=new.run_id,
            strategy=new.strategy,
            seed=new.seed,
            budget=new.budget,
            options=dict(new.options),
        )
        self._session.add(row)
        self._session.flush()
        items = [
            {
                "query_id": row.id,
                "image_id": question.image,
                "ordinal": ordinal,
                "part": question.part.value,
                "score": question.score,
                "reason": question.reason,
            }
            for ordinal, question in enumerate(new.questions)
        ]
        insert_rows(self._session, QueryItem, items)
        return self._record(row)

    def latest(self) -> QueryRecord | None:
        """Return the newest query; None where none was made."""
        row = self._session.scalars(select(Query).order_by(Query.id.desc()).limit(1)).first()
        return self._record(row) if row is not None else None

    def history(self) -> list[QueryRecord]:
        """Return all queries, oldest first."""
        return [self._record(row) for row in self._session.scalars(select(Query).order_by(Query.id))]

    def count(self) -> int:
        """Return how many there are."""
        return self._session.scalar(select(func.count()).select_from(Query)) or 0

    def waiting(self) -> set[int]:
        """Return the images that were asked about and whose location is still not known."""
        asked = select(QueryItem.image_id).join(Image, Image.id == QueryItem.image_id)
        waits = (Image.location_status == LocationStatus.UNKNOWN, Image.removed.is_(False))
        return set(self._session.scalars(asked.where(*waits).distinct()))

    def add_round(self, new: NewRound) -> RoundRecord:
        """Store a round."""
        row = Round(
            run_id=new.run_id,
            query_id=new.query_id,
            located=new.located,
            reviews=new.reviews,
            minutes=new.minutes,
        )
        self._session.add(row)
        self._session.flush()
        return _round(row)

    def rounds(self) -> list[RoundRecord]:
        """Return all rounds, oldest first."""
        return [_round(row) for row in self._session.scalars(select(Round).order_by(Round.id))]

    def _record(self, row: Query) -> QueryRecord:
        items = select(QueryItem).where(QueryItem.query_id == row.id).order_by(QueryItem.ordinal)
        return QueryRecord(
            id=row.id,
            run_id=row.run_id,
            strategy=row.strategy,
            seed=row.seed,
            budget=row.budget,
            options=row.options,
            created_at=row.created_at,
            questions=tuple(
                Question(item.image_id, Part(item.part), item.score, item.reason)
                for item in self._session.scalars(items)
            ),
        )


def _round(row: Round) -> RoundRecord:
    return RoundRecord(
        id=row.id,
        run_id=row.run_id,
        query_id=row.query_id,
        located=row.located,
        reviews=row.reviews,
        minutes=row.minutes,
        created_at=row.created_at,
    )
