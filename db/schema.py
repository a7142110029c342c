"""Create, upgrade and check the schema, through Alembic's API. There is no second way to build it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from db.errors import RegistryMissing, SchemaOutOfDate

MIGRATIONS = Path(__file__).parent / "migrations"


def make_config(connection: Connection | None = None) -> Config:
    """Build Alembic's configuration; a connection given here is the one the migrations run on."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """Return the newest revision this program knows."""
    revision = ScriptDirectory.from_config(make_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the migrations folder is empty: the installation is damaged")
    return revision


def current(connection: Connection) -> str | None:
    """Return the database's revision, None where there is no schema yet."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to `revision`, in one transaction."""
    with engine.begin() as connection:
        command.upgrade(make_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to `revision`; "base" removes it."""
    with engine.begin() as connection:
        command.downgrade(make_config(connection), revision)


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
        raise RegistryMissing("this database holds no registry yet; make one with: partly init")
    known = {script.revision for script in ScriptDirectory.from_config(make_config()).walk_revisions()}
    if found in known:
        raise SchemaOutOfDate(
            f"the registry's schema is {found}, this program needs {wanted}; bring it up to date with: partly init"
        )
    raise SchemaOutOfDate(
        f"the registry's schema {found} is newer than this program, which knows up to {wanted}; "
        "install a newer partly: pip install --upgrade partly"
    )
