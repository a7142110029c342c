"""Two processes on the CPU (gloo) do what one does: the same losses, every image scored and stored once."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.registry import create_registry
from learner.distributed import Processes, start_processes
from learner.errors import ConfigInvalid
from learner.evaluation.evaluate import evaluate_run
from learner.inference.propose import ProposeRequest, propose_locations
from learner.training.train import train_model
from tests.integration.in_processes import losses_of_steps
from tests.integration.test_training import tiny

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("in_processes.py")
PRESETS = ("default", "paper")


@pytest.fixture(scope="module")
def project(tmp_path_factory, phantoms):
    root = tmp_path_factory.mktemp("project")
    registry = create_registry(f"sqlite:///{root}/registry.sqlite3", root)
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.4))
    split_images(registry, val=0.2, test=0.3)
    train_model(registry, tiny())
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def shared(project):
    """What two processes found; they start slowly, so they do all of it at once."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(project.root), *PRESETS],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_same(first, second):
    assert any(step.get("pseudo", 0) > 0 for step in first), "pseudo masks took part"
    for one, other in zip(first, second, strict=True):
        assert other == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_two_processes_have_the_losses_of_one_at_the_same_batch(shared, preset):
    # paper has the gate, whose count crosses the processes; default has the teacher and the strong view.
    assert_same(losses_of_steps(Processes(), preset, 1), shared["losses"][preset])


def test_a_batch_in_parts_has_the_losses_of_the_whole():
    two, three = (losses_of_steps(Processes(), "default", parts) for parts in (2, 3))
    assert_same(two, three)


def test_two_processes_score_and_propose_each_image_once(shared, project):
    scored = evaluate_run(project)
    assert shared["scored"]["localization"] == pytest.approx(asdict(scored.summary.localization))
    assert shared["scored"]["n"] == scored.summary.n
    wanted = {item.image for item in propose_locations(project, ProposeRequest(tau=0.05), dry_run=True).items}
    ids = [item["image"] for item in shared["proposed"]["items"]]
    assert sorted(ids) == sorted(wanted)
    assert ids
    with project.read() as tx:
        stored = [item.image_id for item in tx.proposals.of_run(tx.runs.latest().id, ids)]
    assert sorted(stored) == sorted(ids), "each once"


def test_what_cannot_be_started_is_said():
    with pytest.raises(ConfigInvalid, match="at least 1"):
        start_processes("cpu", devices=0)
    with pytest.raises(ConfigInvalid, match="a single device"):
        start_processes("cpu:0", devices=2)


def test_one_process_alone_needs_nobody():
    with start_processes("cpu") as alone:
        assert (alone.number, alone.count, alone.is_first) == (0, 1, True)
        assert alone.first(lambda: 3) == 3
        assert alone.gather([(1, "b"), (0, "a")]) == ["a", "b"]
    assert list(Processes().share("abc")) == list("abc")
