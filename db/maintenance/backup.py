"""Copies a whole registry into one file and back, between any two databases.

A backup is a SQLite registry of its own: it can be opened with `--db sqlite:///FILE`, and restored into SQLite or
PostgreSQL alike. It is complete or not there at all.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select, text

from db.atomic_write import replacing
from db.database_url import absolute_url, sqlite_file
from db.errors import Conflict, RegistryError, RegistryMissing
from db.progress import Progress, SilentProgress
from db.registry import Registry, create_registry, open_for_upgrade, open_registry
from db.tables import Base

CHUNK = 2000


def backup_registry(
    registry: Registry, out: Path, *, dry_run: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Write a consistent copy of the whole registry into a new file; a dry run only counts what would be written.

    Returns:
        Number of rows by table.

    Raises:
        Conflict: the file exists already; RegistryError: it cannot be written.
    """
    if out.exists():
        raise Conflict(f"{out} exists already; a backup never overwrites a file")
    if dry_run:
        return _count(registry)
    try:
        # Absolute, since a relative URL counts from the project folder, a path typed by a person from the current one.
        with replacing(out.absolute()) as draft:
            try:
                copy = create_registry(f"sqlite:///{draft}", registry.root)
                try:
                    counts = _copy(registry, copy, progress or SilentProgress())
                finally:
                    # The last connection that closes brings everything into the one file.
                    copy.close()
            except BaseException:
                _remove_sqlite(draft)
                raise
    except OSError as exc:
        raise RegistryError(f"{out}: the backup cannot be written ({exc.strerror or exc})") from exc
    return counts


def restore_registry(file: Path, registry: Registry, *, progress: Progress | None = None) -> dict[str, int]:
    """Fill an empty registry with a backup, in one transaction. A backup of an older program is upgraded on the way.

    Returns:
        Number of rows by table.

    Raises:
        Conflict: the registry is not empty; RegistryError: the file is no backup, or cannot be read.
    """
    with _opened(file, registry.root) as backup:
        _check_empty(registry)
        return _copy(backup, registry, progress or SilentProgress())


def plan_restore(file: Path, url: str, root: Path) -> dict[str, int]:
    """Count what a restore would fill a registry with, which need not exist yet.

    Returns:
        Number of rows by table.

    Raises:
        Conflict: the registry is not empty; RegistryError: the file is no backup, or cannot be read.
    """
    with _opened(file, root) as backup:
        with suppress(RegistryMissing), closing(open_registry(url, root)) as registry:
            _check_empty(registry)
        return _count(backup)


@contextmanager
def _opened(file: Path, root: Path) -> Iterator[Registry]:
    """Open a copy of a backup, brought up to this program's schema."""
    if not file.is_file():
        raise RegistryError(f"{file}: no such file")
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "backup.sqlite3"
        shutil.copyfile(file, own)
        try:
            backup = open_for_upgrade(f"sqlite:///{own}", root)
        except RegistryMissing as exc:
            raise RegistryError(f"{file} is not a backup: it contains no registry") from exc
        try:
            backup.upgrade()
            yield backup
        finally:
            backup.close()


def _check_empty(registry: Registry) -> None:
    with registry.read() as tx:
        if tx.snapshots.position() or tx.runs.all():
            raise Conflict("the registry is not empty; restore into a new project: partly init DIR")


def _count(registry: Registry) -> dict[str, int]:
    with registry.connect() as reading:
        return {
            table.name: reading.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """What an upgrade did."""

    found: str | None
    wanted: str
    copy: Path | None
    """The registry as it was, where that is a file."""


def upgrade_registry(url: str, root: Path, *, dry_run: bool = False) -> UpgradeReport:
    """Bring an existing registry up to this program's schema, with its data, in one transaction.

    Raises:
        RegistryMissing: there is none; SchemaOutOfDate: it is newer than the program.
    """
    registry = open_for_upgrade(url, root)
    try:
        found, wanted = registry.revisions()
        if found == wanted:
            return UpgradeReport(found, wanted, None)
        if dry_run:
            return UpgradeReport(found, wanted, _copy_name(url, root))
        copy = copy_before_upgrade(url, root)
        registry.upgrade()
        return UpgradeReport(found, wanted, copy)
    finally:
        registry.close()


def copy_before_upgrade(url: str, root: Path) -> Path | None:
    """Copy a SQLite registry's file before its schema is changed, and return where to; None for other databases.

    Raises:
        RegistryMissing: no such file.
    """
    file, target = sqlite_file(absolute_url(url, root)), _copy_name(url, root)
    if file is None or target is None:
        return None
    if not file.is_file():
        raise RegistryMissing(f"there is no registry at {file}; create one with: partly init")
    # Opened read-only: a file that is not there must not come into being as an empty one.
    address = f"{file.as_uri()}?mode=ro"
    with (
        replacing(target) as draft,
        closing(sqlite3.connect(address, uri=True)) as source,
        closing(sqlite3.connect(draft)) as copy,
    ):
        source.backup(copy)
    return target


def _copy_name(url: str, root: Path) -> Path | None:
    """Return the file that the next safety copy goes to; None for databases that are not files."""
    file = sqlite_file(absolute_url(url, root))
    if file is None:
        return None
    target, number = file.with_name(f"{file.name}.before-upgrade"), 1
    while target.exists():
        number += 1
        target = file.with_name(f"{file.name}.before-upgrade-{number}")
    return target


def _remove_sqlite(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        # What cannot be removed was never made, or is in the way of what comes next, which says so better.
        with suppress(OSError):
            file.with_name(file.name + suffix).unlink(missing_ok=True)


def _copy(source: Registry, target: Registry, progress: Progress) -> dict[str, int]:
    counts: dict[str, int] = {}
    tables = Base.metadata.sorted_tables
    with source.connect() as reading, target.connect(write=True) as writing, _without_triggers(writing, tables):
        total = sum(reading.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
        with progress.task("copying rows", total) as task:
            for table in tables:
                counts[table.name] = 0
                keys = list(table.primary_key.columns)
                rows = reading.execution_options(yield_per=CHUNK).execute(select(table).order_by(*keys))
                for part in rows.mappings().partitions(CHUNK):
                    writing.execute(insert(table), [dict(row) for row in part])
                    counts[table.name] += len(part)
                    task.advance(len(part))
    return counts


@contextmanager
def _without_triggers(connection: Connection, tables: list[Table]) -> Iterator[None]:
    """Let rows be copied as they are: what triggers would add is among them."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        triggers = [(row[0], row[1]) for row in found]
        for name, _ in triggers:
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        yield
        for _, statement in triggers:
            connection.exec_driver_sql(statement)
        return
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
    yield
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ENABLE TRIGGER USER")
        if "id" in table.c:
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), "
                f"(SELECT coalesce(max(id), 0) + 1 FROM {table.name}), false)"
            )
