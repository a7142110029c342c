"""Rows in bulk, with numbers reserved for them: as few statements as the database allows.

SQLAlchemy's own executemany runs one statement a row; between two of them SQLite's driver lets other threads run, so
that a thread that writes would wait thousands of times for threads that decode images. So rows are sent together:
several in one INSERT on SQLite, by COPY on PostgreSQL (which also runs triggers once, not once a row).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import Session

from db.tables import Base

T = TypeVar("T")

CHUNK = 500
"""Values in one IN (...): what every database takes."""


SQLITE_VARIABLES = 30_000
"""SQLite takes 32,766 values in a statement."""


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


def insert_rows(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns.

    Raises:
        IntegrityError: (SQLAlchemy's) a constraint refuses one of them; none is stored.
    """
    if not rows:
        return
    session.flush()
    names = list(rows[0])
    values = [tuple(row.values()) for row in rows]
    if session.get_bind().dialect.name == "postgresql":
        _copy(session.connection(), table.__tablename__, names, values)
        return
    step = SQLITE_VARIABLES // len(names)
    into = f"INSERT INTO {table.__tablename__} ({', '.join(names)}) VALUES "
    place = f"({', '.join('?' * len(names))})"
    connection = session.connection()
    for start in range(0, len(values), step):
        part = values[start : start + step]
        flat = tuple(_sqlite_value(value) for row in part for value in row)
        connection.exec_driver_sql(into + ", ".join([place] * len(part)), flat)


def _sqlite_value(value: Any) -> Any:
    # As SQLAlchemy writes it: UTC without the zone. A member of a StrEnum is a str, which the driver takes as it is.
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


def _copy(connection: Connection, table: str, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
    import psycopg
    from sqlalchemy.exc import DBAPIError, IntegrityError

    statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in values:
                copy.write_row([str(value) if isinstance(value, str) else value for value in row])
    except psycopg.IntegrityError as exc:
        raise IntegrityError(statement, None, exc) from exc
    except psycopg.Error as exc:
        raise DBAPIError(statement, None, exc) from exc
