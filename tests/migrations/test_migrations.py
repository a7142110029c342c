import json
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, insert, inspect, text

from db import schema
from db.engine import make_engine
from db.errors import RegistryError, RegistryMissing, SchemaOutOfDate
from db.maintenance.backup import copy_before_upgrade, upgrade_registry
from db.maintenance.integrity import check_registry
from db.records import Box, LocationSource, LocationStatus, NewLabel, ReviewOutcome, Split
from db.registry import Registry, create_registry, open_for_upgrade, open_registry
from db.tables import Base


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request, tmp_path):
    if request.param == "sqlite":
        made = make_engine(f"sqlite:///{tmp_path}/r.sqlite3")
    else:
        server = request.getfixturevalue("postgres_server")
        server.psql("DROP DATABASE IF EXISTS migrations;")
        server.psql("CREATE DATABASE migrations;")
        made = make_engine(server.get_uri(database="migrations"))
    yield made
    made.dispose()


def revisions():
    script = ScriptDirectory.from_config(schema.make_config())
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


def test_there_is_one_head():
    script = ScriptDirectory.from_config(schema.make_config())
    assert script.get_heads() == [schema.head()]
    # They are read from the files' names, so that Alembic need not be loaded.
    assert [found.revision for found in script.walk_revisions()] == list(reversed(schema.revisions()))


def test_up_down_up(engine):
    for revision in revisions():
        schema.upgrade(engine, revision)
    schema.downgrade(engine, "base")
    left = set(inspect(engine).get_table_names()) - {"alembic_version"}
    assert left == set()
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert schema.current(connection) == schema.head()


def test_models_equal_migrations(engine):
    schema.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_newer_schema_is_refused_with_the_reason(tmp_path):
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    registry = create_registry(url, tmp_path)
    with registry._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_future'")
    registry.close()
    with pytest.raises(SchemaOutOfDate, match="newer than this program"):
        open_registry(url, tmp_path)


def test_creating_twice_keeps_what_is_there(tmp_path):
    from tests.builders import add_images, new_image

    url = f"sqlite:///{tmp_path}/r.sqlite3"
    registry = create_registry(url, tmp_path)
    add_images(registry, new_image())
    registry.close()
    again = create_registry(url, tmp_path)
    with again.read() as tx:
        assert len(tx.images.select()) == 1
    again.close()


# --- old registries, with data: one asset for every schema that was ever released

ASSETS = {
    "0001_create_registry": "0001.json",
    "0002_history": "0002.json",
    "0003_sync": "0003.json",
    "0004_operations": "0004.json",
    "0005_certificates": "0005.json",
}


def fill_old(engine, revision):
    """Make a registry as the program of that time left it."""
    schema.upgrade(engine, revision)
    document = json.loads((Path(__file__).parent / "assets" / ASSETS[revision]).read_text(encoding="utf-8"))
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            rows = [{name: value_of(value) for name, value in row.items()} for row in document.get(table.name, [])]
            if rows:
                connection.execute(insert(table), rows)
            if rows and "id" in table.c and engine.dialect.name == "postgresql":
                highest = f"SELECT max(id) FROM {table.name}"
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), ({highest}))"))
    return document


def value_of(value):
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    if isinstance(value, dict) and set(value) == {"time"}:
        return datetime.fromisoformat(value["time"])
    return value


def test_every_earlier_schema_has_its_asset():
    assert [revision for revision in revisions() if revision not in ASSETS] == [schema.head()]


@pytest.mark.parametrize("revision", list(ASSETS))
def test_an_old_registry_is_upgraded_with_its_data(engine, tmp_path, revision):
    document = fill_old(engine, revision)
    registry = Registry(engine, tmp_path)
    with pytest.raises(SchemaOutOfDate, match="partly db upgrade"):
        registry.check()
    registry.upgrade()
    registry.check()
    assert check_registry(registry) == []
    with registry.read() as tx:
        images = {image.path.name: image for image in tx.images.select()}
        counts = tx.status.count()
        label = images["a masked.png"].label
        assert len(tx.labels.mask_pngs([label.id])[label.id]) > 50
        assert tx.images.resolve("f_withdrawn.png").location_status is LocationStatus.UNKNOWN
        history = tx.labels.history(images["f_withdrawn.png"].id)
        proposals = {proposal.image_id: proposal for proposal in tx.proposals.of_run(1)}
        run = tx.runs.get("run-1")
        links = tx.connections.links(tx.connections.current().id)
    assert len(images) == len(document["images"])
    assert counts.locations == {"present": 4, "confirmed_empty": 1, "unknown": 4}
    assert images["e_edited.png"].boxes == (Box(25, 10, 40, 30),)
    assert (images["e_edited.png"].label.source, images["e_edited.png"].label.reviewer) == (
        LocationSource.EDITED,
        "ann@example.org",
    )
    assert images['g_test "ü".png'].split is Split.TEST
    assert images["inside.png"].path.location == f"{tmp_path}/inside.png"
    assert [label.status for label in history] == ["present", "unknown"]
    assert proposals[images["d_accepted.png"].id].outcome is ReviewOutcome.ACCEPTED
    assert (run.metrics, len(links)) == ({"epochs": 3}, 4)


@pytest.mark.parametrize("revision", list(ASSETS))
def test_an_upgraded_registry_goes_on_as_any_other(engine, tmp_path, revision):
    from db.history.retraction import retract_labels
    from tests.builders import add_images, new_image, present

    fill_old(engine, revision)
    registry = Registry(engine, tmp_path)
    registry.upgrade()
    assert retract_labels(registry, run="run-1").labels == 2
    (new_id,) = add_images(registry, new_image())
    with registry.begin() as tx:
        tx.labels.append(NewLabel(new_id, present(), source=LocationSource.IMPORTED))
        tx.snapshots.take()
    assert check_registry(registry) == []


def test_a_migration_that_fails_leaves_the_registry_as_it_was(tmp_path, monkeypatch):
    engine = make_engine(f"sqlite:///{tmp_path}/r.sqlite3")
    fill_old(engine, "0001_create_registry")
    with engine.connect() as connection:
        before = list(connection.connection.driver_connection.iterdump())
    monkeypatch.setattr("db.migrations.triggers.APPEND_ONLY_0002", ("no_such_table",))
    with pytest.raises(RegistryError, match="no_such_table"):
        Registry(engine, tmp_path).upgrade()
    with engine.connect() as connection:
        assert list(connection.connection.driver_connection.iterdump()) == before
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite:///r.sqlite3", "sqlite+pysqlite:///r.sqlite3?timeout=5"])
def test_the_safety_copy_holds_the_rows_whatever_the_current_folder(tmp_path, monkeypatch, url):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    engine = make_engine(f"sqlite:///{project}/r.sqlite3")
    fill_old(engine, "0001_create_registry")
    engine.dispose()
    monkeypatch.chdir(elsewhere)
    report = upgrade_registry(url, project)
    assert (report.found, report.wanted) == ("0001_create_registry", schema.head())
    assert report.copy == project / "r.sqlite3.before-upgrade"
    assert list(elsewhere.iterdir()) == []
    kept = make_engine(f"sqlite:///{report.copy}")
    with kept.connect() as connection:
        assert schema.current(connection) == "0001_create_registry"
        assert connection.execute(text("SELECT count(*) FROM images")).scalar() == 9
    kept.dispose()
    open_registry(url, project).close()


def test_no_safety_copy_is_made_of_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(RegistryMissing, match=f"{tmp_path}/r.sqlite3"):
        copy_before_upgrade("sqlite:///r.sqlite3", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_upgrade_keeps_a_copy_of_the_file(tmp_path):
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    engine = make_engine(url)
    fill_old(engine, "0001_create_registry")
    engine.dispose()
    copy = copy_before_upgrade(url, tmp_path)
    again = copy_before_upgrade(url, tmp_path)
    assert (copy.name, again.name) == ("r.sqlite3.before-upgrade", "r.sqlite3.before-upgrade-2")
    registry = open_for_upgrade(url, tmp_path)
    registry.upgrade()
    registry.close()
    old = make_engine(f"sqlite:///{copy}")
    with old.connect() as connection:
        assert schema.current(connection) == "0001_create_registry"
        assert connection.execute(text("SELECT count(*) FROM images")).scalar() == 9
    old.dispose()
    assert copy_before_upgrade("postgresql://somewhere/registry", tmp_path) is None
