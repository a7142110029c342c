"""What further rounds would bring, from trainings on phantoms."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from db.errors import InvalidArgument
from db.records import Split
from learner.config import make_config
from learner.errors import DataInvalid
from learner.evaluation import evaluate
from learner.query import plan_rounds as planning
from learner.query.plan_rounds import plan_rounds
from learner.query.rounds import note_round
from learner.training.train import train_model

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "epochs": 1}  # fmt: skip


@pytest.fixture
def rounds(filled):
    """Three rounds of one run each; locations are as many as they say they are."""
    for seed in range(3):
        name = train_model(filled, make_config("default", {**TINY, "seed": seed})).run
        with filled.begin() as tx:
            run = tx.runs.get(name)
        note_round(filled, run, None)
    return filled


def scoring(monkeypatch, quality, located):
    """Let the three runs find lesions this well, having learned from so many locations."""
    real = evaluate.evaluate_run

    def scored(registry, *, run, split, progress=None):
        from dataclasses import replace

        found = real(registry, run=run, split=split, progress=progress)
        level = quality[int(run.removeprefix("run-")) - 1]
        chance = np.random.default_rng(0).normal(0, 0.05, len(found.rows))
        rows = [
            replace(row, iou=None if row.iou is None else float(np.clip(level + noise, 0, 1)))
            for row, noise in zip(found.rows, chance, strict=True)
        ]
        return replace(found, rows=tuple(rows))

    monkeypatch.setattr(planning, "evaluate_run", scored)
    measured = planning._measures

    def counted(registry, progress):
        runs, measures, groups = measured(registry, progress)
        named = [(number, run, count) for (number, run, _), count in zip(runs, located, strict=True)]
        return named, measures, groups

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
    assert "which chance can explain: think of stopping" in found.advice


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
