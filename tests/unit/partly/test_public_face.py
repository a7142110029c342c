"""`import partly` is light, and its rows are flat."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

import partly
from cli.settings import studio_folders
from db.errors import RegistryMissing
from db.records import Box, Split
from tests.builders import add_images, image_record, label_record, new_image

ROOT = Path(__file__).parents[3]


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys, partly\n"
        "heavy = {'torch', 'timm', 'sqlalchemy', 'alembic', 'label_studio_sdk', 'numpy', 'PIL', 'skimage', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_distributions():
    assert partly.__version__ == version("partly")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(partly, "no" + "thing")


def test_it_is_a_program_too():
    done = subprocess.run(
        [sys.executable, "-m", "partly", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"partly {version('partly')}"


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: Box | Split


def test_rows_are_flat_and_plain():
    (row,) = partly.to_rows([image_record(label=label_record(Box(1, 2, 3, 4)), split=Split.VAL)])
    assert (row["class"], row["split"], row["path"]) == ("benign", "val", "/images/a.png")
    assert (row["label.boxes"], row["label.status"]) == ([[1, 2, 3, 4]], "present")
    assert partly.to_rows([Outer("a", Split.TEST)]) == [{"name": "a", "inner": "test"}]


def test_a_project_is_made_opened_and_looked_at(tmp_path):
    with partly.create_project(tmp_path / "breast") as project:
        add_images(project._work.registry, new_image("a.png"), new_image("b.png", class_name=None))
        assert project.status().images == {"total": 2, "fully": 0, "partly": 1, "unlabeled": 1}
    with partly.open_project(tmp_path / "breast") as again:
        assert [image.class_name for image in again.images(supervision="partly")] == ["benign"]
        assert again.log(1)[0].what == "registered"
        assert again.root == tmp_path / "breast"


def test_a_folder_without_a_project_is_refused(tmp_path):
    with pytest.raises(RegistryMissing, match="partly init"):
        partly.open_project(tmp_path)


def test_the_local_server_lives_where_it_did_before(monkeypatch, tmp_path):
    for name in ("PARTLY_STUDIO_HOME", "PARTLY_STUDIO_ENVIRONMENT", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform.startswith("linux"):
        home = Path.home()
        assert studio_folders() == (home / ".local/share/partly/studio", home / ".cache/partly/label-studio")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert studio_folders() == (tmp_path / "data/partly/studio", tmp_path / "cache/partly/label-studio")
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(tmp_path / "here"))
    assert studio_folders()[0] == tmp_path / "here"
