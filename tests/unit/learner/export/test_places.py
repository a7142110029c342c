"""What an export may be written over, known before anything is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from db.errors import Conflict, InvalidArgument
from learner.errors import ExportUnavailable
from learner.export import places
from learner.export.places import ExportFormat, card_is_of, card_place, check_installed, check_place

ROOT = Path(__file__).parents[4]


def test_a_file_that_is_there_is_written_over_only_if_that_is_said(tmp_path):
    out = tmp_path / "model.onnx"
    assert check_place(out, ExportFormat.ONNX, force=False) == out
    out.write_bytes(b"mine")
    with pytest.raises(Conflict, match=r"model\.onnx already exists; overwrite it with --force"):
        check_place(out, ExportFormat.ONNX, force=False)
    assert check_place(out, ExportFormat.ONNX, force=True) == out
    out.unlink()
    out.symlink_to(tmp_path / "gone")
    with pytest.raises(Conflict):
        check_place(out, ExportFormat.ONNX, force=False)


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path):
    with pytest.raises(InvalidArgument, match=r"is a folder, but --format onnx writes a file; .*model\.onnx"):
        check_place(tmp_path, ExportFormat.ONNX, force=True)
    (tmp_path / "a").write_text("x")
    with pytest.raises(InvalidArgument, match="is a file, but --format safetensors writes a folder"):
        check_place(tmp_path / "a", ExportFormat.SAFETENSORS, force=True)


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("content", ['{"format": 2}', "[]", "no json", '{"format": 2, "exported": 1}'])
def test_a_trainings_own_checkpoint_is_never_written_over(tmp_path, force, content):
    (tmp_path / "checkpoint.json").write_text(content)
    with pytest.raises(Conflict, match="a training run's own checkpoint"):
        check_place(tmp_path, ExportFormat.SAFETENSORS, force=force)


def test_an_earlier_export_may_be(tmp_path):
    (tmp_path / "checkpoint.json").write_text(json.dumps({"exported_by": "partly 0"}))
    with pytest.raises(Conflict, match="--force"):
        check_place(tmp_path, ExportFormat.SAFETENSORS, force=False)
    assert check_place(tmp_path, ExportFormat.SAFETENSORS, force=True) == tmp_path


def test_a_card_of_the_same_weights_stays(tmp_path):
    card = tmp_path / "MODEL_CARD.md"
    assert not card_is_of(card, "abc1", force=False)
    card.write_text("edited by hand\n- Weights SHA-256 `abc1`\n")
    assert card_is_of(card, "abc1", force=False)
    assert not card_is_of(card, "abc1", force=True)
    with pytest.raises(Conflict, match=r"MODEL_CARD\.md already exists"):
        card_is_of(card, "dddd", force=False)
    card.unlink()
    card.mkdir()
    with pytest.raises(InvalidArgument, match="is a folder"):
        card_is_of(card, "abc1", force=True)


@pytest.mark.parametrize("name", ["partly.toml", "registry.sqlite3", "scan.png"])
def test_force_is_for_what_is_named_as_an_export(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(Conflict, match="not named like the file to be written"):
        check_place(tmp_path / name, ExportFormat.ONNX, force=True)
    with pytest.raises(Conflict, match="not named like the file to be written"):
        card_place(tmp_path / name, force=True)


def test_a_card_goes_into_a_folder(tmp_path):
    assert card_place(tmp_path, force=False) == tmp_path / "MODEL_CARD.md"
    (tmp_path / "MODEL_CARD.md").write_text("x")
    with pytest.raises(Conflict):
        card_place(tmp_path, force=False)


def test_missing_packages_are_named_with_the_line_to_type(monkeypatch):
    monkeypatch.setattr(places, "FOR_ONNX", ("json", "no_such_package"))
    with pytest.raises(ExportUnavailable, match=r"needs no_such_package.*pip install 'partly\[onnx\]'"):
        check_installed(ExportFormat.ONNX)
    check_installed(ExportFormat.TORCHSCRIPT)


def test_none_of_it_loads_torch():
    code = "import sys, learner.export.places, learner.export.source; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
