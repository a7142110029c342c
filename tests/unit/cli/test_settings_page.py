"""Every setting is shown with the value in force and where that comes from."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from cli.help.project_docs import without_password
from cli.main import app
from cli.training_settings import training_settings
from learner.config import PRESETS, TrainConfig
from learner.errors import SettingUnknown

OUTSIDE = 4
UNKNOWN = 2


@pytest.fixture
def shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, expect=0):
        result = CliRunner().invoke(app, ["settings", *words], prog_name="partly")
        assert result.exit_code == expect, result.output
        return json.loads(result.stdout) if "--json" in words else result.stdout + result.stderr

    return run


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    file = tmp_path / "partly.toml"
    text = file.read_text().replace("# size = 128", "size = 128\ntau = 0.7")
    file.write_text(text.replace('# image_names = "number"', 'image_names = "file"'))
    return tmp_path


def of(document, part="settings"):
    return {one["setting"]: (one["value"], one["source"]) for one in document[part]}


def test_what_is_said_later_counts_and_says_so(project, shown):
    (project / "more.toml").write_text("tau = 0.6\nlr = 0.01\n")
    found = of(shown("--config", "more.toml", "--set", "lr=0.02", "--weights", "none", "--json"))
    assert found["size"] == (128, "partly.toml [train]")
    assert found["tau"] == (0.6, "--config more.toml")
    assert found["lr"] == (0.02, "--set")
    assert found["weights"] == ("none", "--weights")
    assert found["seed"] == (0, "preset default")
    assert len(found) == len(PRESETS["default"].to_dict()) - 1


def test_epochs_set_both_stages_and_lift_the_least_number_of_steps(shown):
    found = of(shown("epochs", "--set", "epochs=3", "--set", "stage2_epochs=4", "--json"))
    assert found == {"stage1_epochs": (3, "--set (epochs)"), "stage2_epochs": (4, "--set")}
    assert of(shown("min_steps", "--set", "epochs=3", "--json"))["min_steps"] == (0, "--set (epochs are given)")
    assert of(shown("min_steps", "--json"))["min_steps"] == (TrainConfig().min_steps, "preset default")


def test_values_are_those_that_a_training_has(project):
    mixed = training_settings("paper", {"size": 64}, None, ["epochs=2"], None)
    assert [tuple(item.values()) for item in mixed.differing()] == [
        ("size", 64, "partly.toml [train]"),
        ("stage1_epochs", 2, "--set (epochs)"),
        ("stage2_epochs", 2, "--set (epochs)"),
    ]
    other = dataclasses.replace(mixed.config, split_lesions="on")
    assert mixed.differing(other)[-1] == {
        "setting": "split_lesions", "value": "on", "source": "chosen for these images"
    }  # fmt: skip
    for key, value in mixed.config.to_dict().items():
        if mixed.sources[key] == "preset paper":
            assert value == PRESETS["paper"].to_dict()[key]


def test_the_project_and_the_environment(project, shown, monkeypatch):
    monkeypatch.setenv("PARTLY_LABEL_STUDIO_TOKEN", "secret-token-1")
    monkeypatch.setenv("PARTLY_DB", "postgresql://me:secret-2@host/name")
    document = shown("--json")
    assert "secret" not in json.dumps(document).replace("a secret", "").replace("secret.", "")
    found = of(document, "surroundings")
    assert found["PARTLY_LABEL_STUDIO_TOKEN"] == ("set (not shown)", "environment PARTLY_LABEL_STUDIO_TOKEN")
    assert found["PARTLY_SERVE_PASSWORD"] == (None, "not set")
    assert found["registry.url"] == ("postgresql://me:***@host/name", "environment PARTLY_DB")
    assert found["label_studio.image_names"] == ("file", "partly.toml")
    assert found["label_studio.empty_result"] == ("nothing", "default")
    assert of(shown("--db", "sqlite:///x.sqlite3", "--json"), "surroundings")["registry.url"][1] == "--db"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:////a/b@c:d.sqlite3", "sqlite:////a/b@c:d.sqlite3"),
        ("postgresql://u@h/n", "postgresql://u@h/n"),
        ("postgresql://u:p@h/n", "postgresql://u:***@h/n"),
        ("postgresql://u:S3c@ret@h/n?x=1", "postgresql://u:***@h/n?x=1"),
        ("https://me:pw@labels.example.org", "https://me:***@labels.example.org"),
        ("postgresql://h/n?user=u&password=p&x=1", "postgresql://h/n?user=u&password=***&x=1"),
    ],
)
def test_passwords_are_not_shown(url, said):
    assert without_password(url) == said


def test_one_setting_in_full_and_what_is_mistyped(shown):
    page = shown("optimizer")
    for word in ("adamw, adam", "preset paper", "in force", "--set optimizer=adam,"):
        assert word in page
    assert "did you mean 'size'?" in shown("szie", expect=UNKNOWN)
    assert shown("szie", "--json", expect=UNKNOWN)["error"]["code"] == "unknown_setting"
    assert "PARTLY_DB" in shown("url")
    with pytest.raises(SettingUnknown):
        training_settings("default", {}, None, ["szie=1"], None)


def test_outside_of_a_project_defaults_are_shown_unless_one_is_named(shown):
    assert shown("--json")["project"] is None
    assert "create one with: partly init" in shown("--project", "nowhere", expect=OUTSIDE)
