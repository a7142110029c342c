"""Copies a whole registry into one file and back, between any two databases.

A backup is a SQLite registry of its own: it can be opened with `--db sqlite:///FILE`, and restored into SQLite or
PostgreSQL alike. It is complete or not there at all.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select, text

from db.atomic_write import OWNER_ONLY, creating
from db.database_url import absolute_url, file_url, sqlite_file
from db.errors import Conflict, RegistryError, RegistryMissing
from db.maintenance.untrusted import copy_untrusted
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
    if os.path.lexists(out):
        raise Conflict(f"{out} already exists; a backup never overwrites a file")
    if dry_run:
        return _count(registry)
    try:
        # Absolute, since a relative URL counts from the project folder, a path typed by a person from the current one.
        with creating(out.absolute(), mode=OWNER_ONLY) as draft:
            try:
                copy = create_registry(file_url(draft), registry.root)
                try:
                    counts = _copy(registry, copy, progress or SilentProgress())
                finally:
                    # The last connection that closes brings everything into the one file.
                    copy.close()
                _verify(draft, counts)
            except BaseException:
                _remove_sqlite(draft)
                raise
    except FileExistsError as exc:
        raise Conflict(
            f"{out} was created by another process in the meantime and is left as it is; if it is not the backup "
            "that you want, choose another name"
        ) from exc
    except OSError as exc:
        raise RegistryError(f"{out}: the backup cannot be written ({exc.strerror or exc})") from exc
    return counts


def _verify(draft: Path, counts: Mapping[str, int]) -> None:
    """Make sure that a finished backup can be read back as it stands on the disk, before it gets its name."""
    left = [suffix for suffix in ("-wal", "-journal") if draft.with_name(draft.name + suffix).exists()]
    try:
        with closing(sqlite3.connect(f"{draft.as_uri()}?mode=ro&immutable=1", uri=True)) as written:
            said = [str(row[0]) for row in written.execute("PRAGMA integrity_check(3)")]
            found = {name: written.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in counts}
    except sqlite3.Error as exc:
        raise RegistryError(f"the backup cannot be read back ({exc}); nothing was kept, repeat the command") from exc
    if left or said != ["ok"] or found != counts:
        raise RegistryError(
            "what was written differs from what was read, and was not kept: check the disk, then repeat the command"
        )


def restore_registry(file: Path, registry: Registry, *, progress: Progress | None = None) -> dict[str, int]:
    """Fill an empty registry with a backup, in one transaction. A backup of an older program is upgraded on the way.

    Returns:
        Number of rows by table.

    Raises:
        Conflict: the registry is not empty; RegistryError: the file is no backup, or cannot be read.
    """
    with _opened(file, registry.root) as backup:
        return _fill(registry, backup, progress)


def restore_project(file: Path, url: str, root: Path, *, progress: Progress | None = None) -> dict[str, int]:
    """Do as `restore_registry`, into a registry that is made where it is missing, but only for a backup that is good.

    Raises:
        Conflict: the registry is not empty; RegistryError: the file is no backup, or cannot be read.
    """
    with _opened(file, root) as backup, closing(create_registry(url, root)) as registry:
        return _fill(registry, backup, progress)


def _fill(registry: Registry, backup: Registry, progress: Progress | None) -> dict[str, int]:
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
    """Open what a backup says, brought up to this program's schema; the file itself is never opened as a registry."""
    if not file.is_file():
        raise RegistryError(f"{file}: no such file")
    with tempfile.TemporaryDirectory() as folder:
        copy, own = Path(folder) / "copy.sqlite3", Path(folder) / "backup.sqlite3"
        shutil.copyfile(file, copy)
        try:
            copy_untrusted(copy, own)
        except RegistryError as exc:
            raise RegistryError(f"{file} is not a backup that can be restored: {exc}") from exc
        copy.unlink()
        with closing(open_for_upgrade(file_url(own), root)) as backup:
            backup.upgrade()
            yield backup


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
        RegistryMissing: there is none; SchemaOutOfDate: it is newer than the program; RegistryError: it would have to
            be upgraded, but is read-only here.
    """
    registry = open_for_upgrade(url, root)
    try:
        found, wanted = registry.revisions()
        if found == wanted:
            return UpgradeReport(found, wanted, None)
        registry.refuse_writing()
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
    while True:
        # Opened read-only: a file that is not there must not come into being as an empty one.
        address = f"{file.absolute().as_uri()}?mode=ro"
        try:
            with (
                creating(target, mode=OWNER_ONLY) as draft,
                closing(sqlite3.connect(address, uri=True)) as source,
                closing(sqlite3.connect(draft)) as copy,
            ):
                source.backup(copy)
            return target
        except FileExistsError:
            # Another process has made one under this name in the meantime; both are kept.
            target = _copy_name(url, root) or target


def _copy_name(url: str, root: Path) -> Path | None:
    """Return the file that the next safety copy goes to; None for databases that are not files."""
    file = sqlite_file(absolute_url(url, root))
    if file is None:
        return None
    target, number = file.with_name(f"{file.name}.before-upgrade"), 1
    while os.path.lexists(target):
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
