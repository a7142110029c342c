"""Create, upgrade and check the schema, through Alembic's API. There is no second way to build it.

Alembic takes as long to load as all else that a command such as `partly status` needs, so it is loaded where the schema
is changed. Which revision a database has, and which there are, can be read without it.
"""

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, Engine, inspect, text

from db.errors import RegistryError, RegistryMissing, SchemaOutOfDate

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"


def make_config(connection: Connection | None = None) -> "Config":
    """Build Alembic's configuration; a connection given here is the one the migrations run on."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return the revisions this program knows, the oldest first: each has the name of its file, and a number."""
    found = tuple(sorted(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py")))
    if not found:
        raise RuntimeError("the migrations folder is empty: the installation is damaged")
    return found


def head() -> str:
    """Return the newest revision this program knows."""
    return revisions()[-1]


def is_known(revision: str | None) -> bool:
    """Say whether this program can upgrade from a revision."""
    return revision in revisions()


def current(connection: Connection) -> str | None:
    """Return the database's revision, None where there is no schema yet.

    Raises:
        RegistryError: it says that it has several.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()
    if len(found) > 1:
        raise RegistryError(f"the registry claims that its schema has {len(found)} revisions at once; it is damaged")
    return str(found[0]) if found else None


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to `revision`, in one transaction."""
    from alembic import command

    with _migrating(engine) as connection:
        command.upgrade(make_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to `revision`; "base" removes it."""
    from alembic import command

    with _migrating(engine) as connection:
        command.downgrade(make_config(connection), revision)


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        # SQLite changes a table by rebuilding it, which must not look like deleting rows that others refer to.
        raw = cast("sqlite3.Connection", connection.connection.driver_connection)
        raw.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise RegistryError(
                        f"the migration was rolled back: a row of {broken[0]} would refer to a missing row"
                    )
        finally:
            raw.execute("PRAGMA foreign_keys=ON")


def check(connection: Connection) -> None:
    """Refuse a database whose schema is not exactly the program's.

    Raises:
        RegistryMissing: there is no schema at all.
        SchemaOutOfDate: it is older (the message names the command) or newer than the program.
    """
    found, wanted = current(connection), head()
    if found == wanted:
        return
    if found is None:
        raise RegistryMissing("this database contains no registry yet; create one with: partly init")
    if is_known(found):
        raise SchemaOutOfDate(
            f"the registry's schema is {found}, but this program needs {wanted}; upgrade it with: partly db upgrade"
        )
    raise SchemaOutOfDate(
        f"the registry's schema {found} is newer than this program, which knows up to {wanted}; "
        "install a newer partly: pip install --upgrade partly"
    )
