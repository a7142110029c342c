"""A whole registry into one file and back, between databases; and a check that notices damage."""

import stat

import pytest
from sqlalchemy import select

from db.errors import Conflict, RegistryError
from db.history.retraction import retract_labels
from db.maintenance.backup import backup_registry, restore_registry
from db.maintenance.integrity import check_registry
from db.records import LocationSource, NewLabel, Split
from db.registry import create_registry
from db.tables import Base
from tests.builders import add_images, add_run_with_proposal, new_image, present


@pytest.fixture
def filled(registry):
    ids = add_images(registry, new_image("a.png", thumbnail=bytes(range(256)) * 4), new_image("ü 'b'.png"))
    with registry.begin() as tx:
        tx.labels.append(NewLabel(ids[0], present(), source=LocationSource.IMPORTED))
        tx.images.set_splits({ids[1]: Split.TEST})
        tx.snapshots.take()
    add_run_with_proposal(registry, ids[0])
    from datetime import UTC, datetime

    retract_labels(registry, since=datetime(2020, 1, 1, tzinfo=UTC))
    return registry


def rows_of(registry):
    with registry.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture(params=["file", "postgres"])
def empty(request, tmp_path):
    if request.param == "file":
        url = f"sqlite:///{tmp_path}/restored.sqlite3"
    else:
        server = request.getfixturevalue("postgres_server")
        server.psql("DROP DATABASE IF EXISTS restored;")
        server.psql("CREATE DATABASE restored;")
        url = server.get_uri(database="restored")
    made = create_registry(url, tmp_path)
    yield made
    made.close()


def test_a_backup_restored_is_the_same_registry(filled, empty, tmp_path):
    counts = backup_registry(filled, tmp_path / "backup.sqlite3")
    assert counts["images"] == 2
    assert restore_registry(tmp_path / "backup.sqlite3", empty) == counts
    assert rows_of(empty) == rows_of(filled)
    assert check_registry(empty) == []
    # Its triggers and numbering are those of any registry.
    (new_id,) = add_images(empty, new_image("c.png"))
    assert new_id == 3
    with pytest.raises(Conflict, match="frozen"), empty.begin() as tx:
        tx.images.set_splits({2: Split.TRAIN})
    with empty.begin() as tx:
        tx.labels.append(NewLabel(new_id, present(), source=LocationSource.IMPORTED))
    assert check_registry(empty) == []


def test_a_backup_overwrites_nothing_and_leaves_no_scraps(filled, tmp_path):
    out = tmp_path / "folder" / "backup.sqlite3"
    backup_registry(filled, out)
    before = out.read_bytes()
    with pytest.raises(Conflict, match="already exists"):
        backup_registry(filled, out)
    assert out.read_bytes() == before
    assert [file.name for file in out.parent.iterdir()] == ["backup.sqlite3"]


def test_a_registry_that_is_not_empty_is_not_restored_into(filled, tmp_path):
    backup_registry(filled, tmp_path / "backup.sqlite3")
    before = rows_of(filled)
    with pytest.raises(Conflict, match="not empty"):
        restore_registry(tmp_path / "backup.sqlite3", filled)
    assert rows_of(filled) == before


@pytest.mark.parametrize("content", [b"", b"not a database at all, not even nearly " * 100])
def test_what_is_no_backup_is_refused(registry, tmp_path, content):
    (tmp_path / "backup.sqlite3").write_bytes(content)
    with pytest.raises(RegistryError):
        restore_registry(tmp_path / "backup.sqlite3", registry)
    with pytest.raises(RegistryError, match="no such file"):
        restore_registry(tmp_path / "none.sqlite3", registry)


def damage(registry, statement):
    """Change what nothing is allowed to change, as a broken disk or a clever person would."""
    with registry._engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all()
            for (name,) in triggers:
                connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        else:
            for table in Base.metadata.sorted_tables:
                connection.exec_driver_sql(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE images SET label_id = NULL", "not its newest"),
        ("UPDATE images SET location_status = 'present' WHERE id = 2", "not its label's"),
        ("UPDATE images SET group_key = 'x' WHERE id = 2", "last recorded version"),
        ("DELETE FROM location_boxes", "as many boxes"),
        ("UPDATE location_labels SET revision = 7 WHERE id = 1", "gap"),
        ("UPDATE image_versions SET split = 'val' WHERE id = 4", "snapshot"),
    ],
)
def test_the_check_notices_damage(filled, statement, said):
    assert check_registry(filled) == []
    damage(filled, statement)
    assert any(said in problem for problem in check_registry(filled)), check_registry(filled)


@pytest.mark.parametrize("name", ["what?.sqlite3", "a#b%20.sqlite3", "x" * 247 + ".sqlite3"[:8], "ü" * 120 + ".db"])
def test_a_backup_may_have_any_name_and_is_its_owners_alone(filled, tmp_path, name):
    out = tmp_path / "kept" / name
    backup_registry(filled, out)
    assert [file.name for file in out.parent.iterdir()] == [name]
    assert [stat.S_IMODE(file.stat().st_mode) for file in (out.parent, out)] == [0o700, 0o600]
    copy = create_registry(f"sqlite:///{tmp_path}/again.sqlite3", tmp_path)
    restore_registry(out, copy)
    assert rows_of(copy) == rows_of(filled)
    copy.close()


def test_a_link_that_leads_nowhere_is_not_written_through(filled, tmp_path):
    (tmp_path / "backup.sqlite3").symlink_to(tmp_path / "elsewhere.sqlite3")
    with pytest.raises(Conflict, match="already exists"):
        backup_registry(filled, tmp_path / "backup.sqlite3")
    assert not (tmp_path / "elsewhere.sqlite3").exists()
