"""What a dry run says is what then happens: every command that has --dry-run is run twice, and the two compared."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import typer

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import image_ids_of
from cli.main import app
from db.records import Box, NewProposal
from db.registry import create_registry, open_registry

TINY = [
    "--weights", "none", "--set", "encoder=resnet10t", "--set", "size=32", "--set", "epochs=1",
    "--set", "batch_size=8", "--set", "head_channels=8", "--set", "device=cpu",
]  # fmt: skip


def commands_with_dry_run():
    """Every command that has the option, by its full name."""
    found = set()
    todo = [((), typer.main.get_command(app))]
    while todo:
        names, group = todo.pop()
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                todo.append(((*names, name), command))
            elif any("--dry-run" in parameter.opts for parameter in command.params):
                found.add(" ".join((*names, name)))
    return found


class Story:
    """A project at the moment before a command is run."""

    def __init__(self, partly, tmp_path, phantoms, studio, monkeypatch):
        self.partly, self.path, self.phantoms, self.studio, self.monkeypatch = (
            partly, tmp_path, phantoms, studio, monkeypatch
        )  # fmt: skip

    def fresh(self):
        self.partly("init")
        shutil.copytree(self.phantoms, self.path / "data")
        # One file cannot be read, one shows the same as another.
        first, second, *_ = sorted((self.path / "data" / "images").iterdir())
        shutil.copyfile(second, self.path / "data" / "images" / "copy.png")
        table = self.path / "data" / "labels.csv"
        lines = table.read_text().splitlines()
        masks = self.path / "data" / "masks"
        if (masks / second.name).exists():
            shutil.copyfile(masks / second.name, masks / "copy.png")
        again = next(line for line in lines if second.name in line).replace(second.name, "copy.png")
        table.write_text("\n".join([*lines, again]) + "\n")
        first.write_bytes(b"no image")

    def filled(self):
        self.fresh()
        self.partly("import", "data", "--layout", "csv", "--keep-locations", 0.5, expect=4)

    def split(self):
        self.filled()
        self.partly("split", "--val", 0.2, "--test", 0.2)

    def corrected(self):
        self.filled()
        self.partly("set", 3, "--class", "other")

    def trained(self):
        self.split()
        self.partly("train", *TINY)

    def old(self):
        self.partly("init")
        registry = create_registry(f"sqlite:///{self.path}/registry.sqlite3", self.path)
        from db import schema

        schema.downgrade(registry._engine, "0003_sync")
        registry.close()

    def backed_up(self):
        self.filled()
        self.partly("db", "backup", "b.sqlite3")
        for file in self.path.glob("registry.sqlite3*"):
            file.unlink()

    def registry(self):
        return closing(open_registry(f"sqlite:///{self.path}/registry.sqlite3", self.path))

    def proposed(self):
        self.split()
        with self.registry() as registry, registry.begin() as tx:
            run = tx.runs.start(preset="default", config={}, snapshot="s")
            images = [image for image in tx.images.select() if image.label is None and str(image.split) != "test"]
            proposals = [NewProposal(image.id, "benign", 0.9, 0.9, (Box(9, 9, 40, 30),)) for image in images[:9]]
            tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")
            # Lost between the import and the push.
            Path(images[0].path.location).unlink()

    def at_studio(self):
        self.monkeypatch.setenv("PARTLY_STUDIO_HOME", str(self.studio.home))

    def unconnected(self):
        self.filled()
        self.at_studio()

    def connected(self):
        self.proposed()
        self.at_studio()
        self.partly("connect", "--title", f"dry {self.path.name}"[:50])

    def reviewed(self):
        self.connected()
        self.partly("push")
        account = read_account(self.studio)
        with LabelStudioClient(studio_status(self.studio).url, account.token) as client, self.registry() as registry:
            with registry.read() as tx:
                project_id = tx.connections.current().project_id
                images = {image.id: image for image in tx.images.select()}
            tasks = client.list_tasks(project_id, with_annotations=False)
            for n, task in enumerate(tasks):
                number = int(task["data"]["partly_key"].partition("-")[0])
                image = images[number]
                boxes = [Box(9, 9, 40, 30)] if n % 2 else [Box(60, 60, 20, 20)]
                client.create_annotation(int(task["id"]), result_from_boxes(boxes, image.width, image.height))
                if n < 3:
                    # A second opinion that differs: no review holds where all are to agree.
                    other = result_from_boxes([Box(1, 1, 8, 8)], image.width, image.height)
                    client.create_annotation(int(task["id"]), other)
            assert image_ids_of(tasks) == []  # their keys are in full

    def nothing(self):
        pass


OTHER_PORT = "8397"

CASES = {
    "init": ("nothing", ["init"], ()),
    "import": ("fresh", ["import", "data", "--layout", "csv"], ("operation",)),
    "split": ("filled", ["split", "--val", "0.2", "--test", "0.2"], ()),
    "snapshots": ("split", ["snapshots", "--take"], ("taken",)),
    "set": ("filled", ["set", "3", "4", "--class", "other", "--group", "p1"], ("operation",)),
    "remove": ("filled", ["remove", "3", "4"], ("operation",)),
    "undo": ("corrected", ["undo", "1"], ("undo",)),
    "retract": ("filled", ["retract", "--since", "2020-01-01"], ("retraction",)),
    "export": ("split", ["export", "out", "--format", "coco"], ()),
    "train": (
        "filled",
        ["train", *TINY],
        (
            *("run", "epochs", "best", "val", "seconds", "images_per_second", "checkpoint", "weights"),
            # What it takes is measured, and what it sees is counted, for people who decide.
            *("estimate", "seen", "changed"),
        ),
    ),
    "propose": ("trained", ["propose", "--tau", "0", "--picture", "p.png"], ()),
    "query": ("trained", ["query", "--strategy", "random", "--budget", "6", "--tau", "0"], ("query",)),
    "model export": ("trained", ["model", "export", "out/m.pt", "--format", "torchscript"], ("bytes",)),
    "model card": ("trained", ["model", "card"], ()),
    "bench": (
        "split",
        ["bench", "overview", "--seeds", "1", *TINY],
        ("trainings", "reference", "figure"),
    ),
    "cache clear": ("trained", ["cache", "clear"], ()),
    "cache limit": ("fresh", ["cache", "limit", "1GB"], ()),
    "db upgrade": ("old", ["db", "upgrade"], ()),
    "db backup": ("filled", ["db", "backup", "b.sqlite3"], ()),
    "db restore": ("backed_up", ["db", "restore", "b.sqlite3"], ()),
    "studio start": ("at_studio", ["studio", "start"], ()),
    "studio stop": ("nothing", ["studio", "stop"], ()),
    "connect": ("unconnected", ["connect", "--title", "dry connect"], ("project", "address")),
    "push": (
        "connected",
        ["push", "--control-share", "0.3", "--second-share", "0.3", "--catch-share", "0.3"],
        ("plan",),
    ),
    "pull": ("reviewed", ["pull", "--resolve", "unanimous"], ("operation", "plan")),
    "round": ("connected", ["round", *TINY], ("run", "proposed", "pushed")),
    # These list what they would train; what comes of it is another document.
    "simulate": None,
    "demo": None,
}
"""What to prepare, what to type, and which keys can only be known once it is done."""


def without(value, keys):
    """A document without what cannot be known before."""
    if isinstance(value, dict):
        return {key: without(item, keys) for key, item in value.items() if key not in keys}
    return [without(item, keys) for item in value] if isinstance(value, list) else value


def state_of(folder):
    """Everything that is stored in a project: the registry's rows and the files beside it."""
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        # What was decoded once may be kept for next time.
        if path.is_file() and "sqlite3" not in path.name and not {".partly", ".cache"} & {*path.parts}
    }
    rows = []
    if (folder / "registry.sqlite3").exists():
        with closing(sqlite3.connect(folder / "registry.sqlite3")) as connection:
            rows = list(connection.iterdump())
    return files, rows


def test_every_command_is_here():
    assert set(CASES) == commands_with_dry_run()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.thorough if name in ("bench", "studio start") else ())
        for name, case in CASES.items()
        if case is not None
    ],
)
def test_a_dry_run_says_what_then_happens(partly, tmp_path, phantoms, monkeypatch, request, name):
    before, words, later = CASES[name]
    on_server = {"at_studio", "unconnected", "connected", "reviewed"}
    studio = request.getfixturevalue("studio") if before in on_server else None
    getattr(Story(partly, tmp_path, phantoms, studio, monkeypatch), before)()
    # Some of these data sets hold a file that cannot be read: 4 is the exit code of both.
    expect = 4 if name == "import" else 0
    there = state_of(tmp_path)

    def run(*more):
        result = partly(*words, *more, "--json", expect=expect)
        return result if isinstance(result, dict) else json.loads(result.stdout)

    planned = run("--dry-run")
    assert state_of(tmp_path) == there, "a dry run changes nothing"
    done = run()
    keys = {"dry_run", *later}
    if name == "bench":
        # What a method comes to is known once it is trained.
        for document in (planned, done):
            document["rows"] = [row["method"] for row in document["rows"]]
    assert without(planned, keys) == without(done, keys)
    assert planned.get("dry_run", True) is not False
    assert set(planned) - set(later) == set(done) - set(later)


def test_studio_start_refuses_another_port_in_a_dry_run_too(partly, studio, monkeypatch):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    for more in ([], ["--dry-run"]):
        assert "already running" in partly("studio", "start", "--port", OTHER_PORT, *more, expect=3).stderr


def test_demo_names_the_same_folder(partly, tmp_path):
    (tmp_path / "partly-demo").mkdir()
    (tmp_path / "partly-demo" / "mine.txt").write_text("x")
    planned = partly("demo", "--dry-run", "--json")
    assert planned == {"dry_run": True, "project": str(tmp_path / "partly-demo-2"), "data": "phantoms"}
    assert not (tmp_path / "partly-demo-2").exists()
