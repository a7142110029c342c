"""The registry on every database that is supported."""

import pytest

from db.registry import create_registry


@pytest.fixture(params=["memory", "file", "postgres"])
def database_url(request, tmp_path):
    if request.param == "memory":
        return "sqlite://"
    if request.param == "file":
        (tmp_path / "a folder").mkdir()
        return f"sqlite:///{tmp_path}/a folder/50%.sqlite3"
    server = request.getfixturevalue("postgres_server")
    server.psql("DROP DATABASE IF EXISTS registry;")
    server.psql("CREATE DATABASE registry;")
    return server.get_uri(database="registry")


@pytest.fixture
def registry(database_url, tmp_path):
    made = create_registry(database_url, tmp_path)
    yield made
    made.close()
