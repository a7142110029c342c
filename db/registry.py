"""The registry: opens a database, and hands out transactions.

    registry = open_registry("sqlite:///registry.sqlite3", root=project_folder)
    with registry.begin() as tx:            # one transaction; commits at the end, rolls back on any error
        tx.images.add(...)
    with registry.read() as tx:             # takes no write lock
        tx.images.select()

No transaction may stay open during network or GPU work: fetch or compute first, write after.
"""

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from db import schema
from db.atomic_write import OWNER_ONLY
from db.database_url import absolute_url, file_url, sqlite_file
from db.engine import make_engine, reading_engine
from db.errors import Conflict, RegistryError, RegistryMissing, SchemaOutOfDate
from db.imaging.paths import ProjectPaths
from db.queries.class_labels import ClassLabelQueries
from db.queries.duplicates import DuplicateQueries
from db.queries.history import HistoryQueries, OperationQueries
from db.queries.images import ImageQueries
from db.queries.labels import LabelQueries
from db.queries.listing.pages import ListingQueries
from db.queries.loop.asked import AskedQueries
from db.queries.loop.certificates import CertificateQueries
from db.queries.proposals import ProposalQueries
from db.queries.retractions import RetractionQueries
from db.queries.reviews import ReviewQueries
from db.queries.runs import RunQueries
from db.queries.snapshots import SnapshotQueries
from db.queries.status import StatusQueries
from db.queries.sync.attention_checks import AttentionCheckQueries
from db.queries.sync.connections import ConnectionQueries
from db.queries.sync.journal import JournalQueries

__all__ = ["Registry", "Transaction", "absolute_url", "create_registry", "open_for_upgrade", "open_registry"]


class Transaction:
    """One transaction, as query objects that return frozen records."""

    def __init__(self, session: Session, paths: ProjectPaths) -> None:
        self.images = ImageQueries(session, paths)
        self.listing = ListingQueries(session)
        self.labels = LabelQueries(session)
        self.class_labels = ClassLabelQueries(session)
        self.runs = RunQueries(session, paths)
        self.proposals = ProposalQueries(session)
        self.asked = AskedQueries(session)
        self.certificates = CertificateQueries(session)
        self.reviews = ReviewQueries(session)
        self.connections = ConnectionQueries(session)
        self.duplicates = DuplicateQueries(session)
        self.history = HistoryQueries(session)
        self.operations = OperationQueries(session)
        self.retractions = RetractionQueries(session)
        self.snapshots = SnapshotQueries(session, paths)
        self.status = StatusQueries(session)
        self.journal = JournalQueries(session)
        self.attention_checks = AttentionCheckQueries(session)


class Registry:
    """What is known about each image. Made by `open_registry` or `create_registry`."""

    def __init__(self, engine: Engine, root: Path, *, read_only: bool = False) -> None:
        self._engine = engine
        self._place = sqlite_file(f"sqlite:///{engine.url.database}?uri=true")
        self.read_only = read_only
        """It can be read, but nothing can be stored: the file, its folder or the disk is read-only."""
        self._reading = reading_engine(engine)
        # Whoever forgets to close it, as in a notebook, keeps no connection; Python 3.13 began to warn of those.
        weakref.finalize(self, engine.dispose)
        self.root = root.resolve()
        self._paths = ProjectPaths(self.root)

    @property
    def one_connection(self) -> bool:
        """Say whether it lives in this process's memory, on one connection that two threads cannot use at once."""
        return isinstance(self._engine.pool, StaticPool)

    @contextmanager
    def begin(self, *, rehearsal: bool = False) -> Iterator[Transaction]:
        """One writing transaction: commits when the block ends, rolls back when it raises.

        Args:
            rehearsal: roll back in any case. A dry run does what the real run does, so that it cannot say anything
                else.

        Raises:
            Conflict: a constraint of the schema was violated; nothing was written.
            RegistryError: the database cannot be written (locked, read-only, disk full).
        """
        self.refuse_writing()
        with self._session(self._engine, rehearsal=rehearsal) as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One reading transaction: a consistent view that blocks nobody."""
        with self._session(self._reading) as tx:
            yield tx

    @contextmanager
    def _session(self, engine: Engine, *, rehearsal: bool = False) -> Iterator[Transaction]:
        with self._translated(), Session(engine) as session, session.begin() as transaction:
            yield Transaction(session, self._paths)
            if rehearsal:
                transaction.rollback()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as exc:
            raise Conflict(f"the registry refused the change: {exc.orig}") from exc
        except DBAPIError as exc:
            raise RegistryError(f"the registry cannot be used: {exc.orig}{_remedy(exc)}") from exc

    @contextmanager
    def connect(self, *, write: bool = False) -> Iterator[Connection]:
        """One transaction without queries, for what works on whole tables; private to db."""
        if write:
            self.refuse_writing()
        with self._translated(), (self._engine if write else self._reading).begin() as connection:
            yield connection

    def refuse_writing(self) -> None:
        """Raise RegistryError where nothing can be stored, before anything is done in vain."""
        if self.read_only:
            raise RegistryError(
                f"the registry {self._place} is read-only here (the file, its folder or the disk), so "
                "nothing can be stored; commands that only read still work. To change it, copy the project to "
                "where you can write"
            )

    def check(self) -> None:
        """Refuse a schema that is not the program's; see `db.schema.check`."""
        try:
            with self._reading.connect() as connection:
                schema.check(connection)
        except DBAPIError as exc:
            raise RegistryError(f"the registry cannot be opened: {exc.orig}{_remedy(exc)}") from exc

    def revisions(self) -> tuple[str | None, str]:
        """Return the schema's revision (None where there is none) and the program's."""
        try:
            with self._reading.connect() as connection:
                return schema.current(connection), schema.head()
        except DBAPIError as exc:
            raise RegistryError(f"the registry cannot be opened: {exc.orig}{_remedy(exc)}") from exc

    def upgrade(self) -> None:
        """Create the schema or bring it up to date."""
        self.refuse_writing()
        try:
            schema.upgrade(self._engine)
        except DBAPIError as exc:
            raise RegistryError(f"the registry cannot be created or upgraded: {exc.orig}{_remedy(exc)}") from exc

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


REMEDIES = {
    "disk is full": "; free some disk space and repeat the command; completed work is kept",
    "read-only transaction": "; the database is read-only here, so nothing can be stored",
    "readonly database": "; its file or folder is not writable: check the permissions",
    "unable to open": "; its folder is missing or not writable: check the path and its permissions",
    "file is not a database": "; it is not a registry, or it is damaged; restore a backup: partly db restore BACKUP",
    "malformed": "; the file is damaged; restore a backup into a new project: partly db restore BACKUP",
    "locked": "; another process holds the write lock: wait for it to finish, then repeat the command",
    "lock timeout": "; another process holds the write lock: wait for it to finish, then repeat the command",
}


def _remedy(exc: DBAPIError) -> str:
    said = str(exc.orig)
    return next((remedy for sign, remedy in REMEDIES.items() if sign in said), "")


def open_registry(url: str, root: Path) -> Registry:
    """Open an existing registry.

    Args:
        url: any SQLAlchemy URL; a relative SQLite path counts from `root`.
        root: the project folder, to which paths of images below it are relative.

    Raises:
        RegistryMissing: there is none; SchemaOutOfDate: another schema; RegistryError: it cannot be opened.
    """
    return _open(url, root, Registry.check)


def open_for_upgrade(url: str, root: Path) -> Registry:
    """Open a registry whose schema may be older than the program's, to upgrade it.

    Raises:
        RegistryMissing: there is none; SchemaOutOfDate: it is newer than the program.
    """
    return _open(url, root, _check_upgradable)


def _check_upgradable(registry: Registry) -> None:
    try:
        registry.check()
    except SchemaOutOfDate:
        if not schema.is_known(registry.revisions()[0]):
            raise


def _open(url: str, root: Path, check: Callable[[Registry], None]) -> Registry:
    url = absolute_url(url, root)
    _refuse_missing_file(url)
    file = sqlite_file(url)
    if file is not None and not _is_writable(file):
        return _open_read_only(file, root, check)
    with _closed_on_failure(Registry(make_engine(url), root)) as registry:
        check(registry)
    return registry


@contextmanager
def _closed_on_failure(registry: Registry) -> Iterator[Registry]:
    """Let go of a database that is not used after all; Windows moves and deletes no file that is open."""
    try:
        yield registry
    except BaseException:
        registry.close()
        raise


def _is_writable(file: Path) -> bool:
    # SQLite writes beside the file too.
    own = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    place = file.resolve()
    return os.access(place, os.W_OK, **own) and os.access(place.parent, os.W_OK, **own)


def _open_read_only(file: Path, root: Path, check: Callable[[Registry], None]) -> Registry:
    registry = Registry(make_engine(file_url(file, mode="ro")), root, read_only=True)
    try:
        check(registry)
    except (RegistryMissing, SchemaOutOfDate):
        registry.close()
        raise
    except RegistryError:
        # Without the files that a writer has beside it, SQLite reads it only as one that nobody changes meanwhile.
        registry.close()
        place = file.resolve()
        wal = place.with_name(f"{place.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise RegistryError(
                f"{file} is read-only here, and its newest changes are in {wal.name}, which cannot be read without "
                "writing beside it; copy both files to a folder of your own and read them there"
            ) from None
        engine = make_engine(file_url(file, mode="ro", immutable="1"))
        with _closed_on_failure(Registry(engine, root, read_only=True)) as registry:
            check(registry)
    return registry


def _refuse_missing_file(url: str) -> None:
    file = sqlite_file(url)
    if file is not None and not file.is_file():
        raise RegistryMissing(f"there is no registry at {file}; create one with: partly init")


def create_registry(url: str, root: Path) -> Registry:
    """Create a registry, or bring an existing one up to date, and open it.

    Raises:
        RegistryError: the database cannot be reached or written.
    """
    url = absolute_url(url, root)
    _make_file(url)
    with _closed_on_failure(Registry(make_engine(url), root)) as registry:
        registry.upgrade()
        registry.check()
    return registry


def _make_file(url: str) -> None:
    """Make the file for the owner alone, before SQLite makes it for everybody; what lies beside it follows."""
    file = sqlite_file(url)
    if file is not None:
        # What keeps it from being made, or is there already, SQLite says.
        with suppress(OSError):
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
