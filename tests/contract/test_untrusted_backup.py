"""A backup that somebody crafted is refused, and nothing of it is run or kept; a real one of any age is restored."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from db import schema
from db.engine import make_engine
from db.errors import RegistryError
from db.maintenance.backup import backup_registry, restore_project
from db.maintenance.integrity import check_registry
from db.maintenance.untrusted import check_schema
from db.records import LocationSource, NewLabel
from db.registry import create_registry, open_registry
from tests.builders import add_images, add_run_with_proposal, new_image, present

OLD = Path(__file__).parents[1] / "migrations" / "assets" / "old_run" / "registry.sqlite3"


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """A good backup, with a row in most tables."""
    folder = tmp_path_factory.mktemp("good")
    registry = create_registry(f"sqlite:///{folder}/r.sqlite3", folder)
    ids = add_images(registry, new_image("a.png"), new_image("b.png"))
    with registry.begin() as tx:
        tx.labels.append(NewLabel(ids[0], present(), source=LocationSource.IMPORTED))
        tx.snapshots.take()
    add_run_with_proposal(registry, ids[0])
    backup_registry(registry, folder / "backup.sqlite3")
    registry.close()
    return folder / "backup.sqlite3"


@pytest.fixture
def crafted(good, tmp_path):
    file = tmp_path / "backup.sqlite3"
    shutil.copyfile(good, file)
    return file


def craft(file, *statements):
    """Change a backup as its author pleases; our triggers are there again afterwards."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            # One that is there already is the author's; a view takes none of ours.
            with suppress(sqlite3.OperationalError):
                connection.execute(sql)


def refused(file, tmp_path, said):
    with pytest.raises(RegistryError, match=said) as caught:
        restore_project(file, f"sqlite:///{tmp_path}/restored.sqlite3", tmp_path)
    assert str(file) in str(caught.value)
    assert not (tmp_path / "restored.sqlite3").exists(), "nothing was made"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["CREATE VIEW extra AS SELECT 1"], "view 'extra'"),
        (["ALTER TABLE masks RENAME TO kept", "CREATE VIEW masks AS SELECT * FROM kept"], "view 'masks'"),
        (["CREATE VIRTUAL TABLE words USING fts5(content)"], "virtual table 'words'"),
        (["CREATE TRIGGER mine AFTER UPDATE ON images BEGIN DELETE FROM masks; END"], "trigger 'mine'"),
        (
            ["CREATE TRIGGER tr_images_fixed BEFORE UPDATE ON images BEGIN DELETE FROM runs; END"],
            "different trigger 'tr_images_fixed'",
        ),
        (["CREATE TABLE spare (x)"], "table 'spare'"),
        (["CREATE INDEX mine ON runs (abs(id))"], "index 'mine'"),
        (["ALTER TABLE runs ADD COLUMN both TEXT GENERATED ALWAYS AS (preset || status)"], "different table 'runs'"),
        (["DROP TABLE thumbnails"], "lacks the table 'thumbnails'"),
        (["UPDATE alembic_version SET version_num = '0002_history'"], "which no registry of schema 0002_history has"),
        (["UPDATE alembic_version SET version_num = '9999'"], "newer partly"),
        (["DELETE FROM alembic_version"], "not known"),
    ],
)  # fmt: skip
def test_a_schema_that_is_not_ours_is_refused(crafted, tmp_path, statements, said):
    craft(crafted, *statements)
    refused(crafted, tmp_path, said)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE images SET uri = '../../etc/shadow' WHERE id = 1", "names a file"),
        ("UPDATE image_versions SET uri = 'file:///etc/shadow' WHERE id = 1", "names a file"),
        ("UPDATE runs SET checkpoint = 'a/../../b'", "names a file"),
        ("UPDATE runs SET config = '{not json'", "runs.config"),
        ("UPDATE runs SET config = x'00ff'", "runs.config"),
        ("UPDATE images SET width = 'wide' WHERE id = 1", "images.width"),
        ("UPDATE images SET created_at = 'soon' WHERE id = 1", "images.created_at"),
        ("UPDATE classes SET name = 'a' || char(0) || 'b'", "classes.name"),
        ("UPDATE proposals SET run_id = 99", "missing row"),
        ("INSERT INTO connections VALUES (1, 'file:///etc/passwd', 1, 'local', '2026-01-01 00:00:00')", "web address"),
    ],
)
def test_a_row_that_no_registry_has_is_refused(crafted, tmp_path, statement, said):
    craft(crafted, statement)
    refused(crafted, tmp_path, said)


def test_words_that_nobody_knows_are_refused_whatever_the_files_own_rules_say(crafted, tmp_path):
    craft(crafted, "PRAGMA ignore_check_constraints=ON", "UPDATE runs SET status = 'rooted'")
    refused(crafted, tmp_path, "breaks a rule")


def test_a_damaged_page_is_noticed(crafted, tmp_path):
    content = bytearray(crafted.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    for page in range(len(content) // size // 2, len(content) // size):
        content[page * size + 3 : page * size + 40] = b"\xff" * 37
    crafted.write_bytes(content)
    refused(crafted, tmp_path, "damaged|not known|no registry")


@pytest.mark.parametrize("revision", ["0001_create_registry", "0002_history", "0003_sync", "0004_operations"])
def test_a_backup_of_an_older_program_is_restored(tmp_path, revision):
    engine = make_engine(f"sqlite:///{tmp_path}/old.sqlite3")
    schema.upgrade(engine, revision)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO classes VALUES (7, 'benign')")
    engine.dispose()
    restored(tmp_path / "old.sqlite3", tmp_path, classes=1)


def test_a_registry_that_an_older_program_really_made_is_restored(tmp_path):
    restored(OLD, tmp_path, images=20, runs=1)


def restored(file, tmp_path, **rows):
    url = f"sqlite:///{tmp_path}/restored.sqlite3"
    counts = restore_project(file, url, tmp_path)
    assert {name: counts[name] for name in rows} == rows
    registry = open_registry(url, tmp_path)
    assert check_registry(registry) == []
    registry.close()


def test_a_registry_whose_schema_was_changed_does_not_pass_the_check(crafted, tmp_path):
    craft(crafted, "CREATE VIEW mine AS SELECT * FROM images")
    with closing(open_registry(f"sqlite:///{crafted}", tmp_path)) as registry:
        assert check_schema(registry) == ["the schema differs from this program's: it has a view 'mine'"]
