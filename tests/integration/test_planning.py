"""What further rounds would bring, from trainings on phantoms."""

import json
import shutil
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import partly
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from cli.main import app
from cli.workflows.rounds_report import review_numbers, write_rounds_report
from db.curation.splitting import split_images
from db.errors import InvalidArgument
from db.progress import SilentProgress
from db.records import LocationSource, NewLabel, ReviewOutcome, ReviewRecord, Split
from db.registry import create_registry, open_registry
from learner.config import make_config
from learner.errors import DataInvalid
from learner.evaluation.per_image import read_results
from learner.query import plan_rounds as planning
from learner.query.plan_rounds import plan_rounds
from learner.query.rounds import note_round
from learner.training.train import train_model
from tests.builders import present

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "epochs": 1}  # fmt: skip


@pytest.fixture(scope="module")
def three(phantoms, tmp_path_factory):
    """A project with three rounds of one run each."""
    folder = tmp_path_factory.mktemp("three")
    made = create_registry(f"sqlite:///{folder}/registry.sqlite3", folder)
    import_images(made, ImportRequest(phantoms, "csv", keep_locations=0.4))
    split_images(made, val=0.2, test=0.2)
    for seed in range(3):
        name = train_model(made, make_config("default", {**TINY, "seed": seed})).run
        with made.read() as tx:
            run = tx.runs.get(name)
        note_round(made, run, None)
    made.close()
    return folder


@pytest.fixture
def rounds(three, tmp_path):
    """A copy of it; locations are as many as they say they are."""
    folder = tmp_path / "project"
    shutil.copytree(three, folder)
    made = open_registry(f"sqlite:///{folder}/registry.sqlite3", folder)
    yield made
    made.close()


def scoring(monkeypatch, quality, located):
    """Let the three runs find lesions this well, having learned from so many locations."""
    measured, asked = planning._measures, planning._ious

    def found(registry, run, images, progress):
        level = quality[int(run.removeprefix("run-")) - 1]
        chance = np.random.default_rng(0)
        return {
            key: float(np.clip(level + chance.normal(0, 0.05), 0, 1)) for key in asked(registry, run, images, progress)
        }

    def counted(registry, progress):
        runs, measures, groups = measured(registry, progress)
        named = [(number, run, count) for (number, run, _), count in zip(runs, located, strict=True)]
        return named, measures, groups

    monkeypatch.setattr(planning, "_ious", found)
    monkeypatch.setattr(planning, "_measures", counted)


def test_a_curve_says_what_the_next_boxes_bring(rounds, monkeypatch):
    # .7 - 2 / sqrt(n): .3, .4172 and .5; 50 more than 100 make .5367.
    scoring(monkeypatch, [0.3, 0.4172, 0.5], [25, 50, 100])
    found = plan_rounds(rounds, boxes=50, target_iou=0.6)
    assert [point.run for point in found.points] == ["run-1", "run-2", "run-3"]
    assert all(point.low <= point.iou <= point.high for point in found.points)
    assert found.next.gain == pytest.approx(0.0367, abs=0.005)
    assert found.next.gain_low <= found.next.gain <= found.next.gain_high
    assert (found.next.located, found.next.minutes) == (150, None)
    assert found.curve.iou(found.target.located) == pytest.approx(0.6, abs=0.001)
    assert found.target.boxes == found.target.located - 100
    assert not found.recent.below_noise
    assert "50 more boxes are expected to add +0.03" in found.advice


def test_rounds_that_bring_nothing_are_called_so(rounds, monkeypatch):
    scoring(monkeypatch, [0.5, 0.5, 0.5], [25, 50, 100])
    found = plan_rounds(rounds)
    assert found.recent.below_noise
    assert "which may be due to chance: consider stopping" in found.advice


def test_a_run_is_asked_once_and_its_answers_are_compared_with_what_is_known_now(rounds, monkeypatch):
    first = plan_rounds(rounds)
    with rounds.read() as tx:
        val = tx.images.select(splits=[Split.VAL], located=True)
        rows = {row.image: row for row in read_results(tx.runs.get("run-1").checkpoint, Split.VAL)}
    monkeypatch.setattr(planning, "evaluate_run", lambda *a, **k: pytest.fail("asked again"))
    assert plan_rounds(rounds) == first
    wrong = next(image for image in val if image.boxes and rows[image.id].boxes and rows[image.id].iou < 0.9)
    with rounds.begin() as tx:
        agreed = NewLabel(wrong.id, present(*rows[wrong.id].boxes), source=LocationSource.IMPORTED)
        tx.labels.append(agreed)
    assert plan_rounds(rounds).points[0].iou > first.points[0].iou


def test_before_three_rounds_there_is_no_curve(filled):
    with pytest.raises(DataInvalid, match="no round has trained anything yet"):
        plan_rounds(filled)
    name = train_model(filled, make_config("default", TINY)).run
    with filled.read() as tx:
        run = tx.runs.get(name)
        val = tx.images.select(splits=[Split.VAL], located=True)
    note_round(filled, run, None)
    found = plan_rounds(filled)
    assert (found.curve, found.next, found.recent) == (None, None, None)
    assert found.advice.startswith("1 of the 3 rounds")
    assert 0 < found.images <= len(val)


def test_a_run_whose_checkpoint_is_gone_is_left_out(rounds):
    with rounds.read() as tx:
        checkpoint = tx.runs.get("run-2").checkpoint
    (checkpoint / "checkpoint.json").unlink()
    assert [point.run for point in plan_rounds(rounds).points] == ["run-1", "run-3"]


@pytest.mark.parametrize("fields", [{"boxes": 0}, {"target_iou": 0.0}, {"target_iou": 1.0}])
def test_what_cannot_be_wanted_is_refused(filled, fields):
    with pytest.raises(InvalidArgument):
        plan_rounds(filled, **fields)


def test_the_commands(rounds, monkeypatch):
    monkeypatch.chdir(rounds.root)
    (rounds.root / "partly.toml").write_text("")

    def run(*words):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output + result.stderr
        return result.stdout

    found = json.loads(run("plan", "--target-iou", "0.5", "--json"))
    assert set(found) == {"images", "points", "curve", "next", "target", "recent", "advice"}
    assert set(found["points"][0]) == {"round", "run", "located", "iou", "low", "high"}
    assert len(json.loads(run("rounds", "--json"))["rounds"]) == 3
    assert "validation images:" in run("plan")
    told = json.loads(run("report", "--rounds", "--json"))
    assert set(told) == {"page", "rounds", "reviews", "advice"}
    assert (told["rounds"], told["reviews"]) == (3, 0)
    page = (rounds.root / "reports" / "rounds" / "rounds.html").read_text(encoding="utf-8")
    assert "After 3 rounds" in page
    assert "<svg" in page


def test_the_page_is_written_before_there_is_a_curve(filled, tmp_path):
    told = write_rounds_report(filled, tmp_path / "out", title="Breast", progress=SilentProgress())
    assert (told.rounds, told.advice) == (0, None)
    assert "There are no rounds yet." in told.page.read_text(encoding="utf-8")


def test_time_saved_comes_from_the_reviews():
    def review(outcome, seconds):
        return ReviewRecord(1, 1, outcome, "ann", seconds, None, None, None, datetime(2026, 1, 1, tzinfo=UTC))

    reviews = [
        review(ReviewOutcome.DRAWN, 20.0),
        review(ReviewOutcome.DRAWN, 40.0),
        review(ReviewOutcome.DRAWN, None),
        review(ReviewOutcome.ACCEPTED, 4.0),
        review(ReviewOutcome.EDITED, 16.0),
        review(ReviewOutcome.REJECTED, 99.0),
    ]
    summary = SimpleNamespace(reviews=6, minutes=3.0, reviewers=[1], by_score=[], control=[])
    found = review_numbers(summary, reviews)
    # Two proposals of 10 s on average, where drawing takes 30.
    assert (found.drawn_seconds, found.proposed_seconds, found.proposed) == (30.0, 10.0, 2)
    assert found.saved_minutes == pytest.approx(2 * 20 / 60)


def test_the_same_from_a_notebook(rounds):
    (rounds.root / "partly.toml").write_text("")
    with partly.open_project(rounds.root) as project:
        assert [item.run for item in project.rounds()] == ["run-1", "run-2", "run-3"]
        assert len(project.plan(target_iou=0.5).points) == 3
        planned = project.query(strategy="entropy", budget=4, shares=(0, 1, 0), seed=2, dry_run=True)
        assert project.query(strategy="entropy", budget=4, shares=(0, 1, 0), seed=2).items == planned.items
        assert {row["part"] for row in partly.to_rows(planned.items)} == {"draw"}
