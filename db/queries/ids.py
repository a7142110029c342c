"""Numbers for rows that are about to be written, so that rows in bulk need not be read back."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.tables import Base

T = TypeVar("T")

CHUNK = 500
"""Values in one IN (...): what every database takes."""


def reserve_ids(session: Session, table: type[Base], count: int) -> list[int]:
    """Return numbers for `count` new rows in ascending order; there is one writer at a time (see db.engine)."""
    key = table.__table__.c.id
    if session.get_bind().dialect.name == "postgresql":
        sequence = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")
        return list(session.scalars(sequence, {"name": table.__tablename__, "count": count}))
    first = (session.scalar(select(func.max(key))) or 0) + 1
    return list(range(first, first + count))


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Cut a list into pieces."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
