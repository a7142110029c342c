"""The paper's experiments on phantoms, at a tiny budget."""

import pytest

import learner.training.train
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.errors import InvalidArgument
from db.records import RunStatus
from learner.bench.bench import Budget, Trainings, plan_table, run_table
from learner.bench.paper_tables import TABLES
from learner.config import make_config
from learner.errors import DataInvalid
from learner.evaluation.estimates import half_width
from learner.training.train import train_model

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "epochs": 1}  # fmt: skip


@pytest.fixture
def filled(registry, phantoms):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.6))
    split_images(registry, val=0.2, test=0.3)
    return registry


def runs_of(registry):
    with registry.read() as tx:
        return tx.runs.all()


@pytest.mark.thorough
def test_a_table_is_trained_once_tested_and_shared(filled):
    budget = Budget(seeds=2, preset="default", overrides=TINY)
    plan = plan_table(filled, "table10", budget)
    assert plan.trainings == Trainings(16, 0)
    assert runs_of(filled) == []
    result = run_table(filled, "table10", budget)
    assert [row.method for row in result.rows][:2] == ["R18+RMTL without s-SSL", "R18+RMTL with s-SSL"]
    # With one encoder for all, R18 and R50 are the same.
    done = runs_of(filled)
    assert len(done) == 2 * 4
    assert all(run.metrics["bench"] == "table10" and run.metrics["test"]["n"] > 10 for run in done)
    for row in result.rows:
        assert 0 <= row.estimates["iou"].mean <= 1
        assert row.estimates["iou"].ci95 >= 0
        assert (row.estimates["iou"].n, row.estimates["iou"].paper) == (2, None)
        low, high = row.estimates["iou"].over_images
        assert low <= row.estimates["iou"].mean <= high
        assert row.estimates["iou"].p is None or 0 < row.estimates["iou"].p <= 1
        assert row.estimates["ap50_all"].p is None or 0 < row.estimates["ap50_all"].p <= 1
    assert result.reference == result.rows[-1].method
    assert result.rows[-1].estimates["iou"].p is None
    assert run_table(filled, "table10", budget) == result
    table9 = run_table(filled, "table9", budget)
    assert len(runs_of(filled)) == 2 * 4, "another table of the same trainings"
    assert [row.runs for row in table9.rows] == [row.runs for row in result.rows]
    assert 0 <= table9.rows[0].estimates["accuracy"].mean <= 1
    assert plan_table(filled, "table9", budget).trainings == Trainings(16, 16)


@pytest.mark.thorough
def test_a_training_that_was_cut_goes_on_and_one_for_use_stays_the_newest(filled, monkeypatch):
    train_model(filled, make_config("default", TINY))
    real, calls = learner.training.train.train_epoch, []

    def cut(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    budget = Budget(seeds=1, preset="default", overrides={**TINY, "epochs": 2})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("learner.training.train.train_epoch", cut)
        run_table(filled, "fig11", budget)
    (waiting,) = [run for run in runs_of(filled) if run.status is RunStatus.RUNNING]
    result = run_table(filled, "fig11", budget)
    assert result.rows[0].runs == (waiting.name,)
    assert {run.config["size"] for run in runs_of(filled)} == {32, 64}
    with filled.read() as tx:
        assert tx.runs.latest().name == "run-1"


@pytest.mark.thorough
def test_methods_that_cannot_answer_have_no_numbers(filled):
    budget = Budget(seeds=1, preset="default", overrides=TINY)
    (unet, *_) = run_table(filled, "table6", budget).rows
    assert unet.estimates["iou"].paper == 0.465
    with filled.read() as tx:
        report = tx.runs.get(unet.runs[0]).metrics["test"]
    assert set(report["classification"].values()) == {None}


def test_what_a_bench_needs_is_said(registry, phantoms):
    import_images(registry, ImportRequest(phantoms, "csv"))
    with pytest.raises(DataInvalid, match="partly split"):
        run_table(registry, "table3", Budget())
    with pytest.raises(InvalidArgument, match="fig11"):
        run_table(registry, "table2", Budget())
    with pytest.raises(InvalidArgument, match="seeds"):
        run_table(registry, "table3", Budget(seeds=0))


def test_the_interval_by_hand():
    # t(.975, 2) = 4.302653, the deviation of 1, 2, 3 is 1, and 4.302653 / sqrt(3) = 2.484138.
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(2.484138, abs=1e-5)
    assert half_width([1.0]) is None


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_every_table_is_a_configuration(name):
    for row in TABLES[name].rows:
        settings = {key: value for key, value in row.settings.items() if key not in ("size_factor", "preset")}
        for preset in ("paper", "default"):
            make_config(preset, settings)
    names = [row.method for row in TABLES[name].rows]
    assert len(set(names)) == len(names)
