"""Fixtures of unit tests, of which there are many: what takes a tenth of a second is done once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.registry import Registry, create_registry, open_registry


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty registry."""
    folder = tmp_path_factory.mktemp("empty")
    create_registry(f"sqlite:///{folder}/registry.sqlite3", folder).close()
    return folder / "registry.sqlite3"


@pytest.fixture
def registry(tmp_path: Path, empty_registry: Path) -> Iterator[Registry]:
    """An empty registry on SQLite in a folder of its own, a copy: all of a run have the same id."""
    shutil.copyfile(empty_registry, tmp_path / "registry.sqlite3")
    opened = open_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)
    yield opened
    opened.close()
