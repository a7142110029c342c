"""Labels that models contradict which have not learned from them, with real trainings on phantoms."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app
from db.curation.doctor import CONFLICT
from db.records import RunStatus, Split
from learner.config import make_config
from learner.evaluation.contradictions import Contradicted
from learner.query import label_errors
from learner.query.label_errors import LabelCheck, ask_about, find_label_errors

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "epochs": 1}  # fmt: skip
CHECK = LabelCheck(make_config("default", TINY), folds=2)


def test_every_image_outside_test_is_judged_once_by_a_model_that_has_not_seen_it(filled, monkeypatch):
    pytest.importorskip("cleanlab", reason="partly[labels] is not installed")
    judged, real = [], label_errors.score_examples

    def scored(model, examples, *given):
        rows = real(model, examples, *given)
        judged.extend(row.image for row in rows)
        assert not set(model.learned_from) & {row.image for row in rows}
        return rows

    monkeypatch.setattr(label_errors, "score_examples", scored)
    found = find_label_errors(filled, CHECK)
    with filled.read() as tx:
        outside = [image.id for image in tx.images.select(splits=[Split.TRAIN, Split.VAL, None])]
        runs = tx.runs.all()
    assert sorted(judged) == outside
    assert [run.status for run in runs] == [RunStatus.FINISHED] * 2
    assert {finding.kind for finding in found} <= {*Contradicted, CONFLICT}
    again = find_label_errors(filled, CHECK)
    assert [(item.kind, item.images[0].id) for item in again] == [(item.kind, item.images[0].id) for item in found]
    with filled.read() as tx:
        assert len(tx.runs.all()) == 2, "folds that were trained are not trained again"


def test_what_is_found_becomes_a_query(filled):
    with filled.read() as tx:
        first, second = tx.images.select()[:2]
    from db.curation.doctor import Finding

    findings = [
        Finding("class_contradicted", [first], "one"),
        Finding("class_conflict", [first, second], "two"),
    ]
    query = ask_about(filled, findings)
    assert query.about_labels
    assert [(item.image, item.reason) for item in query.questions] == [(first.id, "one"), (second.id, "two")]
    assert ask_about(filled, []) is None


def test_the_command(filled, monkeypatch):
    pytest.importorskip("cleanlab", reason="partly[labels] is not installed")
    (filled.root / "partly.toml").write_text("")
    monkeypatch.chdir(filled.root)
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(app, ["doctor", "--labels", "--folds", "2", *settings, "--ask", "--json"])
    assert result.exit_code == 0, result.output + result.stderr
    found = json.loads(result.stdout)["findings"]
    assert all({"kind", "images", "image_ids", "detail"} <= set(item) for item in found)
    with filled.read() as tx:
        query = tx.asked.latest()
    asked = [] if query is None else [item.image for item in query.questions]
    assert asked == list(dict.fromkeys(image for item in found for image in item["image_ids"]))
    result = CliRunner().invoke(app, ["doctor", "--labels", "--folds", "1"])
    assert (result.exit_code, "--folds must be at least 2" in result.stderr) == (2, True)
