"""An engine for a database URL, with what each database needs to be safe for several processes.

There is one writer at a time on every database: SQLite takes its write lock at BEGIN, PostgreSQL an advisory lock. So
writers queue instead of failing, none can deadlock with another, what a writer has read is still true when it writes,
and the rows of image_versions are numbered in the order in which they become visible, which snapshots rely on.
"""

from sqlite3 import Connection as SqliteConnection
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from db.database_url import sqlite_name
from db.errors import RegistryError

BUSY_TIMEOUT_S = 60.0
WRITER_LOCK = int.from_bytes(b"partly", "big")
"""Key of PostgreSQL's advisory lock; it counts within one database."""


def make_engine(url: str) -> Engine:
    """Build an engine for `url`; nothing is connected yet.

    SQLite runs in WAL mode with foreign keys on and waits for other writers. A transaction is a writing one unless
    the execution option `partly_read_only` is set.

    Raises:
        RegistryError: the URL cannot be understood, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite" and "@" in f"{parsed.host}{parsed.database}":
            # Half a password would be looked up as a host, and shown.
            raise RegistryError("the user name or password in the database URL contains an @: write it as %40")
        if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            # SQLAlchemy decodes the name, depending on its version.
            parsed = parsed.set(database=sqlite_name(url)[0] or None)
            options["connect_args"] = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
            if parsed.database in (None, "", ":memory:"):
                options["poolclass"] = StaticPool
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ImportError) as exc:
        raise RegistryError(
            f"cannot use the database URL: {exc}. Expected something like sqlite:///registry.sqlite3 or "
            "postgresql://user@host/name (pip install 'partly[postgres]')"
        ) from exc
    if parsed.get_backend_name() == "sqlite":
        only_reads = "mode=ro" in sqlite_name(url)[1].split("&")
        event.listen(engine, "connect", _prepare_reading_sqlite if only_reads else _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif parsed.get_backend_name() == "postgresql":
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def reading_engine(engine: Engine) -> Engine:
    """Return the same engine for transactions that only read: each sees one state of the database throughout."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(
            partly_read_only=True, isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    return engine.execution_options(partly_read_only=True)


def _prepare_sqlite(connection: SqliteConnection, _: object) -> None:
    # The driver's own transaction handling would commit before DDL; we emit BEGIN ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "delete":
        # Only once in the life of a file: the switch needs the file for itself.
        cursor.execute("PRAGMA journal_mode=WAL")
    # A file may come from elsewhere: what its schema calls has no effects, and odd pages are refused.
    cursor.execute("PRAGMA trusted_schema=OFF")
    cursor.execute("PRAGMA cell_size_check=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _prepare_reading_sqlite(connection: SqliteConnection, _: object) -> None:
    connection.isolation_level = None
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "query_only=ON", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("partly_read_only", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get("partly_read_only", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT_S:.0f}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
