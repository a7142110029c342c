"""What can be known here about Windows and macOS: folders, programs and processes as their systems have them."""

import os
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from annotator.label_studio import local_server
from annotator.label_studio.install import program
from annotator.label_studio.local_server import Account, StudioPaths
from annotator.label_studio.push.media import _close_to_others
from db import atomic_write, process
from db.database_url import absolute_url, file_url, sqlite_file
from db.imaging.files import is_uri
from db.imaging.paths import ProjectPaths

ROOT = Path(__file__).parents[2]


def test_a_server_has_a_group_of_its_own_on_every_system(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert process.on_its_own() == {"creationflags": 0x200 | 0x08000000}
    for name in ("darwin", "linux"):
        monkeypatch.setattr(sys, "platform", name)
        assert process.on_its_own() == {"start_new_session": True}


def test_programs_of_an_environment_are_where_the_system_puts_them(monkeypatch):
    assert program(Path("/e"), "label-studio") == Path("/e/bin/label-studio")
    plain = sysconfig.get_config_var
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: ".exe" if name == "EXE" else plain(name))
    schemes = sysconfig._INSTALL_SCHEMES
    monkeypatch.setitem(schemes, "venv", schemes["nt_venv"])
    assert program(Path("/e"), "label-studio").as_posix().lower() == "/e/scripts/label-studio.exe"


def test_the_programs_of_a_real_environment_are_found(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "with a space"], check=True)
    python = program(tmp_path / "with a space", "python")
    shown = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert Path(shown.stdout.strip()) == tmp_path / "with a space"


def test_the_local_label_studio_is_started_as_windows_wants_it(monkeypatch, tmp_path):
    started = {}

    class Started:
        pid = 4711

        def __init__(self, command, **options):
            started.update(options, command=command)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(local_server.subprocess, "Popen", Started)
    local_server._launch(StudioPaths(tmp_path, tmp_path / "environment"), Account("a", "b", "c"), 8080)
    local_server._children.pop(4711)
    assert started["creationflags"] == 0x08000200
    assert "start_new_session" not in started
    assert started["env"]["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("module", "name", "data", "cache"),
    [
        ("macos", "MacOS", "Library/Application Support/partly", "Library/Caches/partly"),
        ("unix", "Unix", ".local/share/partly", ".cache/partly"),
    ],
)
def test_folders_of_the_local_label_studio_are_the_systems(monkeypatch, tmp_path, module, name, data, cache):
    for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    system = getattr(__import__(f"platformdirs.{module}", fromlist=[name]), name)
    usual = system("partly", appauthor=False)
    assert usual.user_data_path == tmp_path / data
    assert usual.user_cache_path == tmp_path / cache


def test_images_are_served_without_permissions_of_posix(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "getuid")
    tmp_path.chmod(0o755)
    _close_to_others(tmp_path, 0o700)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_what_is_synced_is_open_for_writing(monkeypatch, tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="asks the system how a file was opened")
    modes = []
    monkeypatch.setattr(os, "fsync", lambda number: modes.append(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE))
    atomic_write.write_text(tmp_path / "a", "text", mode=0o600)
    # The file, then its folder, which Windows does not open and is not asked for there.
    assert modes == [os.O_RDWR, os.O_RDONLY]


def test_drive_letters_are_absolute_and_no_uris():
    url = "sqlite:///C:/data/registry.sqlite3"
    assert absolute_url(url, Path("/elsewhere")) == url
    assert sqlite_file("sqlite:///file:C%3A/data/r.sqlite3?mode=ro&uri=true") == Path("C:/data/r.sqlite3")
    assert file_url(Path("C:/data/r.sqlite3")) == "sqlite:///C:/data/r.sqlite3"
    assert not is_uri("C:/data/a.png")
    paths = ProjectPaths(Path("/project"))
    assert paths.file_from_uri("D:/scans/a.png").location == "D:/scans/a.png"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks up which files are open in /proc")
def test_a_project_is_worked_with_under_windows_rules_for_files(phantoms, tmp_path):
    assert find_spec("fcntl")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LOGNAME": "reader", "OMP_NUM_THREADS": "1"}

    def partly(*words):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", ROOT / "tests" / "install" / "windows_rules.py", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout + done.stderr)

    partly("init", "trial")
    for words in (
        ("import", phantoms, "--layout", "csv"),
        ("split", "--val", "0.2"),
        ("export", "out", "--format", "coco"),
        ("export", "out", "--format", "coco"),
        ("db", "backup", "copy.sqlite3"),
        ("undo",),
        ("db", "upgrade"),
        ("status",),
    ):
        partly("--project", "trial", *words)
