"""Slips of the finger are answered before torch is loaded, with what to type, in a line and under --json a document."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from annotator.datasets.phantoms import write_phantoms
from tests.json_outputs import check_error

ROOT = Path(__file__).parents[2]
CODE = """
import atexit, sys
atexit.register(lambda: print("torch" in sys.modules, file=sys.stderr))
from cli.main import main
sys.argv = ["partly", *sys.argv[1:]]
main()
"""


def run(folder, *words, **environment):
    """Run a command in a process of its own: its exit code, what it says, its document, and whether torch is there."""
    home = {"PARTLY_CONFIG_HOME": str(folder / "config"), "PARTLY_STUDIO_HOME": str(folder / "studio")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "", **home, **environment},
    )  # fmt: skip
    *said, torch = done.stderr.strip().splitlines()
    return done.returncode, " ".join(said), done.stdout, torch == "True"


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """A folder that is no project, an empty project, and two with images."""
    place = tmp_path_factory.mktemp("slips")
    write_phantoms(place / "images", 8, seed=1)
    for name in ("empty", "filled", "connected"):
        assert run(place, "init", name)[0] == 0
    for name in ("filled", "connected"):
        assert run(place / name, "import", "../images", "--layout", "csv")[0] == 0
    return {"none": place} | {name: place / name for name in ("empty", "filled", "connected")}


@pytest.fixture(scope="module")
def refusing():
    """The address of a server that answers as Label Studio does to a wrong token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"detail": "Invalid token."}')

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


NO_RUN = "there is no finished run yet; train one with: partly train"
UNKNOWN_RUN = "there is no run 'run-9'; runs are named like run-1, see: partly runs"
NO_PROJECT = "create one with: partly init"
NO_IMAGES = "register some with: partly import PATH"
UNCONNECTED = "partly studio start"

CASES = [
    *(("none", words, "not_a_project", NO_PROJECT) for words in (
        "status", "next", "list", "show 1", "doctor", "split", "set 1 --class a", "remove 1", "export out --format csv",
        "train", "train --dry-run", "runs", "evaluate", "report", "explain", "propose", "query", "bench overview",
        "open", "push", "pull", "serve", "round", "rounds", "plan", "review", "journal", "log 1", "snapshots", "undo",
        "retract --run run-1", "db check", "cache status", "dashboard",
        "model export m.onnx",
    )),
    *(("empty", words, "no_images", NO_IMAGES) for words in (
        "train", "train --dry-run", "query", "bench overview", "doctor --labels", "round --strategy typical",
    )),
    *(("filled", words, "no_run", NO_RUN) for words in (
        "evaluate", "propose", "report", "explain", "serve", "predict ../images out.csv", "model export m.onnx",
        "model card",
    )),
    ("filled", "train --resume", "no_run", "there is no interrupted run yet; train one with: partly train"),
    ("filled", "plan", "data_invalid", "run one with: partly round"),
    *(("filled", f"{words} run-9", "unknown_run", UNKNOWN_RUN) for words in (
        "evaluate --run", "propose --run", "query --run", "report --run", "serve --run", "list --run", "retract --run",
        "predict ../images out.csv --run", "train --weights", "model export m.onnx --run",
    )),
    ("filled", "model export m.onnx --run nowhere/run-9", "checkpoint_unusable", "there is no such folder"),
    ("filled", "model export m.onnx --format onx", "usage", "did you mean onnx?"),
    ("filled", "model export partly.toml", "conflict", "not named like the file to be written"),
    ("filled", "model export .", "invalid_argument", "is a folder, but --format onnx writes a file"),
    *(("filled", words, "not_connected", UNCONNECTED) for words in (
        "push", "pull", "open", "round", "doctor --label-studio",
    )),
    ("filled", "connect", "no_server", "start it with: partly studio start"),
    ("filled", "connect http://127.0.0.1:1", "no_server", "partly studio start"),
    ("filled", "predict ../images a.png", "invalid_argument", "the last argument is the file to write"),
    ("filled", "train --weights imagnet", "weights_unavailable", "no such file; did you mean imagenet? it is one"),
    ("filled", "train --weights nowhere.safetensors", "weights_unavailable", "nowhere.safetensors: there is no"),
    ("filled", "train --set szie=128", "unknown_setting", "did you mean 'size'?"),
    ("filled", "train --set size=4", "invalid_setting", "size must be at least 32 px"),
    ("filled", "train --set encoder=resnet81", "invalid_setting", "encoder=resnet81; did you mean resnet18?"),
    ("filled", "train --set device=gpu", "invalid_setting", "did you mean cuda?"),
    ("filled", "settings szie", "unknown_setting", "did you mean 'size'?"),
    ("filled", "round --set szie=128", "unknown_setting", "did you mean 'size'?"),
    ("filled", "query --strategy typicl", "unknown_strategy", "did you mean typical?"),
    ("filled", "round --strategy typicl", "unknown_strategy", "did you mean typical?"),
    ("filled", "simulate --data ../images --strategy typicl", "unknown_strategy", "did you mean typical?"),
    ("filled", "simulate --data nowhere", "data_unreadable", "there is no such file or folder"),
    ("filled", "bench overviw", "invalid_argument", "did you mean overview?"),
    ("filled", "cache clear framd", "invalid_argument", "did you mean framed?"),
    ("filled", "list --class benin", "unknown_class", "did you mean 'benign'?"),
    ("filled", "show phantom-00.png", "unknown_image", "did you mean '"),
    ("filled", "log 999", "unknown_image", "list them: partly list"),
    ("filled", "evaluate --split tset", "usage", "did you mean test?"),
    ("filled", "list --split vla", "usage", "did you mean val?"),
    ("filled", "export out --format cocoo", "usage", "did you mean coco?"),
    ("filled", "import ../images --layout cvs", "usage", "did you mean csv?"),
    ("filled", "evalute", "usage", "did you mean evaluate?"),
    ("filled", "evaluate --splt val", "usage", "did you mean --split?"),
    ("filled", "undo 9", "not_found", "list them: partly undo --list"),
    ("filled", "diff abcdef abcdee", "not_found", "see: partly snapshots"),
]  # fmt: skip


@pytest.mark.parametrize(("project", "words", "code", "message"), CASES, ids=lambda value: str(value)[:40])
def test_a_slip_is_answered_at_once(projects, project, words, code, message):
    exit_code, said, document, torch = run(projects[project], *words.split(), "--json")
    assert exit_code not in (0, 1)
    assert message in said
    assert "Traceback" not in said
    error = check_error(json.loads(document))
    assert error["code"] == code
    assert said == f"partly: {error['message']}" + (f"; {error['hint']}" if error["hint"] else "")
    # What to type is apart, but where the message lists what is allowed.
    listed = ("invalid_setting", "data_unreadable", "invalid_argument", "weights_unavailable", "checkpoint_unusable")
    assert error["hint"] or code in listed
    assert not torch


@pytest.mark.parametrize("words", ["connect", "push", "pull", "round", "doctor --label-studio"])
def test_a_wrong_token_is_answered_at_once(projects, refusing, words):
    folder = projects["connected"]
    token = {"PARTLY_LABEL_STUDIO_TOKEN": "wrong-token-123", "PARTLY_LABEL_STUDIO_URL": refusing}
    if words != "connect":
        connect(folder, refusing)
    exit_code, said, document, torch = run(folder, *words.split(), "--json", **token)
    assert exit_code == 3
    error = check_error(json.loads(document))
    assert error["code"] == "bad_token"
    assert "PARTLY_LABEL_STUDIO_TOKEN" in error["hint"]
    assert "wrong-token-123" not in said + document
    assert not torch


def connect(folder, url):
    """Write down that a project is connected, as `partly connect` would if the server let it."""
    from db.registry import open_registry

    registry = open_registry(f"sqlite:///{folder}/registry.sqlite3", folder)
    with registry.begin() as tx:
        tx.connections.use(url=url, project_id=1, media="upload")
    registry.close()


def test_a_new_class_that_is_like_another_is_questioned(projects):
    exit_code, said, _, _ = run(projects["filled"], "set", "1", "--class", "maligant", "--dry-run")
    assert exit_code == 0
    assert "did you mean 'malignant'?" in said
    assert "warning" not in run(projects["filled"], "set", "1", "--class", "malignant", "--dry-run", "--quiet")[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_document_that_cannot_be_written_is_told_on_stderr(tmp_path):
    assert run(tmp_path, "init", ".")[0] == 0
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "partly", "status", "--json"],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (4, False), done.stderr
    assert "No space left on device" in done.stderr
