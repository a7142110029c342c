import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from db import schema
from db.engine import make_engine
from db.errors import SchemaOutOfDate
from db.registry import create_registry, open_registry
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
    assert len(ScriptDirectory.from_config(schema.make_config()).get_heads()) == 1


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
