"""The comparison with other tools: every method is given the same, and is measured by the same rows."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from peer_methods import faster_rcnn, own, yolo
from peer_methods.answers import Answer, Outcome, class_probabilities, read_outcome, rows_of, write_outcome
from peer_methods.task import make_task, open_project
from peers import difference, main

from annotator.datasets.phantoms import write_phantoms
from db.progress import SilentProgress
from db.records import Box
from learner.config import make_config
from learner.data.location_share import hide_locations
from learner.evaluation.aggregate import summarize_results
from tests.builders import image_record, label_record

pytestmark = pytest.mark.thorough

CLASSES, EMPTY = ("benign", "malignant", "normal"), ("normal",)


@pytest.fixture
def project(tmp_path):
    write_phantoms(tmp_path / "set", 36, seed=11)
    registry = open_project(tmp_path / "set", tmp_path / "project", SilentProgress())
    yield registry
    registry.close()


@pytest.fixture
def task(project, tmp_path):
    return make_task(project, 0.5, 1, 0.05, tmp_path / "work")


def test_every_method_knows_what_partlys_own_training_knows(project, task):
    with project.read() as tx:
        records = {image.id: image for image in tx.images.select()}
    assert {records[image.id].split.value for image in task.train} == {"train"}
    shown = hide_locations([records[image.id] for image in task.train], 0.5, 1)
    assert [image.is_located for image in task.train] == [image.is_located for image in shown]
    assert 0.4 < sum(image.is_located for image in task.train) / len(task.train) < 0.7
    assert not {image.id for image in (*task.train, *task.val)} & set(task.test)
    assert task.empty == ("normal",)


def test_the_same_project_is_opened_again(project, tmp_path):
    again = open_project(tmp_path / "nothing", tmp_path / "project", SilentProgress())
    with again.read() as tx:
        assert len(tx.images.select()) == 36
    again.close()


def test_probabilities_of_classes_are_those_of_the_surest_boxes():
    boxes = (Box(0, 0, 5, 5),) * 3
    answer = Answer(1, boxes, (0.6, 0.2, 0.3), ("malignant", "benign", "malignant"))
    # .2, .6 and 1 - .6, of 1.2.
    assert class_probabilities(answer, CLASSES, EMPTY) == pytest.approx((0.2 / 1.2, 0.6 / 1.2, 0.4 / 1.2))
    assert class_probabilities(Answer(1, (), (), ()), CLASSES, EMPTY) == (0.0, 0.0, 1.0)
    assert class_probabilities(Answer(1, (), (), ()), CLASSES[:2], ()) == (0.5, 0.5)


def test_boxes_that_are_shown_make_iou_and_all_make_ap50():
    truth = Box(10, 10, 20, 20)
    image = image_record(id=7, width=100, height=100, class_name="benign", label=label_record(truth))
    answer = Answer(7, (truth, Box(50, 50, 20, 20)), (0.2, 0.6), ("benign", "malignant"))
    shown, ranked = rows_of([answer], {7: image}, CLASSES, EMPTY, shown_from=0.5)
    assert (shown[0].boxes, shown[0].iou, shown[0].right) == ((Box(50, 50, 20, 20),), 0.0, 0.0)
    # The right box is the second of two: a precision of a half at every recall.
    assert summarize_results(ranked, CLASSES).localization.ap50_all == pytest.approx(0.5)
    assert shown[0].lesion_share == pytest.approx(0.04)


def test_how_many_steps_fit_into_a_time():
    # 10 steps of 2 stages in 25 s, 20 in 45 s: a second a step and 5 s beside; 95% of 2 minutes are 114 s.
    assert own.steps_within(2, (10, 20), (25.0, 45.0), stages=2) == int((114 - 5) / 2)
    assert own.steps_within(0.001, (10, 20), (25.0, 45.0), stages=2) == 1


def test_an_outcome_is_kept_and_read_back(tmp_path):
    truth = Box(10, 10, 20, 20)
    image = image_record(id=7, width=100, height=100, class_name="benign", label=label_record(truth))
    shown, ranked = rows_of([Answer(7, (truth,), (0.7,), ("benign",))], {7: image}, CLASSES, EMPTY, shown_from=0.5)
    outcome = Outcome("YOLO", 0.25, 1, 14.5, "none", "640 px", CLASSES, tuple(shown), tuple(ranked))
    write_outcome(tmp_path / "new" / "outcome.json", outcome)
    assert read_outcome(tmp_path / "new" / "outcome.json") == outcome
    assert read_outcome(tmp_path / "none.json") is None


def test_a_lead_is_that_of_the_mean_over_seeds(task):
    def outcomes(name, found):
        answers = [
            Answer(
                number,
                image.boxes if found else (),
                (0.9,) * len(image.boxes) if found else (),
                (image.class_name,) * len(image.boxes) if found else (),
            )
            for number, image in task.test.items()
        ]
        rows = tuple(rows_of(answers, task.test, task.classes, task.empty, shown_from=0.5)[0])
        return [Outcome(name, 0.5, seed, 1, "none", "1", task.classes, rows, rows) for seed in (0, 1)]

    # One finds everything exactly, and the other nothing.
    assert difference(outcomes("a", True), outcomes("b", False), "iou", "shown", task) == "+1.000 (+1.000 to +1.000)"
    assert difference(outcomes("a", True), outcomes("b", True), "iou", "shown", task) == "+0.000 (+0.000 to +0.000)"


def test_yolo_is_given_the_shown_boxes_and_no_others(task, tmp_path):
    described, tested = yolo.write_layout(task, tmp_path / "yolo")
    names = yaml.safe_load(described.read_text())["names"]
    assert names == ["benign", "malignant"]
    written = {file.stem for file in (tmp_path / "yolo" / "images" / "train").iterdir()}
    assert written == {str(image.id) for image in task.train if image.is_located}
    for image in task.train:
        if not image.is_located:
            continue
        lines = (tmp_path / "yolo" / "labels" / "train" / f"{image.id}.txt").read_text().splitlines()
        assert len(lines) == len(image.boxes)
        for line, box in zip(lines, image.boxes, strict=True):
            number, x, y, width, height = line.split()
            assert names[int(number)] == image.class_name
            assert float(x) == pytest.approx((box.x + box.width / 2) / image.width, abs=1e-6)
            assert float(y) == pytest.approx((box.y + box.height / 2) / image.height, abs=1e-6)
            assert float(width) * image.width == pytest.approx(box.width, abs=1e-3)
            assert float(height) * image.height == pytest.approx(box.height, abs=1e-3)
    assert len(tested) == len(task.test)
    # Boxes of test images are nowhere.
    assert not (tmp_path / "yolo" / "labels" / "test").exists()


def test_faster_rcnn_answers_for_every_test_image(task):
    answers, weights, steps = faster_rcnn.train(replace(task, minutes=5), sizes=(64, 96), most_steps=2)
    assert [answer.image for answer in answers] == list(task.test)
    assert steps == "2 steps of 4"
    assert weights.startswith(("ImageNet (", "none ("))
    for answer in answers:
        assert len(answer.boxes) == len(answer.scores) == len(answer.classes)
        assert set(answer.classes) <= {"benign", "malignant"}


def test_a_comparison_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    write_phantoms(tmp_path / "set", 36, seed=11)
    words = [str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--shares", "0.5", "--seeds", "1"]
    words += ["--minutes", "0.02", "--json", str(tmp_path / "numbers.json")]
    settings = {"encoder": "test_resnet", "size": 32, "head_channels": 8, "device": "cpu", "weights": "none"}
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    monkeypatch.setattr("sys.argv", ["peers.py", *words, "--only", "default"])
    assert main() == 0
    monkeypatch.setattr("sys.argv", ["peers.py", *words, "--only", "default, located images alone"])
    trained = shutil.copytree(tmp_path / "out" / "trained", tmp_path / "before")
    assert main() == 0
    printed = capsys.readouterr().out
    assert printed.count("seed 0") == 2
    kept = json.loads((tmp_path / "out" / "trained" / "default, 0.5, 0" / "outcome.json").read_text())
    assert kept == json.loads((trained / "default, 0.5, 0" / "outcome.json").read_text())
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert [row["method"] for row in numbers] == ["default", "default, located images alone"]
    assert numbers[1]["leads"]["iou"]


def test_a_method_that_there_is_not_is_refused(tmp_path, monkeypatch, capsys):
    write_phantoms(tmp_path / "set", 36, seed=11)
    monkeypatch.setattr("sys.argv", ["peers.py", str(tmp_path / "set"), "--out", str(tmp_path / "o"), "--only", "mine"])
    with pytest.raises(SystemExit):
        main()
    assert "there is no method mine; there are: default" in capsys.readouterr().err


def test_settings_of_a_method_are_its_own():
    config = own.configure("U-Net", 0.25, 2, {})
    assert (config.method, config.location_share, config.seed) == ("unet", 0.25, 2)
    assert own.configure("paper", 0.1, 0, {}).preset == "paper"
    assert own.configure("default", 1.0, 0, {}) == make_config()


def test_yolo_trains_and_answers(task, tmp_path):
    folder = os.environ.get("PARTLY_PEERS_ENVIRONMENT")
    if folder is None:
        pytest.skip("PARTLY_PEERS_ENVIRONMENT does not name an environment with ultralytics")
    (tmp_path / "work").mkdir()
    answers, _, _ = yolo.train(task, yolo.environment(Path(folder)), size=64)
    assert [answer.image for answer in answers] == list(task.test)
