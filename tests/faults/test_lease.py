"""A training that lives is not gone on with by a second process; one that was killed is, at once."""

import functools
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import learner.training.train
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.progress import SilentProgress
from db.records import RunStatus
from db.registry import create_registry
from learner.config import make_config
from learner.errors import RunInUse
from learner.training.lease import Lease
from learner.training.train import train_model
from learner.training.train_once import train_once

ROOT = Path(__file__).parents[2]
SETTINGS = {"encoder": "test_resnet", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8,
            "device": "cpu", "stage1_epochs": 1, "stage2_epochs": 400}  # fmt: skip


@pytest.fixture
def project(phantoms, tmp_path):
    (tmp_path / "partly.toml").touch()
    registry = create_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.4))
    split_images(registry, val=0.2, test=0.2)
    yield registry
    registry.close()


def command(registry, *words):
    return [sys.executable, "-m", "cli.main", "--project", str(registry.root), *words]


@contextmanager
def training(registry):
    """A training in a process of its own, past its first epoch."""
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    words = command(registry, "train", *settings)
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not (registry.root / "runs" / "run-1" / "last.json").exists():
            assert process.poll() is None, "it ended too early"
            assert time.monotonic() < until
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def run_1(registry):
    with registry.read() as tx:
        return tx.runs.get("run-1")


def shown(registry):
    return subprocess.run(command(registry, "runs"), cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.thorough
def test_a_training_that_lives_is_left_alone_and_one_that_was_killed_goes_on(project):
    with training(project) as process:
        run = run_1(project)
        assert (run.host, run.pid, run.status) == (socket.gethostname(), process.pid, RunStatus.RUNNING)
        done = subprocess.run(
            command(project, "train", "--resume"), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (5, 1), done.stderr
        for words in ("run-1", str(process.pid), socket.gethostname(), "seconds ago", f"kill {process.pid}"):
            assert words in done.stderr
        with pytest.raises(RunInUse, match=str(process.pid)):
            train_once(project, make_config("default", SETTINGS), SilentProgress())
        assert "running" in shown(project)
        # Another training is nobody's business.
        beside = train_model(project, make_config("default", SETTINGS | {"stage2_epochs": 1}))
        assert beside.run == "run-2"
        assert process.poll() is None
        assert (run_1(project).pid, run_1(project).status) == (process.pid, RunStatus.RUNNING)
        process.kill()
        # Nobody has asked for its end yet, so its number is still there.
        until = time.monotonic() + 30
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert "interrupted" in shown(project)
        resumed = resume_for_an_epoch(project)
    assert resumed == "run-1"
    assert (run_1(project).host, run_1(project).pid) == (None, None), "who stops properly leaves word"


def resume_for_an_epoch(registry):
    """Go on with what was killed until its next epoch, and stop there as Ctrl+C does."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        resumed = []

        def stop(job, *_):
            resumed.append(job.run.name)
            raise KeyboardInterrupt

        patched.setattr("learner.training.train.save_last", stop)
        train_model(registry, make_config("default"), resume=True)
    return resumed[0]


def test_a_training_on_another_machine_counts_as_alive_until_it_is_silent(project):
    with training(project):
        pass
    with project.begin() as tx:
        tx.runs.take(1, host="elsewhere", pid=17)
    with pytest.raises(RunInUse, match="process 17 on elsewhere"):
        train_model(project, make_config("default"), resume=True)
    with project.connect(write=True) as connection:
        connection.exec_driver_sql("UPDATE runs SET heartbeat_at = '2020-01-01 00:00:00.000000'")
    assert resume_for_an_epoch(project) == "run-1"


def test_a_training_whose_run_was_taken_over_stops_and_leaves_it_alone(project, monkeypatch):
    real, epochs = learner.training.train.save_last, []
    monkeypatch.setattr("learner.training.train.Lease", functools.partial(Lease, beat_s=0.01))

    def taking(job, *rest):
        real(job, *rest)
        epochs.append(1)
        with project.begin() as tx:
            tx.runs.take(1, host="elsewhere", pid=17)
        time.sleep(0.2)

    monkeypatch.setattr("learner.training.train.save_last", taking)
    with pytest.raises(RunInUse, match="taken over"):
        train_model(project, make_config("default", SETTINGS | {"stage2_epochs": 3}))
    assert len(epochs) == 1
    assert (run_1(project).status, run_1(project).host) == (RunStatus.RUNNING, "elsewhere")
