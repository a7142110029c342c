import pytest

from db.errors import RegistryMissing
from db.registry import absolute_url, create_registry, open_registry


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("sqlite:///reg.sqlite3", "sqlite:////project/reg.sqlite3"),
        ("sqlite:///data/./reg.sqlite3", "sqlite:////project/data/reg.sqlite3"),
        ("sqlite:///../reg.sqlite3", "sqlite:////project/../reg.sqlite3"),
        ("sqlite+pysqlite:///reg.sqlite3?timeout=3", "sqlite+pysqlite:////project/reg.sqlite3?timeout=3"),
    ],
)
def test_a_relative_sqlite_path_is_made_absolute(tmp_path, url, wanted):
    assert absolute_url(url, tmp_path) == wanted.replace("/project", tmp_path.as_posix())


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////var/reg.sqlite3",
        "sqlite:///C:/data/reg.sqlite3",
        "sqlite:///file:reg.sqlite3?uri=true",
        "postgresql://user@host/reg.sqlite3",
        "postgresql+psycopg:///registry",
        "not a url",
    ],
)
def test_every_other_url_stays_as_it_is(tmp_path, url):
    assert absolute_url(url, tmp_path) == url


def test_a_relative_root_counts_from_the_current_folder(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    assert absolute_url("sqlite:///reg.sqlite3", Path()) == f"sqlite:///{tmp_path.as_posix()}/reg.sqlite3"


def test_a_relative_url_names_one_registry_from_every_folder(tmp_path, monkeypatch):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    create_registry("sqlite:///reg.sqlite3", project).close()
    assert (project / "reg.sqlite3").is_file()
    assert list(elsewhere.iterdir()) == []
    monkeypatch.chdir(project)
    open_registry("sqlite:///reg.sqlite3", project).close()


def test_a_missing_registry_is_named_with_its_whole_path(tmp_path):
    with pytest.raises(RegistryMissing, match=f"{tmp_path}/reg.sqlite3"):
        open_registry("sqlite:///reg.sqlite3", tmp_path)
