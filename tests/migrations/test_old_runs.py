"""A project of an earlier program opens: its run loads, and evaluates to the numbers that it had then.

The asset was made by that program: 20 phantoms, two epochs a stage at 32 px. Its images are drawn again by the test.
"""

import json
import shutil
from pathlib import Path

import pytest

from annotator.datasets.phantoms import write_phantoms
from cli.documents import document_of
from db.maintenance.backup import upgrade_registry
from db.records import Split
from db.registry import open_registry
from learner.evaluation.evaluate import evaluate_run
from learner.evaluation.per_image import read_results
from learner.inference.propose import ProposeRequest, propose_locations

ASSET = Path(__file__).parent / "assets" / "old_run"


@pytest.fixture
def old(tmp_path):
    shutil.copytree(ASSET, tmp_path, dirs_exist_ok=True)
    write_phantoms(tmp_path / "phantoms", 20, seed=5)
    url = f"sqlite:///{tmp_path}/registry.sqlite3"
    upgrade_registry(url, tmp_path)
    registry = open_registry(url, tmp_path)
    yield registry
    registry.close()


@pytest.mark.parametrize(("split", "name"), [(Split.TEST, "evaluate"), (Split.VAL, "evaluate_val")])
def test_an_old_run_evaluates_to_the_same_numbers(old, split, name):
    then = json.loads((ASSET / f"{name}.json").read_text())
    now = document_of(evaluate_run(old, split=split))
    assert [key for key in now if key in then] == list(then)
    for part in ("classification", "localization", "empty"):
        # Newer measures are beside those that there were then.
        assert {name: now[part][name] for name in then[part]} == pytest.approx(then[part], abs=1e-4)
    assert now["strata"].keys() == then["strata"].keys()
    with old.read() as tx:
        rows = read_results(tx.runs.get("run-1").checkpoint, split)
    assert len(rows) == then["n"]


def test_an_old_run_proposes(old):
    result = propose_locations(old, ProposeRequest(run="run-1", tau=0.0), dry_run=True)
    with old.read() as tx:
        assert result.considered == tx.status.count().images["partly"]
