"""Slips of the finger are answered before torch is loaded, with what to type."""

import subprocess
import sys
from pathlib import Path

import pytest

from annotator.datasets.phantoms import write_phantoms

ROOT = Path(__file__).parents[2]
CODE = """
import atexit, sys
atexit.register(lambda: print("torch" in sys.modules, file=sys.stderr))
from cli.main import main
sys.argv = ["partly", *sys.argv[1:]]
main()
"""


def run(folder, *words):
    """Run a command in a process of its own; its exit code, the last line that it says, and whether it loaded torch."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    *said, torch = done.stderr.strip().splitlines()
    return done.returncode, " ".join(said), torch == "True"


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """A folder that is no project, an empty project, and one with images."""
    place = tmp_path_factory.mktemp("slips")
    write_phantoms(place / "images", 8, seed=1)
    for words in (["init", "empty"], ["init", "filled"]):
        assert run(place, *words)[0] == 0
    assert run(place / "filled", "import", "../images", "--layout", "csv")[0] == 0
    return {"none": place, "empty": place / "empty", "filled": place / "filled"}


NO_RUN = "there is no finished run yet; train one with: partly train"
UNKNOWN_RUN = "there is no run 'run-9'; runs are named like run-1, see: partly runs"


@pytest.mark.parametrize(
    ("project", "words", "message"),
    [
        ("none", "evaluate", "create one with: partly init"),
        ("none", "train", "create one with: partly init"),
        ("empty", "train", "register some with: partly import PATH"),
        ("filled", "evaluate", NO_RUN),
        ("filled", "propose", NO_RUN),
        ("filled", "report", NO_RUN),
        ("filled", "explain", NO_RUN),
        ("filled", "predict ../images out.csv", NO_RUN),
        ("filled", "predict ../images a.png", "the last argument is the file to write"),
        ("none", "model export m.onnx", "create one with: partly init"),
        ("filled", "model export m.onnx", NO_RUN),
        ("filled", "model card", NO_RUN),
        ("filled", "model export m.onnx --run run-9", UNKNOWN_RUN),
        ("filled", "model export m.onnx --run nowhere/run-9", "there is no such folder"),
        ("filled", "model export m.onnx --format onx", "'onnx', 'torchscript', 'safetensors'"),
        ("filled", "model export partly.toml", "partly.toml is there already; --force writes over it"),
        ("filled", "model export .", "is a folder, and --format onnx writes a file"),
        ("filled", "evaluate --run run-9", UNKNOWN_RUN),
        ("filled", "propose --run run-9", UNKNOWN_RUN),
        ("filled", "query --run run-9", UNKNOWN_RUN),
        ("filled", "train --weights imagnet", "there is no such file; did you mean imagenet? it is one of auto"),
        ("filled", "train --weights nowhere.safetensors", "nowhere.safetensors: there is no such file; it is one of"),
        ("filled", "train --weights run-9", UNKNOWN_RUN),
        ("filled", "train --set szie=128", "did you mean 'size'?"),
        ("filled", "evalute", "evaluate"),
        ("filled", "evaluate --splt val", "--split"),
    ],
)
def test_a_slip_is_answered_at_once(projects, project, words, message):
    code, said, torch = run(projects[project], *words.split())
    assert code != 0
    assert message in said
    assert "Traceback" not in said
    assert not torch
