"""A full disk and a folder that cannot be written: a clear error, and nothing that was stored is lost."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool
from typer.testing import CliRunner

import learner.training.train
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from cli.main import app
from db.atomic_write import left_behind
from db.curation.splitting import split_images
from db.engine import _begin_sqlite
from db.errors import RegistryError
from db.maintenance.backup import backup_registry
from db.maintenance.integrity import check_registry
from db.records import RunStatus
from db.registry import Registry, create_registry, open_registry
from learner.checkpoint import load_checkpoint, save_checkpoint
from learner.config import make_config
from learner.errors import CheckpointIncompatible, TrainingDiverged
from learner.training.train import train_model


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
            with pytest.raises(RegistryError, match=f"registry {folder}/r.sqlite3 is read-only here"):
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


@contextmanager
def small_disk(folder, size):
    """A disk of its own at a folder, with room for so many bytes; only who may mount has one."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("a disk can be mounted by root alone, and not in every container")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


SETTINGS = {"encoder": "test_resnet", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8,
            "device": "cpu", "stage1_epochs": 1, "stage2_epochs": 3}  # fmt: skip


@pytest.fixture
def project(phantoms, tmp_path):
    registry = create_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)
    (tmp_path / "partly.toml").touch()
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.4))
    split_images(registry, val=0.2, test=0.2)
    yield registry
    registry.close()


@pytest.mark.skipif(os.name != "posix", reason="mount")
def test_a_disk_that_is_full_of_checkpoints_ends_a_training_and_it_goes_on_with_more_space(project, tmp_path):
    with small_disk(tmp_path / "runs", "64m") as runs:
        (runs / "run-1").mkdir()
        filler = runs / "filler"
        filled = []

        def fill(job, *rest):
            # An epoch is stored, then the disk fills up.
            real(job, *rest)
            if not filled:
                filled.append(filler.write_bytes(b"x" * shutil.disk_usage(runs).free))

        real = learner.training.train.save_last
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("learner.training.train.save_last", fill)
            done = CliRunner().invoke(
                app, ["--project", str(tmp_path), "train", *[f"--set={key}={value}" for key, value in SETTINGS.items()]]
            )
        assert done.exit_code == 5, done.output
        assert "cannot be saved (No space left" in done.stderr
        assert "partly train --resume" in done.stderr
        with project.read() as tx:
            run = tx.runs.get("run-1")
        assert run.status is RunStatus.FAILED
        assert "No space left" in run.metrics["error"]
        assert left_behind(runs / "run-1") == [] and not list((runs / "run-1").glob(".*"))
        filler.unlink()
        assert train_model(project, make_config("default", SETTINGS), resume=True).run == "run-1"


@pytest.mark.parametrize("damage", ["tensor", "key", "best", "stage"])
def test_a_last_epoch_that_was_tampered_with_is_refused_and_the_run_is_marked(project, damage):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        real = learner.training.train.save_last
        patched.setattr("learner.training.train.save_last", lambda *job: (real(*job), stop()))
        train_model(project, make_config("default", SETTINGS))
    folder = project.root / "runs" / "run-1"
    last = load_checkpoint(folder, "last")
    tensors, said = dict(last.tensors), dict(last.description)
    first = next(name for name in tensors if name.startswith("model.") and tensors[name].dim() > 1)
    if damage == "tensor":
        tensors[first] = torch.zeros(3)
    elif damage == "key":
        tensors["nothing"] = torch.zeros(3)
    elif damage == "best":
        said["best"] = {"unheard": 1}
    else:
        del said["stage"]
    save_checkpoint(
        folder, "last", tensors, {k: v for k, v in said.items() if k not in ("format", "weights", "sha256")}
    )
    with pytest.raises(CheckpointIncompatible, match="run-1"):
        train_model(project, make_config("default"), resume=True)
    with project.read() as tx:
        assert tx.runs.get("run-1").status is RunStatus.FAILED


def test_weights_that_get_infinite_in_the_last_step_of_an_epoch_are_not_saved(project):
    real = torch.optim.AdamW.step

    def explode(self, *rest):
        done = real(self, *rest)
        with torch.no_grad():
            self.param_groups[0]["params"][0].fill_(float("inf"))
        return done

    settings = SETTINGS | {"min_steps": 0, "batch_size": 64, "stage1_epochs": 0, "stage2_epochs": 1, "ema_decay": 0,
                           "pseudo": "self"}  # fmt: skip
    with pytest.MonkeyPatch.context() as patched, pytest.raises(TrainingDiverged, match="not finite"):
        patched.setattr(torch.optim.AdamW, "step", explode)
        train_model(project, make_config("default", settings))
    assert not list(project.root.glob("runs/*/*.safetensors"))
    with project.read() as tx:
        assert tx.runs.get("run-1").status is RunStatus.FAILED


def test_a_backup_that_cannot_be_written_leaves_no_scraps(tmp_path):
    registry = create_registry(f"sqlite:///{tmp_path}/r.sqlite3", tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RegistryError, match=r"cannot be written|cannot be made"):
        backup_registry(registry, tmp_path / "file" / "backup.sqlite3")
    registry.close()
