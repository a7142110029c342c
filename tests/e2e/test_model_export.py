"""A trained model leaves its project: every format says what `partly predict` says, and the documented lines run."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import learner.export.agreement
import learner.export.onnx_file
from annotator.datasets.phantoms import write_phantoms
from learner.export.usage import ONNX, TORCHSCRIPT

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
CONFIG = ("encoder=resnet10t", "size=48", "batch_size=8", "head_channels=8", "device=cpu", "normalize=unit",
          "stage1_epochs=1", "stage2_epochs=1", "min_steps=60")  # fmt: skip
TRAIN = ["train", "--weights", "none", *(word for setting in CONFIG for word in ("--set", setting))]
"""Enough that boxes are found."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A project with a run, and images that it does not know beside it: one portrait, one grey."""
    from typer.testing import CliRunner

    from cli.main import app

    folder = tmp_path_factory.mktemp("models")
    write_phantoms(folder / "known", 32, seed=1)
    write_phantoms(folder / "new", 10, seed=2)
    imported = ["import", folder / "known", "--layout", "csv", "--keep-locations", "0.5"]
    for words in (["init", folder / "project"], imported, ["split", "--val", "0.2", "--test", "0.2"], TRAIN):
        project = [] if words[0] == "init" else ["--project", folder / "project"]
        done = CliRunner().invoke(app, [str(word) for word in [*words, *project]])
        assert done.exit_code == 0, done.output + done.stderr
    images = sorted((folder / "new" / "images").iterdir())
    with Image.open(images[0]) as image:
        image.convert("L").save(images[0])
    with Image.open(images[1]) as image:
        image.convert("RGB").resize((image.height, int(image.width * 1.2))).save(images[1])
    return folder


@pytest.fixture(scope="module")
def onnx(place):
    """The run as ONNX, written once."""
    from typer.testing import CliRunner

    from cli.main import app

    words = ["--project", place / "project", "model", "export", place / "onnx" / "model.onnx", "--json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output + done.stderr
    return json.loads(done.stdout)


def images_of(place):
    return sorted((place / "new" / "images").iterdir())


def predicted(partly, place, *words):
    """What `partly predict` says about the new images, by file."""
    out = place / "said.csv"
    partly("predict", *images_of(place), out, *words)
    rows = {}
    with out.open(newline="") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(Path(row["image"]).name, []).append(row)
    return rows


def blocks():
    """The Python of the page, as it stands there."""
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def as_boxes(rows):
    return sorted(tuple(float(row[key]) for key in ("x", "y", "width", "height")) for row in rows if row["x"])


def test_the_documented_lines_say_what_predict_says(partly, place, onnx, tmp_path, monkeypatch, capsys):
    said = predicted(partly, place, "--project", place / "project")
    first, several, torchscript = blocks()
    assert first == ONNX
    assert torchscript == TORCHSCRIPT
    lone, found = 0, 0
    shutil.copy(place / "onnx" / "model.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    for image in images_of(place):
        shutil.copy(image, "image.png")
        names = {}
        exec(compile(first, "models.md", "exec"), names)
        exec(compile(several, "models.md", "exec"), names)
        rows, heard = said[image.name], names["said"]
        assert names["classes"] == ["benign", "malignant", "normal"]
        assert names["classes"][int(heard["class_probability"].argmax())] == rows[0]["class"]
        assert heard["class_probability"].max() == pytest.approx(float(rows[0]["class_probability"]), abs=1e-4)
        assert heard["presence"][0] == pytest.approx(float(rows[0]["presence"]), abs=1e-4)
        assert heard["score"][0] == pytest.approx(float(rows[0]["score"]), abs=1e-3)
        assert heard["mask"].shape == names["image"].shape[:2]
        boxes = as_boxes(rows)
        assert sorted(names["boxes"]) == [pytest.approx(box, abs=1) for box in boxes]
        found += len(boxes)
        if names["number"] == 1:
            ((x, y, width, height),) = boxes
            assert names["box"] == pytest.approx((x, y, x + width, y + height), abs=1)
            lone += 1
        assert f"score: {float(heard['score'][0])}" in capsys.readouterr().out
    assert found >= 3
    assert lone >= 1


def test_what_was_exported_is_described(partly, place, onnx):
    assert (onnx["run"], onnx["format"]) == ("run-1", "onnx")
    assert onnx["files"] == ["model.onnx", "MODEL_CARD.md"]
    assert onnx["inputs"] == {"image": {"dtype": "uint8", "shape": ["height", "width", 3]}}
    assert list(onnx["outputs"]) == ["class_probability", "presence", "score", "mask"]
    assert onnx["outputs"]["class_probability"]["shape"] == [3]
    assert onnx["checked"]["images"] == 5
    assert 0 <= onnx["checked"]["largest_difference"] < onnx["checked"]["tolerance"] == 1e-4
    assert onnx["metadata"]["normalize"] == "unit"
    assert onnx["bytes"] == (place / "onnx" / "model.onnx").stat().st_size
    card = (place / "onnx" / "MODEL_CARD.md").read_text()
    assert onnx["metadata"]["weights_sha256"] in card
    lines = ONNX.replace("model.onnx", "model.onnx").strip()
    assert lines in card


def test_torchscript_says_what_onnx_says(partly, place, onnx, tmp_path):
    project = ["--project", place / "project"]
    shown = partly("model", "export", "out/model.pt", "--format", "torchscript", *project)
    assert "largest difference" in shown.output
    assert "next: see out/MODEL_CARD.md for the code that runs it" in shown.output
    answer = learner.export.onnx_file.onnx_answer((place / "onnx" / "model.onnx").read_bytes())
    *_, lines = blocks()
    for image in images_of(place)[:3]:
        shutil.copy(image, "image.png")
        shutil.copy("out/model.pt", "model.pt")
        names = {}
        exec(compile(lines, "models.md", "exec"), names)
        wanted = answer(names["image"])
        assert names["classes"] == ["benign", "malignant", "normal"]
        assert names["said"].keys() == wanted.keys()
        for name, value in names["said"].items():
            assert isinstance(value, torch.Tensor)
            assert value.numpy() == pytest.approx(wanted[name], abs=1e-4), name


@pytest.mark.thorough
def test_a_portable_folder_works_without_a_project(partly, place, tmp_path):
    """And in another project, and as what a training starts from; it names no image and no path of this machine."""
    said = predicted(partly, place, "--project", place / "project")
    partly("model", "export", "handed", "--format", "safetensors", "--project", place / "project")
    names = {file.name for file in (tmp_path / "handed").iterdir()}
    assert {"checkpoint.json", "MODEL_CARD.md"} < names
    assert len(names) == 3
    description = (tmp_path / "handed" / "checkpoint.json").read_text()
    assert not {"images", "choosing", "seen_before", "history", "lists"} & json.loads(description).keys()
    assert str(place) not in description
    shutil.move("handed", place / "elsewhere")
    assert predicted(partly, place, "--run", place / "elsewhere") == said
    # What came out of it can be exported again, and described, without a project.
    again = partly("model", "export", "m.pt", "--format", "torchscript", "--run", place / "elsewhere", "--json")
    assert (again["run"], again["checked"]["images"]) == ("elsewhere", 5)
    card = partly("model", "card", "card.md", "--run", place / "elsewhere", "--json")
    assert card["evaluated"]["test"] is None
    partly("init", "other")
    partly("import", place / "known", "--layout", "csv", "--project", "other")
    started = partly(*TRAIN[:1], "--weights", place / "elsewhere", *TRAIN[3:], "--project", "other", "--json")
    assert started["run"] == "run-1"


def test_force_writes_over_an_export_and_nothing_else(partly, place, tmp_path):
    export = ["model", "export", "--format", "safetensors", "--project", place / "project", "--json"]
    run = place / "project" / "runs" / "run-1"
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
    assert "a training run's own checkpoint" in partly(*export, run, "--force", expect=4).stderr
    assert {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()} == before
    partly(*export, "folder")
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    stranger = tmp_path / "folder" / "checkpoint-00500.safetensors"
    stranger.write_bytes(b"another program's")
    description = tmp_path / "folder" / "checkpoint.json"
    said = json.loads(description.read_text())
    (weights,) = (file for file in description.parent.glob("checkpoint-*.safetensors") if file != stranger)
    # As if it had been another run's.
    weights.rename(weights.with_name(f"checkpoint-{'0' * 12}.safetensors"))
    description.write_text(json.dumps(said | {"sha256": "0" * 64}))
    assert "overwrite it with --force" in partly(*export, "folder", expect=4).stderr
    partly(*export, "folder", "--force")
    names = {file.name for file in description.parent.iterdir()}
    assert names == {"MODEL_CARD.md", stranger.name, weights.name, "checkpoint.json", "notes.txt"}


def test_a_card_of_something_else_stands_in_the_way(partly, place, tmp_path):
    (tmp_path / "MODEL_CARD.md").write_text("# Another model\n")
    words = ["model", "export", "m.pt", "--format", "torchscript", "--project", place / "project"]
    assert "MODEL_CARD.md already exists" in partly(*words, expect=4).stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["MODEL_CARD.md"]
    partly(*words, "--force")
    assert "Weights SHA-256" in (tmp_path / "MODEL_CARD.md").read_text()
    (tmp_path / "MODEL_CARD.md").write_text((tmp_path / "MODEL_CARD.md").read_text() + "\nEdited by hand.\n")
    (tmp_path / "m.pt").unlink()
    said = partly(*words, "--json")
    assert (said["files"], said["card_kept"]) == (["m.pt"], True)
    assert "Edited by hand." in (tmp_path / "MODEL_CARD.md").read_text()


def test_nothing_is_left_of_an_export_that_fails(partly, place, tmp_path, monkeypatch):
    words = ["model", "export", "out/m.pt", "--format", "torchscript", "--project", place / "project"]
    with monkeypatch.context() as patched:
        patched.setattr(learner.export.agreement, "TOLERANCE", -1.0)
        refused = partly(*words, expect=5)
        assert "does not agree with its network" in refused.stderr
        assert "nothing was written" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    real = Path.write_bytes

    def full(path, content):
        if path.name.startswith(".m.pt"):
            real(path, content[:1000])
            raise OSError(28, "No space left on device", str(path))
        return real(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        assert "No space left on device" in partly(*words, expect=4).stderr
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_no_runs_are_refused(partly, place, tmp_path):
    run = tmp_path / "run-1"
    shutil.copytree(place / "project" / "runs" / "run-1", run)
    (weights,) = run.glob("checkpoint-*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "checkpoint.json").write_text('{"format": 2, "weights": "x", "classes": "all of them"}')
    for folder, message in (
        ("run-1/", "damaged: the content does not match the checksum"),
        ("empty/", "no complete checkpoint (checkpoint.json is missing)"),
        ("foreign/", "cannot be read as a checkpoint (classes is"),
        ("nowhere/run-1", "there is no such folder"),
    ):
        for layout in ("torchscript", "safetensors"):
            refused = partly("model", "export", "out.x", "--format", layout, "--run", folder, expect=5)
            assert message in refused.stderr, folder
            assert not (tmp_path / "out.x").exists()
    assert "checkpoint.json is missing" in partly("model", "card", "c.md", "--run", "empty/", expect=5).stderr


def test_the_card_says_what_was_evaluated(partly, place, tmp_path):
    project = ["--project", place / "project"]
    before = partly("model", "card", "before.md", *project, "--json")
    assert before["evaluated"]["test"] is None
    assert before["certified"] is False
    evaluated = partly("evaluate", "--split", "test", *project, "--json")
    after = partly("model", "card", "after.md", *project, "--json")
    assert after["evaluated"] == {"val": before["evaluated"]["val"], "test": evaluated["n"]}
    card = (tmp_path / "after.md").read_text()
    found = re.search(r"\| accuracy \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", card.split("### Test")[1])
    value, low, high = map(float, found.groups())
    assert value == pytest.approx(evaluated["classification"]["accuracy"], abs=1e-3)
    assert low <= value <= high
    assert "already exists" in partly("model", "card", "after.md", *project, expect=4).stderr
    shown = partly("model", "card", *project)
    assert (place / "project" / "reports" / "run-1" / "MODEL_CARD.md").is_file()
    assert "reports/run-1/MODEL_CARD.md" in shown.output.replace("\n", "")
    counted = re.findall(r"\| (benign|malignant|normal) \| (train|val|test) \| (\d+) \| (\d+) \| 0 \| (\d+) \|", card)
    status = partly("status", *project, "--json")
    assert sum(int(row[4]) for row in counted) == status["images"]["total"]
    assert sum(int(row[2]) for row in counted) == status["images"]["fully"]


def test_the_check_is_against_the_run_that_is_exported(partly, place, onnx, monkeypatch):
    """Other weights behind the same settings would be noticed: the file's own answers are compared."""
    from learner.export import export_model

    real = export_model._written

    def of_another(source, model, request, metadata):
        for parameter in model.network.parameters():
            parameter.data.mul_(1.5)
        files, answer = real(source, model, request, metadata)
        for parameter in model.network.parameters():
            parameter.data.div_(1.5)
        return files, answer

    monkeypatch.setattr(export_model, "_written", of_another)
    words = ["model", "export", "m.pt", "--format", "torchscript", "--project", place / "project"]
    assert "does not agree with its network" in partly(*words, expect=5).stderr
    assert np.isfinite(onnx["checked"]["largest_difference"])
