"""A project on a disk that cannot be written is read all the same; what would write says why it cannot."""

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from annotator.datasets.phantoms import write_phantoms
from cli.main import app
from db.errors import RegistryError
from db.registry import open_registry

# With this head a single epoch is enough to propose something.
SETTINGS = {"encoder": "test_resnet", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8,
            "head": "fpn", "device": "cpu", "stage1_epochs": 1, "stage2_epochs": 1}  # fmt: skip

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions as on Unix")


def run(project, *words, code=0):
    done = CliRunner().invoke(app, ["--project", str(project), *map(str, words)])
    assert done.exit_code == code, (words, done.output, done.stderr[-2000:], done.exception)
    return done


@pytest.fixture(scope="module")
def project():
    """A small project with a run; everybody may look into its folder."""
    folder = Path(tempfile.mkdtemp(prefix="partly-read-only-"))
    folder.chmod(0o755)
    run(folder, "init", folder)
    write_phantoms(folder / "phantoms", 24, seed=3)
    run(folder, "import", folder / "phantoms", "--layout", "csv", "--keep-locations", "0.5")
    run(folder, "split", "--val", "0.2", "--test", "0.2")
    run(folder, "train", *[f"--set={key}={value}" for key, value in SETTINGS.items()])
    yield folder
    shutil.rmtree(folder)


@contextmanager
def read_only_disk(project):
    """The project on a disk that is mounted read-only, as root may have it."""
    place = Path(tempfile.mkdtemp(prefix="partly-mounted-"))
    if subprocess.run(["mount", "--bind", project, place], capture_output=True, check=False).returncode != 0:
        place.rmdir()
        pytest.skip("root alone can mount, and not in every container")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)
        place.rmdir()


@contextmanager
def read_only_folder(project):
    """The project with no right to write, seen by somebody who is not root."""
    copy = Path(tempfile.mkdtemp(prefix="partly-closed-")) / "project"
    shutil.copytree(project, copy)
    copy.parent.chmod(0o755)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(65534)
        yield copy
    finally:
        os.seteuid(before)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(copy.parent)


@pytest.fixture(params=[read_only_disk, read_only_folder])
def closed(request, project):
    with request.param(project) as place:
        yield place


def test_what_reads_works_and_what_writes_says_why_not(closed):
    out = Path(tempfile.mkdtemp(prefix="partly-out-"))
    try:
        assert json.loads(run(closed, "status", "--json").stdout)["images"]["total"] == 24
        run(closed, "log", "1")
        assert "run-1" in run(closed, "runs").stdout
        run(closed, "snapshots")
        run(closed, "doctor")
        assert "already exists" in run(closed, "init", closed).stdout
        run(closed, "db", "check")
        for layout in ("coco", "csv", "voc", "yolo"):
            done = run(closed, "export", "--format", layout, out / layout)
            assert (out / layout / "partly-export.json").is_file()
        assert "not stored as a snapshot" in done.stderr or "snapshot" in done.stdout
        run(closed, "evaluate")
        run(closed, "propose", "--dry-run", "--tau", "0.5")
        run(closed, "report", "--out", out / "report")
        assert (out / "report" / "index.html").is_file()
        run(closed, "db", "backup", out / "backup.sqlite3")
        for words in (
            ("split", "--val", "0.3"), ("propose", "--tau", "0.0"), ("train",), ("remove", "1"), ("undo",),
            ("set", "1", "--group", "x"), ("snapshots", "--take"),
            ("import", closed / "phantoms", "--layout", "csv", "--seed", "5", "--keep-locations", "1"),
        ):  # fmt: skip
            done = run(closed, *words, code=4)
            assert "read-only here" in done.stderr, (words, done.stderr)
            assert done.stderr.count("partly: ") == 1
    finally:
        shutil.rmtree(out)


def test_changes_that_only_a_writer_can_see_are_not_passed_over(project, tmp_path):
    # A file of its own: SQLite remembers in a process how the other was opened.
    project = shutil.copytree(project, tmp_path / "project")
    with closing(sqlite3.connect(project / "registry.sqlite3")) as writer:
        writer.execute("CREATE TABLE IF NOT EXISTS unseen (x)")
        writer.commit()
        assert (project / "registry.sqlite3-wal").stat().st_size
        with read_only_folder(project) as closed:
            os.seteuid(os.getuid())
            (closed / "registry.sqlite3-shm").unlink()
            os.seteuid(65534 if os.getuid() == 0 else os.getuid())
            with pytest.raises(RegistryError, match="copy both files"):
                open_registry(f"sqlite:///{closed}/registry.sqlite3", closed)
        writer.execute("DROP TABLE unseen")
        writer.commit()


def test_an_older_registry_that_cannot_be_written_says_why_it_is_not_upgraded(project, tmp_path):
    older = shutil.copytree(project, tmp_path / "project")
    with closing(sqlite3.connect(older / "registry.sqlite3")) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")
        writer.execute("UPDATE alembic_version SET version_num = '0001_create_registry'")
        writer.commit()
    with read_only_folder(older) as closed:
        for words in (("init", closed), ("init", closed, "--dry-run"), ("db", "upgrade")):
            done = run(closed, *words, code=4)
            assert "is read-only here" in done.stderr, done.stderr
            assert done.stderr.count("partly: ") == 1
