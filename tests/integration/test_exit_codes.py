"""Exit codes of mistakes that used to have another one, through the command line."""

import pytest
from typer.testing import CliRunner

from annotator.datasets.phantoms import write_phantoms
from annotator.errors import StudioFailed
from cli.exits import LABEL_STUDIO, USAGE
from cli.main import app


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_an_option_that_a_format_cannot_follow_is_a_usage_error(tmp_path, monkeypatch, layout):
    monkeypatch.chdir(tmp_path)
    write_phantoms(tmp_path / "images", 4, seed=0)
    runner = CliRunner()
    assert runner.invoke(app, ["init"]).exit_code == 0
    assert runner.invoke(app, ["import", "images", "--layout", "csv"]).exit_code == 0
    done = runner.invoke(app, ["export", "out", "--format", layout, "--images", "none"])
    assert (done.exit_code, (tmp_path / "out").exists()) == (USAGE, False)


def test_a_failure_of_label_studio_inside_the_demonstration_is_its_own(tmp_path, monkeypatch):
    import cli.workflows.demo

    monkeypatch.chdir(tmp_path)
    settings = {"size": 32, "stage1_epochs": 1, "stage2_epochs": 1, "encoder": "test_resnet", "weights": "none"}
    monkeypatch.setattr(cli.workflows.demo, "PHANTOMS", 24)

    def failing(*arguments, **options):
        raise StudioFailed("Label Studio did not answer")

    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    monkeypatch.setattr(cli.workflows.demo, "start_studio", failing)
    assert CliRunner().invoke(app, ["demo", "--set", "device=cpu", *words]).exit_code == LABEL_STUDIO
    from annotator.label_studio.local_server import studio_status as stopped

    monkeypatch.setattr(cli.workflows.demo, "start_studio", lambda paths, progress=None: stopped(paths))
    assert CliRunner().invoke(app, ["demo", "--set", "device=cpu", *words]).exit_code == LABEL_STUDIO
