"""A relative address of the registry means the same file from every folder, through the command line."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from db import schema
from db.engine import make_engine
from db.registry import create_registry
from tests.builders import add_images, new_image


def run(*words: str) -> dict:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_init_in_a_subfolder_makes_no_second_registry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "partly.toml").write_text('[registry]\nurl = "sqlite:///own.sqlite3"\n')
    run("init")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    run("init")
    run("status")
    assert [file.name for file in tmp_path.rglob("own.sqlite3")] == ["own.sqlite3"]
    assert (tmp_path / "own.sqlite3").is_file()


def outdated(file: Path) -> None:
    """Make a registry with an image in it, and take its schema back to an older one."""
    registry = create_registry(f"sqlite:///{file}", file.parent)
    add_images(registry, new_image())
    registry.close()
    engine = make_engine(f"sqlite:///{file}")
    schema.downgrade(engine, "0002")
    engine.dispose()


@pytest.mark.parametrize("spelling", ["sqlite:///reg.sqlite3", "sqlite+pysqlite:///reg.sqlite3"])
def test_the_safety_copy_of_an_upgrade_holds_the_registry(tmp_path, monkeypatch, spelling):
    project = tmp_path / "project"
    monkeypatch.chdir(tmp_path)
    run("init", str(project))
    outdated(tmp_path / "reg.sqlite3")
    CliRunner().invoke(app, ["--project", str(project), "--db", spelling, "db", "upgrade", "--json"])
    copies = list(tmp_path.rglob("reg.sqlite3.before-upgrade"))
    assert [copy.parent for copy in copies] == [tmp_path]
    with sqlite3.connect(copies[0]) as connection:
        assert connection.execute("SELECT count(*) FROM images").fetchone() == (1,)
