"""The walls of the house, and that they hold new modules too: forbidden imports are planted in a copy."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("annotator", "cli", "db", "learner", "partly")

PLANTED = {
    "annotator/datasets/planted.py": (
        "import sqlalchemy\nimport httpx\nimport db.tables\nimport starlette\nimport typer\n"
        "import annotator.label_studio.payload.tasks\n"
    ),
    "annotator/label_studio/payload/planted.py": "import annotator.label_studio.client\n",
    "annotator/web/planted.py": "import annotator.label_studio.client\n",
    "cli/dashboard/planted.py": "import uvicorn\n",
    "learner/inference/planted.py": (
        "import learner.bench.bench\nimport lightning_fabric\nimport lmdb\nimport annotator.errors\nimport db.engine\n"
        "import onnxruntime\n"
    ),
    "learner/network/planted.py": "import db.registry\n",
    "db/imaging/planted.py": "import db.registry\nimport torch\n",
}
"""New modules, and what each may not import."""

BROKEN = {
    "Imports point one way",
    "Only db knows SQLAlchemy",
    "The tables and queries are private",
    "The command line reaches the registry",
    "Reading image files knows no SQL",
    "Only learner knows torch",
    "Only learner.distributed knows",
    "Only the cache of framed images knows",
    "Only one module knows ONNX",
    "Only transport opens connections",
    "Only what answers callers knows",
    "What our own servers share",
    "Only cli knows typer",
    "Data sets and Label Studio are strangers",
    "What is sent to Label Studio is built without",
    "The learner's rooms point one way",
    "Networks, losses and measures do not know",
}
"""How the name of every contract begins."""


def lint(folder: Path) -> dict[str, str]:
    """Check the contracts of a tree; returns KEPT or BROKEN by the contract's name."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "400", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(re.findall(r"^(.+?) (KEPT|BROKEN)", done.stdout, re.M))
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept():
    found = lint(ROOT)
    assert set(found.values()) == {"KEPT"}, found
    assert len(found) == len(BROKEN)


def test_a_new_module_cannot_slip_past_any_contract(copy):
    for file, text in PLANTED.items():
        (copy / file).write_text(f'"""Planted."""\n\n{text}')
    found = lint(copy)
    for start in BROKEN:
        name = next(name for name in found if name.startswith(start))
        assert found[name] == "BROKEN", name
