"""The loop replayed on phantoms: the same numbers however it is cut, and whoever shares the work."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.workflows.simulate import DataSet, register_truth
from db.errors import Conflict
from db.progress import SilentProgress
from db.records import Split
from db.registry import open_registry
from learner.errors import DataInvalid
from learner.query.batch import Shares
from learner.simulation import replay
from learner.simulation.replay import BEGINNING, EVERYTHING, ReplayPlan, run_replay
from learner.simulation.simulate import Work, plan_replays, simulate

SETTINGS = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
            "epochs": 1}  # fmt: skip
PLAN = ReplayPlan(
    strategy="entropy", seed=1, rounds=2, budget=5, start=0.2, shares=Shares(0.4, 0.4, 0.2), settings=SETTINGS, tau=0.1
)
MEAN, ROUND = {"mean", "ci95", "n"}, {"round", "located", "minutes", "iou", "ap50_all", "auc"}


class Cut(Exception):
    """The machine was switched off."""


@pytest.fixture(scope="module")
def known(phantoms, tmp_path_factory):
    """A registry that knows every location, a fifth held back."""
    made = register_truth(DataSet(phantoms, "csv"), tmp_path_factory.mktemp("sim"), SilentProgress())
    yield made
    made.close()


@pytest.fixture(scope="module")
def uncut(known, tmp_path_factory):
    return run_replay(PLAN, tmp_path_factory.mktemp("uncut"), known)


def test_a_replay_learns_what_it_asks_and_pays_for_it(uncut):
    assert [row.round for row in uncut] == [0, 1, 2]
    # A fifth of 32 images, by class and rounded up; of five images a round one is of validation.
    assert uncut[0].located < uncut[1].located <= uncut[0].located + 4
    assert uncut[1].located < uncut[2].located <= uncut[0].located + 8
    assert 0 < uncut[0].minutes < uncut[1].minutes < uncut[2].minutes
    assert [sum(row.said.values()) for row in uncut[1:]] == [5, 5]
    assert all(row.iou is not None and row.auc is not None for row in uncut)


@pytest.mark.thorough
@pytest.mark.parametrize(("step", "call"), [("train_once", 1), ("_reply", 0), ("query_images", 1)])
def test_a_replay_that_is_cut_goes_on_with_the_same_numbers(known, uncut, tmp_path, monkeypatch, step, call):
    real, calls = getattr(replay, step), []

    def cut_after(*given, **named):
        calls.append(step)
        done = real(*given, **named)
        if len(calls) > call:
            raise Cut
        return done

    with monkeypatch.context() as patched:
        patched.setattr(replay, step, cut_after)
        with pytest.raises(Cut):
            run_replay(PLAN, tmp_path / "cut", known)
    assert run_replay(PLAN, tmp_path / "cut", known) == uncut


@pytest.mark.thorough
def test_more_rounds_are_added_and_other_settings_refused(known, uncut, tmp_path):
    folder = tmp_path / "short"
    assert run_replay(replace(PLAN, rounds=1), folder, known) == uncut[:2]
    assert run_replay(PLAN, folder, known) == uncut
    with pytest.raises(Conflict, match=r"other settings \(budget, settings\); give another folder with --out"):
        run_replay(replace(PLAN, budget=6, settings={**SETTINGS, "size": 64}), folder, known)


@pytest.mark.thorough
def test_a_warm_replay_starts_each_training_from_the_one_before(known, tmp_path, monkeypatch):
    plan, folder = replace(PLAN, warm=True), tmp_path / "warm"
    with monkeypatch.context() as patched:
        patched.setattr(replay, "evaluate_run", lambda *a, **k: (_ for _ in ()).throw(Cut()))
        with pytest.raises(Cut):
            run_replay(plan, folder, known)
    rows = run_replay(plan, folder, known)
    assert len(rows) == 3
    registry = open_registry(f"sqlite:///{folder}/registry.sqlite3", folder)
    with registry.read() as tx:
        assert [run.config["weights"] for run in tx.runs.all()] == ["none", "run-1", "run-2"]
    registry.close()


@pytest.mark.thorough
def test_what_strategies_begin_with_is_trained_once(known, uncut, tmp_path, monkeypatch):
    beginning = tmp_path / "beginning-1"
    assert run_replay(replace(PLAN, strategy=BEGINNING, rounds=0), beginning, known) == uncut[:1]
    trained, real = [], replay.train_once
    monkeypatch.setattr(replay, "train_once", lambda *given: trained.append(given) or real(*given))
    assert run_replay(PLAN, tmp_path / "entropy-1", known, beginning=beginning) == uncut
    assert len(trained) == 2


def test_all_boxes_are_what_the_set_knows(known, tmp_path):
    (row,) = run_replay(replace(PLAN, strategy=EVERYTHING, rounds=0), tmp_path / "all", known)
    with known.read() as tx:
        images = tx.images.select(splits=[Split.TRAIN], located=True)
    boxes = sum(len(image.boxes) for image in images)
    empty = sum(not image.boxes for image in images)
    assert row.located == len(images)
    assert row.minutes == pytest.approx((25.5 * boxes + 1.8 * empty) / 60)


def test_a_cold_start_has_no_model_at_first(known, tmp_path):
    plan = replace(PLAN, strategy="random", start=0.0, rounds=1, budget=20)
    first, second = run_replay(plan, tmp_path / "cold", known)
    assert (first.located, first.minutes, first.iou) == (0, 0, None)
    assert second.located >= 14
    assert second.iou is not None


def test_nothing_held_back_is_refused(registry, tmp_path):
    with pytest.raises(DataInvalid, match="held out"):
        simulate(registry, plan_replays(PLAN, ["random"], 1), Work(tmp_path))


@pytest.mark.thorough
def test_the_command(phantoms, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    words = ["simulate", "--data", str(phantoms), "--layout", "csv", "--strategy", "entropy", "--rounds", "1", "--json",
             "--budget", "5", "--start", "0.2", "--tau", "0.1", *settings]  # fmt: skip

    def run(*more, expect=0):
        result = CliRunner().invoke(app, [*words, *more])
        assert result.exit_code == expect, result.output + result.stderr
        return json.loads(result.stdout) if not expect else result.stderr

    planned = run("--seeds", "2", "--dry-run")
    assert [(item["strategy"], item["seed"]) for item in planned["replays"]] == [
        (name, seed) for seed in (0, 1) for name in ("all boxes", "beginning", "entropy", "random")
    ]
    assert not (tmp_path / "simulation").exists()
    first = run("--seeds", "1")
    shared = run("--seeds", "2", "--jobs", "2")
    assert set(first) == {"seeds", "held_back", "all_boxes", "strategies", "figure", "dry_run"}
    assert (first["seeds"], shared["seeds"]) == (1, 2)
    assert set(first["all_boxes"]) == ROUND
    entropy, baseline = shared["strategies"]
    assert set(entropy) == {"strategy", "rounds", "same_boxes", "same_minutes", "short_of_all", "minutes_share"}
    assert (entropy["strategy"], baseline["strategy"], baseline["same_boxes"]) == ("entropy", "random", None)
    assert set(entropy["same_boxes"]) == set(entropy["rounds"][0]["iou"]) == MEAN
    assert (tmp_path / "simulation" / "simulation.svg").read_bytes().startswith(b"<?xml")
    # Whoever did it, a replay is the same; here the second process has done what the first would have.
    rows = json.loads((tmp_path / "simulation" / "random-1" / "rounds.json").read_text())
    assert [row["round"] for row in rows] == [0, 1]
    (tmp_path / "other").mkdir()
    words[2] = str(tmp_path / "other")
    assert "holds a simulation on other data" in run("--seeds", "1", expect=4)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--start", "1"], "--start"),
        (["--strategy", "best"], "there is no query strategy 'best'"),
        (["--misses", "2"], "misses must be between 0 and 1"),
        (["--set", "sise=3"], "did you mean 'size'"),
    ],
)
def test_mistakes_are_named_before_anything_is_done(phantoms, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["simulate", "--data", str(phantoms), *words])
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert says in result.stderr
