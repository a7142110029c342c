"""Create, upgrade and check the schema, through Alembic's API. There is no second way to build it."""

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from db.errors import RegistryError, RegistryMissing, SchemaOutOfDate

MIGRATIONS = Path(__file__).parent / "migrations"


def make_config(connection: Connection | None = None) -> Config:
    """Build Alembic's configuration; a connection given here is the one the migrations run on."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@functools.cache
def head() -> str:
    """Return the newest revision this program knows."""
    revision = ScriptDirectory.from_config(make_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the migrations folder is empty: the installation is damaged")
    return revision


def is_known(revision: str | None) -> bool:
    """Say whether this program can upgrade from a revision."""
    known = {script.revision for script in ScriptDirectory.from_config(make_config()).walk_revisions()}
    return revision in known


def current(connection: Connection) -> str | None:
    """Return the database's revision, None where there is no schema yet."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to `revision`, in one transaction."""
    with _migrating(engine) as connection:
        command.upgrade(make_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to `revision`; "base" removes it."""
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
            f"the registry's schema is {found}, this program needs {wanted}; upgrade it with: partly db upgrade"
        )
    raise SchemaOutOfDate(
        f"the registry's schema {found} is newer than this program, which knows up to {wanted}; "
        "install a newer partly: pip install --upgrade partly"
    )
