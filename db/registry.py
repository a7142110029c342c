"""The registry: opens a database, and hands out transactions.

    registry = open_registry("sqlite:///registry.sqlite3", root=project_folder)
    with registry.begin() as tx:            # one transaction; commits at the end, rolls back on any error
        tx.images.add(...)
    with registry.read() as tx:             # takes no write lock
        tx.images.select()

No transaction may stay open during network or GPU work: fetch or compute first, write after.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from db import schema
from db.engine import make_engine
from db.errors import Conflict, RegistryError, RegistryMissing
from db.paths import ProjectPaths
from db.queries.connections import ConnectionQueries
from db.queries.images import ImageQueries
from db.queries.labels import LabelQueries
from db.queries.proposals import ProposalQueries
from db.queries.reviews import ReviewQueries
from db.queries.runs import RunQueries


class Transaction:
    """One transaction, as query objects that return frozen records."""

    def __init__(self, session: Session, paths: ProjectPaths) -> None:
        self.images = ImageQueries(session, paths)
        self.labels = LabelQueries(session)
        self.runs = RunQueries(session, paths)
        self.proposals = ProposalQueries(session)
        self.reviews = ReviewQueries(session)
        self.connections = ConnectionQueries(session)


class Registry:
    """What is known about each image. Made by `open_registry` or `create_registry`."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self._engine = engine
        self._reading = engine.execution_options(partly_read_only=True)
        self.root = root.resolve()
        self._paths = ProjectPaths(self.root)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """One writing transaction: commits when the block ends, rolls back when it raises.

        Raises:
            Conflict: a constraint of the schema was violated; nothing was written.
            RegistryError: the database cannot be written (locked, read-only, disk full).
        """
        with self._session(self._engine) as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One reading transaction: a consistent view that blocks nobody."""
        with self._session(self._reading) as tx:
            yield tx

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Transaction]:
        try:
            with Session(engine) as session, session.begin():
                yield Transaction(session, self._paths)
        except IntegrityError as exc:
            raise Conflict(f"the registry refused the change: {exc.orig}") from exc
        except OperationalError as exc:
            raise RegistryError(f"the registry cannot be used: {exc.orig}") from exc

    def check(self) -> None:
        """Refuse a schema that is not the program's; see `db.schema.check`."""
        try:
            with self._reading.connect() as connection:
                schema.check(connection)
        except OperationalError as exc:
            raise RegistryError(f"the registry cannot be opened: {exc.orig}") from exc

    def upgrade(self) -> None:
        """Create the schema or bring it up to date."""
        try:
            schema.upgrade(self._engine)
        except OperationalError as exc:
            raise RegistryError(f"the registry cannot be made or upgraded: {exc.orig}") from exc

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def open_registry(url: str, root: Path) -> Registry:
    """Open an existing registry.

    Args:
        url: any SQLAlchemy URL.
        root: the project folder, to which paths of images below it are relative.

    Raises:
        RegistryMissing: there is none; SchemaOutOfDate: another schema; RegistryError: it cannot be opened.
    """
    parsed = make_url(url) if url.startswith("sqlite") else None
    if parsed is not None and parsed.database not in (None, "", ":memory:"):
        file = Path(str(parsed.database))
        if not file.is_file():
            raise RegistryMissing(f"there is no registry at {file}; make one with: partly init")
    registry = Registry(make_engine(url), root)
    registry.check()
    return registry


def create_registry(url: str, root: Path) -> Registry:
    """Create a registry, or bring an existing one up to date, and open it.

    Raises:
        RegistryError: the database cannot be reached or written.
    """
    registry = Registry(make_engine(url), root)
    registry.upgrade()
    registry.check()
    return registry
