"""A full disk and a folder that cannot be written: a clear error, and nothing that was stored is lost."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool
from typer.testing import CliRunner

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from cli.main import app
from db.engine import _begin_sqlite
from db.errors import RegistryError
from db.maintenance.backup import backup_registry
from db.maintenance.integrity import check_registry
from db.registry import Registry, create_registry, open_registry


def test_a_full_disk_says_so_and_the_import_goes_on_once_there_is_space(tmp_path, monkeypatch):
    write_phantoms(tmp_path / "phantoms", 60, seed=1)
    monkeypatch.setattr("annotator.datasets.import_images.CHUNK", 20)
    registry = create_registry(f"sqlite:///{tmp_path}/r.sqlite3", tmp_path)
    with pytest.raises(RegistryError, match="free some disk space"):
        import_images(registry_that_may_not_grow(tmp_path), ImportRequest(tmp_path / "phantoms", "csv"))
    assert check_registry(registry) == []
    report = import_images(registry, ImportRequest(tmp_path / "phantoms", "csv"))
    assert (report.registered + report.unchanged, report.refused) == (60, [])
    assert report.unchanged > 0, "what was done before stayed done"
    assert check_registry(registry) == []
    registry.close()


def registry_that_may_not_grow(folder):
    """The registry through a connection whose file has room for a few pages more."""
    raw = sqlite3.connect(folder / "r.sqlite3", isolation_level=None, check_same_thread=False)
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.execute(f"PRAGMA max_page_count = {pages + 25}")
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    event.listen(engine, "begin", _begin_sqlite)
    return Registry(engine, folder)


@pytest.mark.skipif(os.name != "posix", reason="permissions as on Unix")
def test_a_read_only_folder_says_so():
    folder = Path(tempfile.mkdtemp())
    try:
        create_registry(f"sqlite:///{folder}/r.sqlite3", folder).close()
        folder.chmod(0o555)
        (folder / "r.sqlite3").chmod(0o444)
        with nobody():
            with pytest.raises(RegistryError, match="not writable: check"):
                registry = open_registry(f"sqlite:///{folder}/r.sqlite3", folder)
                with registry.begin() as tx:
                    tx.images.class_ids(["benign"])
            with pytest.raises(RegistryError, match="not writable: check"):
                create_registry(f"sqlite:///{folder}/new.sqlite3", folder)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def nobody():
    """Root may write anywhere, so as root this is tried as somebody else."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.skipif(os.name != "posix", reason="permissions as on Unix")
def test_a_command_that_cannot_write_its_output_says_so():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    try:
        with nobody():
            done = CliRunner().invoke(app, ["init", str(folder / "project")])
        assert done.exit_code == 4
        assert "check who owns the folder" in done.stderr
        assert str(folder) in done.stderr
    finally:
        shutil.rmtree(folder)


def test_a_file_that_is_no_registry_says_so(tmp_path):
    runner = CliRunner()
    assert runner.invoke(app, ["init", str(tmp_path)]).exit_code == 0
    (tmp_path / "registry.sqlite3").write_bytes(b"something else entirely" * 100)
    done = runner.invoke(app, ["--project", str(tmp_path), "status"])
    assert done.exit_code == 4
    assert "not a registry" in done.stderr


def test_a_backup_that_cannot_be_written_leaves_no_scraps(tmp_path):
    registry = create_registry(f"sqlite:///{tmp_path}/r.sqlite3", tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RegistryError, match=r"cannot be written|cannot be made"):
        backup_registry(registry, tmp_path / "file" / "backup.sqlite3")
    registry.close()
