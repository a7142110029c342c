"""A relative address of the registry means the same file from every folder, through the command line."""

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from db import schema
from db.engine import make_engine
from db.errors import RegistryError
from db.registry import create_registry, open_registry
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
    with closing(sqlite3.connect(copies[0])) as connection:
        assert connection.execute("SELECT count(*) FROM images").fetchone() == (1,)


@pytest.mark.parametrize("name", ["what?", "50%20 off", "a#b", "a&b=c?mode=ro", "two\nlines", "'quoted' \"twice\""])
def test_a_project_folder_may_have_any_name(tmp_path, name):
    root = tmp_path / name
    run("init", str(root))
    assert sorted(file.name for file in root.iterdir()) == ["partly.toml", "registry.sqlite3"]
    assert run("--project", str(root), "status")["images"]["total"] == 0
    run("--project", str(root), "db", "backup", str(root / "backup.sqlite3"))
    run("init", str(root / "second"))
    run("--project", str(root / "second"), "db", "restore", str(root / "backup.sqlite3"))
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing is made beside it"


def test_a_registry_is_its_owners_alone(tmp_path):
    before = os.umask(0o022)
    try:
        run("init", str(tmp_path / "usual"))
        with create_registry(f"sqlite:///{tmp_path}/usual/registry.sqlite3", tmp_path).begin() as tx:
            tx.images.class_ids(["benign"])
            found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "usual").iterdir()}
    finally:
        os.umask(before)
    assert {name: mode for name, mode in found.items() if name.startswith("registry")} == {
        "registry.sqlite3": 0o600, "registry.sqlite3-wal": 0o600, "registry.sqlite3-shm": 0o600,
    }  # fmt: skip


@pytest.mark.parametrize("url", ["postgresql://me:sec@ret@host/db", "postgresql://me:sec@host/ret@host/db"])
def test_half_a_password_is_not_shown_as_a_host(url, tmp_path):
    with pytest.raises(RegistryError, match="write it as %40") as refused:
        open_registry(url, tmp_path)
    assert "sec" not in str(refused.value)
    assert "ret" not in str(refused.value)
