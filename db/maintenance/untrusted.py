"""Reads a SQLite file that anybody may have made, such as a backup that was sent, without letting it do anything.

A database file can hold more than rows: views that pass for tables, triggers that run when it is upgraded, columns that
are computed, tables that a module answers for. So nothing of its own schema is ever used. It is opened for reading
alone, its schema is compared with the one that this program makes at the revision it claims, and its rows are copied
into a new file with our schema, whose constraints hold, and are looked at there. Only that file is read on.
"""

import json
import posixpath
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

from db import schema
from db.database_url import file_url
from db.engine import make_engine
from db.errors import RegistryError
from db.registry import Registry

CHUNK = 2000
MAGIC = b"SQLite format 3\0"
REVISION = "alembic_version"
REMEDY = "; nothing was restored: use a backup that `partly db backup` wrote"

CLAIMS = (
    ("INT", "integer", "a whole number"),
    ("BIGINT", "integer", "a whole number"),
    ("BOOL", "integer", "true or false"),
    ("FLOAT", "real", "a number"),
    ("DOUBLE", "real", "a number"),
    ("BLOB", "blob", "bytes"),
    ("JSON", "text", "JSON"),
    ("DATE", "text", "a time"),
    ("VARCHAR", "text", "text"),
    ("TEXT", "text", "text"),
)
"""(beginning of a column's type, how SQLite stores its values, how people call them)."""
TIME = "[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
NAMES = {"images": "uri", "image_versions": "uri", "runs": "checkpoint"}
"""Columns that name files, by table."""


def copy_untrusted(file: Path, target: Path) -> str:
    """Copy the rows of a registry's file that cannot be trusted into a new one with this program's own schema.

    Args:
        file: SQLite file in no other process's hands: a copy.
        target: file to make; the schema in it is of the file's revision, without the triggers.

    Returns:
        The revision.

    Raises:
        RegistryError: it is no registry, it is damaged, its schema is not ours, or a row says what no registry says.
    """
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise RegistryError("it is not a SQLite database" + REMEDY)
    try:
        with _read_only(file) as source:
            revision = _revision(source)
            with closing(_empty_registry(target, revision)) as own:
                difference = schema_difference(source, own)
                if difference is not None:
                    raise RegistryError(f"{difference}, which no registry of schema {revision} has{REMEDY}")
                _check_pages(source)
                _copy_rows(source, own)
                _check_rows(own)
    except sqlite3.IntegrityError as exc:
        raise RegistryError(f"a row breaks a rule of the registry ({exc})" + REMEDY) from exc
    except (sqlite3.Error, UnicodeDecodeError, ValueError, OverflowError) as exc:
        raise RegistryError(f"it is damaged, or not a registry ({exc})" + REMEDY) from exc
    return revision


@contextmanager
def _read_only(file: Path) -> Iterator[sqlite3.Connection]:
    address = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        # Functions with effects are not called from a schema, odd pages are refused, and CHECKs are not ours to run.
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "ignore_check_constraints=ON", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        yield connection


def _revision(source: sqlite3.Connection) -> str:
    """Return the revision that a file claims, once it is clear that its tables are tables."""
    for kind, name, sql in source.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind == "view":
            raise RegistryError(f"it has a view {name!r}, which no registry has{REMEDY}")
        if kind == "table" and re.match(r"\s*CREATE\s+VIRTUAL\b", str(sql), re.IGNORECASE):
            raise RegistryError(f"it has a virtual table {name!r}, which no registry has{REMEDY}")
    tables = {name for (name,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if REVISION not in tables:
        raise RegistryError("it contains no registry" + REMEDY)
    found = source.execute(f"SELECT version_num FROM {REVISION} NOT INDEXED LIMIT 2").fetchall()
    revision = str(found[0][0]) if len(found) == 1 else None
    if not schema.is_known(revision):
        raise RegistryError(
            f"its schema {revision!r} is not known to this program, which knows up to {schema.head()}; if it comes "
            "from a newer partly: pip install --upgrade partly"
        )
    return str(revision)


def _empty_registry(target: Path, revision: str) -> sqlite3.Connection:
    engine = make_engine(file_url(target))
    try:
        schema.upgrade(engine, revision)
    finally:
        engine.dispose()
    return sqlite3.connect(target, isolation_level=None)


def schema_difference(found: sqlite3.Connection, own: sqlite3.Connection) -> str | None:
    """Say the first thing in which a database's schema is not ours; None where it is the same."""
    theirs, ours = _objects(found), _objects(own)
    for key in sorted(theirs.keys() | ours.keys()):
        kind, name = key
        if key not in ours:
            return f"it has a {kind} {name!r}"
        if key not in theirs:
            return f"it lacks the {kind} {name!r}"
        if theirs[key] != ours[key]:
            return f"it has a different {kind} {name!r}"
    return None


def check_schema(registry: Registry) -> list[str]:
    """Say in what the schema of a SQLite registry is not the program's, in a sentence; nothing where it is the same.

    A registry that was opened is only known to be of the right revision: what it says itself.
    """
    with registry.connect() as connection:
        if connection.dialect.name != "sqlite":
            return []
        found = cast("sqlite3.Connection", connection.connection.driver_connection)
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(_empty_registry(Path(folder) / "own.sqlite3", schema.head())) as own,
        ):
            difference = schema_difference(found, own)
    return [f"the schema differs from this program's: {difference}"] if difference is not None else []


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], Any]:
    """Describe tables, indexes and triggers by what they do; how their SQL is spelled differs between versions."""
    listed = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    described: dict[tuple[str, str], Any] = {}
    for kind, name, table, sql in listed:
        if name.startswith("sqlite_stat") and kind == "table":
            # Left by ANALYZE; nothing reads it.
            continue
        quoted = name.replace('"', '""')
        if kind == "table":
            columns = connection.execute(f'PRAGMA table_xinfo("{quoted}")').fetchall()
            keys = connection.execute(f'PRAGMA foreign_key_list("{quoted}")').fetchall()
            described[kind, name] = (sorted(row[1:] for row in columns), sorted((row[2:] for row in keys), key=repr))
            for row in connection.execute(f'PRAGMA index_list("{quoted}")').fetchall():
                parts = connection.execute("SELECT * FROM pragma_index_xinfo(?)", (row[1],)).fetchall()
                # SQLite numbers the indexes of constraints in the order in which a table happened to name them.
                columns_of = ", ".join(str(part[2]) for part in parts if part[5])
                own_name = row[1] if row[3] == "c" else f"of {name} by {columns_of}"
                described["index", own_name] = (name, row[2:], [part[2:] for part in parts])
        elif kind != "index":
            described[kind, name] = (table, " ".join(str(sql).split()))
    return described


def _check_pages(source: sqlite3.Connection) -> None:
    said = [str(row[0]) for row in source.execute("PRAGMA integrity_check(3)")]
    if said != ["ok"]:
        raise RegistryError(f"it is damaged ({'; '.join(said)[:300]})" + REMEDY)


def _tables(own: sqlite3.Connection) -> list[str]:
    found = own.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if not name.startswith("sqlite_") and name != REVISION]


def _copy_rows(source: sqlite3.Connection, own: sqlite3.Connection) -> None:
    triggers = own.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    own.execute("BEGIN IMMEDIATE")
    for name, _ in triggers:
        own.execute(f'DROP TRIGGER "{name}"')
    for table in _tables(own):
        columns = [row[1] for row in own.execute(f'PRAGMA table_info("{table}")')]
        listed, places = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        # By the table's own order, whatever an index of the file says.
        rows = source.execute(f'SELECT {listed} FROM "{table}" NOT INDEXED')
        while part := rows.fetchmany(CHUNK):
            own.executemany(f'INSERT INTO "{table}" ({listed}) VALUES ({places})', part)
    for _, sql in triggers:
        own.execute(sql)
    own.execute("COMMIT")


def _check_rows(own: sqlite3.Connection) -> None:
    """Refuse values that no program of ours has written; what CHECK and UNIQUE say has held since they were copied."""
    # Not SQLite's own: Python writes NaN into JSON, and reads it.
    own.create_function("is_json", 1, _is_json, deterministic=True)
    broken = own.execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise RegistryError(f"row {broken[1]} of {broken[0]} refers to a missing row" + REMEDY)
    for table in _tables(own):
        for _, name, kind, *_ in own.execute(f'PRAGMA table_info("{table}")').fetchall():
            _check_column(own, table, name, kind)
    there = set(_tables(own))
    for table, column in NAMES.items():
        if table not in there:
            continue
        for row, name in own.execute(f'SELECT id, "{column}" FROM {table} WHERE "{column}" IS NOT NULL'):
            if not is_file_name(name):
                raise RegistryError(f"row {row} of {table} names a file as no registry would: {name!r}{REMEDY}")
    for row, url in own.execute("SELECT id, url FROM connections"):
        if not re.match(r"https?://[^/\s]", url):
            raise RegistryError(f"row {row} of connections has no web address: {url!r}" + REMEDY)


def _check_column(own: sqlite3.Connection, table: str, column: str, kind: str) -> None:
    beginning, stored, called = next(claim for claim in CLAIMS if kind.upper().startswith(claim[0]))
    fitting = {"real": "'real', 'integer'"}.get(stored, f"'{stored}'")
    wrong = [f"typeof(\"{column}\") NOT IN ({fitting}, 'null')"]
    if beginning == "JSON":
        wrong.append(f'NOT is_json("{column}")')
    elif beginning == "DATE":
        wrong.append(f"\"{column}\" NOT GLOB '{TIME}*'")
    elif beginning == "BOOL":
        wrong.append(f'"{column}" NOT IN (0, 1)')
    elif stored == "text":
        wrong.append(f'instr("{column}", char(0)) > 0')
    said = " OR ".join(wrong)
    row = own.execute(f'SELECT quote("{column}") FROM "{table}" WHERE "{column}" IS NOT NULL AND ({said})').fetchone()
    if row is not None:
        raise RegistryError(f"{table}.{column} holds {str(row[0])[:80]}, which is not {called}" + REMEDY)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError, TypeError):
        return False
    return True


def is_file_name(name: str) -> bool:
    """Say whether a registry may name a file so: below the project without `..`, absolute, or a URI of elsewhere."""
    scheme, separator, rest = name.partition("://")
    if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme):
        return scheme not in ("file", "local") and not re.match(r"[^/@]*:[^/@]*@", rest)
    parts: Sequence[str] = name.split("/")
    return bool(name) and ".." not in parts and "\0" not in name and posixpath.normpath(name) == name
