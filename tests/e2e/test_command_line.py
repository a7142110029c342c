"""One story through the command line, as a user types it."""

import json
import subprocess
import sys

import pytest

TINY = [
    "--weights", "none", "--set", "encoder=resnet10t", "--set", "size=32", "--set", "epochs=2",
    "--set", "batch_size=8", "--set", "head_channels=8", "--set", "device=cpu",
]  # fmt: skip


def test_the_story(partly, phantoms, tmp_path):
    partly("init", "project")
    project = ("--project", tmp_path / "project")
    report = partly("import", phantoms, "--layout", "csv", "--keep-locations", 0.4, "--json", *project)
    assert (report["registered"], report["refused"]) == (48, [])
    status = partly(*project, "status", "--json")
    assert set(status) == {"images", "locations", "classes", "splits", "proposals", "runs", "certificates"}
    assert status["images"] == {"total": 48, "fully": 20, "partly": 28, "unlabeled": 0}
    assert "images" in partly("status", *project).stdout
    assert partly("split", "--test", 0.2, "--json", *project)["splits"]["test"] > 5
    trained = partly("train", *TINY, "--json", *project)
    assert {"run", "epochs", "best", "seconds", "images_per_second", "checkpoint"} <= set(trained)
    assert trained["weights"] == "none"
    report = partly("evaluate", "--json", *project)
    assert set(report["classification"]) == {"accuracy", "precision", "recall", "f1", "auc"}
    report = partly("evaluate", "--data", phantoms, "--json", *project)
    assert report["n"] == 48
    proposed = partly("propose", "--tau", 0, "--json", "--picture", tmp_path / "p.png", *project)
    assert {"run", "tau", "gate", "considered", "proposed", "items"} <= set(proposed)
    for item in proposed["items"]:
        assert {"image", "path", "class", "class_probability", "score", "boxes"} <= set(item)
    assert partly("status", "--json", *project)["proposals"]["pending"] == proposed["proposed"]
    (run,) = partly("runs", "--json", *project)["runs"]
    assert set(run) == {"run", "preset", "status", "begun", "auc", "iou", "snapshot", "state"}
    assert (run["run"], run["status"], run["state"]) == ("run-1", "finished", "finished")
    assert "calibration" not in proposed
    certified = partly("propose", "--tau", "auto", "--precision", 0.9, "--json", *project)
    assert (certified["tau"], certified["considered"], certified["proposed"]) == (None, 0, 0)
    calibration = certified["calibration"]
    assert set(calibration) == {
        "certified", "precision", "confidence", "delta", "tau", "accepted", "errors", "lower_bound", "needed",
    }  # fmt: skip
    assert (calibration["certified"], calibration["precision"], calibration["confidence"]) == (False, 0.9, 0.8)
    assert calibration["needed"] > 0
    shown = partly("propose", "--tau", "auto", *project)
    assert "no tau can be certified" in shown.stderr
    assert "needed" in shown.stdout
    found = partly("status", "--json", *project)["certificates"]["boxes"]
    assert (found["run"], found["certified"], found["precision"]) == ("run-1", False, 0.85)
    assert "no threshold for proposed locations" in partly("status", *project).stdout


def test_refused_files_exit_with_4_and_the_good_ones_stay(partly, tmp_path, phantoms):
    partly("init")
    (tmp_path / "set" / "benign").mkdir(parents=True)
    (tmp_path / "set" / "benign" / "bad.png").write_bytes(b"x")
    good = next((phantoms / "images").iterdir())
    (tmp_path / "set" / "benign" / "good.png").write_bytes(good.read_bytes())
    result = partly("import", "set", "--layout", "folders", expect=4)
    assert "bad.png" in result.stdout
    assert partly("status", "--json")["images"]["total"] == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["status"], 4, "partly init"),
        (["import", "x", "--layout", "csv"], 4, "partly init"),
    ],
)
def test_outside_a_project(partly, words, code, says):
    assert says in partly(*words, expect=code).stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["train", "--set", "sise=3"], 2, "did you mean 'size'"),
        (["train", "--weights", "none"], 5, "partly import"),
        (["propose"], 4, "partly train"),
        (["propose", "--tau", "high"], 2, "--tau"),
        (["propose", "--tau", "auto", "--precision", "1"], 2, "--precision"),
        (["propose", "--tau", "auto", "--confidence", "0"], 2, "--confidence"),
        (["propose", "--precision", "0.9"], 2, "--tau auto"),
        (["serve", "--tau", "auto", "--precision", "2"], 2, "--precision"),
        (["serve", "--url", "host:9090"], 2, "--url"),
        (["serve", "--url", "http://["], 2, "--url"),
        (["serve", "--allow-host", "http://studio"], 2, "--allow-host"),
        (["push", "--audit-share", "2"], 2, "--audit-share"),
        (["evaluate", "--run", "run-7"], 4, "run-7"),
        (["import", "nowhere", "--layout", "csv"], 4, "nowhere"),
        (["split", "--val", "2"], 2, "between 0 and 1"),
        (["push"], 4, "partly connect"),
        (["pull"], 4, "partly connect"),
        (["push", "--all", "--partly"], 2, "choose one of"),
        (["connect", "ftp://x"], 2, "address"),
        (["connect", "http://127.0.0.1:9"], 3, "cannot be reached"),
    ],
)
def test_errors_are_one_line_with_the_next_step(partly, words, code, says):
    partly("init")
    result = partly(*words, expect=code)
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_the_token_is_never_shown(partly, monkeypatch):
    monkeypatch.setenv("PARTLY_LABEL_STUDIO_TOKEN", "c0ffee" * 7)
    monkeypatch.setattr("annotator.label_studio.transport.READ_PAUSE_S", 0.0)
    partly("init")
    result = partly("connect", "http://127.0.0.1:9", expect=3)
    assert "cannot be reached" in result.stderr
    assert "c0ffee" not in result.output


def test_dry_runs_write_nothing(partly, phantoms, tmp_path):
    partly("init", "--dry-run")
    assert list(tmp_path.iterdir()) == []
    partly("init")
    partly("import", phantoms, "--layout", "csv", "--dry-run")
    # What the real one would say, the dry run says.
    assert "partly import" in partly("train", "--dry-run", expect=5).stderr
    partly("demo", "--dry-run")
    status = partly("status", "--json")
    assert (status["images"]["total"], status["runs"]["total"]) == (0, 0)


def test_settings_of_the_project_file_count(partly, tmp_path, phantoms):
    partly("init")
    partly("import", phantoms, "--layout", "csv")
    (tmp_path / "partly.toml").write_text("[train]\nsize = 96\n")
    config = partly("train", "--dry-run", "--json", "--set", "lambda=0.3")["config"]
    assert (config["size"], config["lambda"]) == (96, 0.3)
    (tmp_path / "partly.toml").write_text("[tarin]\n")
    assert "tarin" in partly("status", expect=2).stderr


def test_json_is_alone_on_stdout(tmp_path, phantoms):
    def run(*words):
        command = [sys.executable, "-m", "cli.main", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    run("init")
    done = run("import", phantoms, "--layout", "csv", "--json")
    assert json.loads(done.stdout)["registered"] == 48
    assert "importing" in done.stderr


def test_a_strict_import_ends_with_4_where_something_was_not_used(partly, tmp_path, phantoms):
    partly("init")
    image = next((phantoms / "images").iterdir())
    (tmp_path / "set" / "JPEGImages").mkdir(parents=True)
    (tmp_path / "set" / "JPEGImages" / "a.png").write_bytes(image.read_bytes())
    (tmp_path / "set" / "JPEGImages" / "nobody.xml").write_text("<annotation><object/></annotation>")
    (tmp_path / "set" / "JPEGImages" / "a.xml").write_text("<annotation></annotation>")
    assert "nobody.xml" in partly("import", "set", "--layout", "voc").stderr
    assert "nobody.xml" in partly("import", "set", "--layout", "voc", "--strict", expect=4).stderr
    assert partly("status", "--json")["images"]["total"] == 1
