"""The clock that leases are kept by: one for all machines where the database has one."""

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import now


def database_now(session: Session) -> datetime:
    """Return the time in UTC by the server's clock; SQLite has no server, so by that of this machine."""
    if session.get_bind().dialect.name != "postgresql":
        return now()
    found: datetime = session.scalars(select(func.clock_timestamp())).one()
    return found.astimezone(UTC)


def silent_seconds(session: Session, spoken_at: datetime | None) -> float | None:
    """Return how long ago somebody spoke, by the same clock; below 0 where that was written by one that is ahead."""
    return None if spoken_at is None else (database_now(session) - spoken_at).total_seconds()
