"""Predictions outside the registry: every format read back by who uses it, files that cannot be read, resumption."""

import csv
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from pycocotools.coco import COCO

import cli.workflows.predict
import learner.inference.predict_files
from annotator.datasets.formats.names import PredictionFormat
from annotator.datasets.phantoms import write_phantoms
from annotator.label_studio.payload.labeling_config import interface
from annotator.prediction_formats import PredictionSet, write_predictions
from db.records import Box
from db.records.predictions import FilePrediction

CONFIG = ("encoder=resnet10t", "size=48", "batch_size=8", "head_channels=8", "device=cpu", "presence=false",
          "stage1_epochs=1", "stage2_epochs=1", "min_steps=60")  # fmt: skip
TRAIN = ["train", "--weights", "none", *(word for setting in CONFIG for word in ("--set", setting))]
"""Enough that boxes are found."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a run, and images that it does not know beside it, one of them no image."""
    from typer.testing import CliRunner

    from cli.main import app

    place = tmp_path_factory.mktemp("predict")
    write_phantoms(place / "known", 32, seed=1)
    write_phantoms(place / "new", 12, seed=2)
    imported = ["import", place / "known", "--layout", "csv", "--keep-locations", "0.5"]
    for words in (["init", place / "project"], imported, ["split", "--val", "0.2"], TRAIN):
        project = [] if words[0] == "init" else ["--project", place / "project"]
        done = CliRunner().invoke(app, [str(word) for word in [*words, *project]])
        assert done.exit_code == 0, done.output + done.stderr
    images = place / "new" / "images"
    (images / "deeper").mkdir()
    next(images.glob("*.png")).rename(images / "deeper" / "moved.png")
    (images / "broken.png").write_bytes(b"no image at all")
    return place


def images_of(trained):
    return sorted(str(path) for path in (trained / "new" / "images").rglob("*.png") if path.name != "broken.png")


def test_every_format_says_the_same(partly, trained, tmp_path):
    project, images = ["--project", trained / "project"], trained / "new" / "images"
    before = partly("status", *project, "--json")
    said = partly("predict", images, "out.csv", *project, "--json")
    assert (said["run"], said["images"], said["format"]) == ("run-1", 12, "csv")
    ((broken,),) = [said["unreadable"]]
    assert broken["file"] == str(images / "broken.png")
    assert "image" in broken["reason"]
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted({row["image"] for row in rows}) == images_of(trained)
    with_boxes = [row for row in rows if row["x"]]
    assert len(with_boxes) == said["boxes"] > 0
    partly("predict", images, "out.json", "--format", "coco", *project)
    coco = COCO(str(tmp_path / "out.json"))
    found = [
        [coco.imgs[one["image_id"]]["file_name"], *one["bbox"], one["score"], coco.cats[one["category_id"]]["name"]]
        for one in coco.loadAnns(coco.getAnnIds())
    ]
    columns = ("x", "y", "width", "height", "box_score")
    expected = [[row["image"], *(float(row[name]) for name in columns), row["class"]] for row in with_boxes]
    for one, other in zip(found, expected, strict=True):
        assert one[0] == other[0]
        assert one[1:6] == pytest.approx(other[1:6], abs=1e-3)
        assert one[6] == other[6]
    partly("predict", images, "labels", "--format", "yolo", *project)
    with (tmp_path / "labels" / "images.csv").open(newline="") as stream:
        files = {row["image"]: tmp_path / "labels" / "labels" / row["labels"] for row in csv.DictReader(stream)}
    names = ["benign", "malignant", "normal"]
    for image, file in files.items():
        (size,) = [coco.imgs[key] for key in coco.imgs if coco.imgs[key]["file_name"] == image]
        lines = [line.split() for line in file.read_text().splitlines()]
        boxes = np.array([[float(value) for value in line[1:5]] for line in lines]).reshape(-1, 4)
        boxes *= [size["width"], size["height"]] * 2
        boxes[:, :2] -= boxes[:, 2:] / 2
        wanted = np.array([row[1:5] for row in expected if row[0] == image]).reshape(-1, 4)
        assert boxes == pytest.approx(wanted, abs=0.01)
        assert {names[int(line[0])] for line in lines} <= {row[6] for row in expected if row[0] == image}
    assert partly("status", *project, "--json") == before, "the registry knows nothing of it"
    assert not list(tmp_path.glob(".*scored*"))


def test_what_is_said_is_what_a_proposal_says(partly, trained):
    """The same network on the same file, whether it is registered or not."""
    project = ["--project", trained / "project"]
    items = partly("propose", "--tau", "0", "--dry-run", *project, "--json")["items"]
    proposed = {item["path"]: item for item in items}
    partly("predict", *proposed, "out.json", "--format", "coco", *project)
    coco = COCO("out.json")
    assert len(coco.imgs) == len(proposed) > 5
    for key, image in coco.imgs.items():
        item = proposed[image["file_name"]]
        assert image["class_probability"] == pytest.approx(item["class_probability"], abs=1e-4) or (
            # A proposal names the known class.
            image["class"] != item["class"]
        )
        boxes = [one["bbox"] for one in coco.imgToAnns[key]]
        assert boxes == [pytest.approx(box, abs=1e-3) for box in item["boxes"]]


def test_a_command_that_was_cut_goes_on(partly, trained, tmp_path, monkeypatch):
    project, images = ["--project", trained / "project"], trained / "new" / "images"
    partly("predict", images, "whole.csv", *project)
    real = learner.inference.predict_files.predict_files
    scored = []

    def cut(model, files, **more):
        for number, one in enumerate(real(model, files, **more)):
            if number == 5:
                raise KeyboardInterrupt
            scored.append(one)
            yield one

    with monkeypatch.context() as patched:
        patched.setattr(learner.inference.predict_files, "predict_files", cut)
        partly("predict", images, "out.csv", *project, expect=130)
    (journal,) = tmp_path.glob(".out.csv*")
    journal.write_text(journal.read_text() + '{"file": "cut sho')
    assert not (tmp_path / "out.csv").exists()
    again = partly("predict", images, "out.csv", *project, "--json")
    assert (again["resumed"], again["images"]) == (5, 12)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".out.csv*"))
    with FileLock(f"{journal}.lock"):
        assert "another partly predict is writing" in partly("predict", images, "out.csv", *project, expect=4).stderr
    journal.write_text(json.dumps({"run": "run-7"}) + "\n")
    refused = partly("predict", images, "out.csv", *project, expect=2)
    assert "scored with run-7" in refused.stderr


def test_a_runs_folder_is_enough(partly, trained, tmp_path):
    """As it was sent to somebody who has no project."""
    shutil.copytree(trained / "project" / "runs" / "run-1", tmp_path / "sent" / "run-1")
    said = partly("predict", trained / "new" / "images", "out.csv", "--run", "sent/run-1", "--json")
    assert (said["run"], said["images"]) == ("run-1", 12)
    image = trained / "new" / "images" / "deeper" / "moved.png"
    before = image.read_bytes()
    (tmp_path / "folder").mkdir()
    run = ["--run", "sent/run-1"]
    for words, code, message in (
        (["nowhere", "out.csv", *run], 2, "there is no such file or folder"),
        (["sent", "out.csv", *run], 2, "no image was found in sent"),
        ([trained / "new", image, *run], 2, "the last argument is the file to write"),
        ([trained / "new", "results.PNG", *run], 2, "the last argument is the file to write"),
        ([trained / "new", "folder", *run], 2, "folder is a folder, but a file is written"),
        ([trained / "new", ".", *run], 2, "is a folder, but a file is written"),
        ([trained / "new", "out.csv", "--format", "yolo", *run], 2, "out.csv is a file, but a folder is written"),
        ([trained / "new", "out", "--run", "sent/"], 5, "no complete checkpoint"),
        ([trained / "new", "out", "--run", "sent/run-2"], 5, "there is no such folder"),
        ([trained / "new", "out"], 4, "partly init"),
    ):
        assert message in partly("predict", *words, expect=code).stderr, words
    assert image.read_bytes() == before


def test_what_was_not_read_or_has_changed_is_tried_again(partly, trained, tmp_path, monkeypatch):
    """After a cut; and names that are no text, and links out of the folder, are named and left out."""
    project, images = ["--project", trained / "project"], tmp_path / "images"
    sources = [path for path in images_of(trained) if "deeper" not in path][:4]
    images.mkdir()
    for name, source in zip(("a.png", "b.png", "c.png"), sources, strict=False):
        shutil.copy(source, images / name)
    (images / "bad.png").write_bytes(b"x")
    (images / "link.png").symlink_to(sources[3])
    Path(os.fsdecode(os.fsencode(images) + b"/odd\xff.png")).write_bytes(Path(sources[3]).read_bytes())
    monkeypatch.setattr(cli.workflows.predict, "write_predictions", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    partly("predict", images, "out.csv", *project, expect=130)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    shutil.copy(sources[3], images / "bad.png")
    shutil.copy(sources[3], images / "b.png")
    said = partly("predict", images, "out.csv", *project, "--json")
    assert (said["resumed"], said["images"]) == (2, 4)
    reasons = {Path(one["file"]).name: one["reason"] for one in said["unreadable"]}
    assert reasons.keys() == {"link.png", "odd\\udcff.png"}
    assert "outside" in reasons["link.png"]
    assert "UTF-8" in reasons["odd\\udcff.png"]
    rows = {Path(row["image"]).name: row for row in csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))}
    assert {**rows["b.png"], "image": ""} == {**rows["bad.png"], "image": ""}, "the file that was replaced"


def test_labels_of_images_with_one_name_lie_in_files_of_their_own(tmp_path):
    one = FilePrediction("x/a.png", 10, 10, None, None, 0.5, None, (Box(1, 1, 2, 2),), (0.5,))
    files = ("x/a.png", "y/a.png", "z/a-2.png", "z/A.png")
    said = PredictionSet([replace(one, file=file) for file in files], ["benign"], "run-1")
    write_predictions(said, PredictionFormat.YOLO, tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "images.csv").read_text())))
    assert [row["image"] for row in rows] == list(files)
    assert len({row["labels"].casefold() for row in rows}) == len(list((tmp_path / "out" / "labels").iterdir())) == 4
    assert 'names:\n  0: "lesion"' in (tmp_path / "out" / "classes.yaml").read_text()
    write_predictions(said, PredictionFormat.COCO, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["categories"] == [{"id": 1, "name": "lesion"}]


@pytest.mark.studio
def test_label_studio_shows_it(partly, trained, tmp_path, client):
    images, project = trained / "new" / "images", ["--project", trained / "project"]
    partly("predict", images, "tasks.json", "--format", "labelstudio", *project)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    project = client.create_project("predicted", interface())
    ids = client.import_tasks(project.id, tasks)
    with_boxes = 0
    for task_id, task in zip(ids, tasks, strict=True):
        (shown,) = client.get_task(task_id)["predictions"]
        assert shown["model_version"] == "run-1"
        assert shown["score"] == pytest.approx(task["predictions"][0]["score"])
        assert shown["result"] == task["predictions"][0]["result"]
        with_boxes += any(region["type"] == "rectanglelabels" for region in shown["result"])
    assert with_boxes
