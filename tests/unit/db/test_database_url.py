"""A relative SQLite URL means one file, wherever the program runs."""

from pathlib import Path

import pytest

from db.database_url import absolute_url, sqlite_file

HERE = Path("/data/project")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///reg.sqlite3", "sqlite:////data/project/reg.sqlite3"),
        ("sqlite:///a/reg.sqlite3?timeout=5", "sqlite:////data/project/a/reg.sqlite3?timeout=5"),
        ("sqlite+pysqlite:///reg.sqlite3", "sqlite+pysqlite:////data/project/reg.sqlite3"),
        ("sqlite:////elsewhere/reg.sqlite3", "sqlite:////elsewhere/reg.sqlite3"),
        ("sqlite:///C:/elsewhere/reg.sqlite3", "sqlite:///C:/elsewhere/reg.sqlite3"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///file:reg?mode=ro&uri=true", "sqlite:///file:reg?mode=ro&uri=true"),
        ("postgresql://user@host/name", "postgresql://user@host/name"),
    ],
)
def test_only_relative_sqlite_paths_change(url, expected):
    assert absolute_url(url, HERE) == expected
    assert absolute_url(expected, Path("/other")) == expected


def test_the_file_of_a_url():
    assert sqlite_file("sqlite+pysqlite:////a/b.sqlite3?x=1") == Path("/a/b.sqlite3")
    assert sqlite_file("postgresql://host/name") is None
