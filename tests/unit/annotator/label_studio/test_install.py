"""Label Studio is installed with a Python that it runs on."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from annotator.errors import StudioFailed
from annotator.label_studio import install

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs that are shell scripts")


@pytest.fixture
def too_new(monkeypatch, tmp_path):
    """Partly runs on a Python that Label Studio does not run on; the folder alone is searched for others."""
    monkeypatch.setattr(install, "NEWEST_PYTHON", (3, 10))
    monkeypatch.setattr(install, "_uv", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, line: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)
    return program


def test_the_python_that_partly_runs_on_is_taken_where_it_does():
    assert install.NEWEST_PYTHON >= (3, 13)
    if sys.version_info[:2] <= install.NEWEST_PYTHON:
        assert install._interpreter() == sys.executable


def test_an_older_python_is_taken_and_one_that_makes_no_environments_is_passed_over(too_new):
    put(too_new, "python3.13", "exit 1")
    good = put(too_new, "python3.12", f'exec "{sys.executable}" "$@"')
    put(too_new, "python3.11", f'exec "{sys.executable}" "$@"')
    assert install._interpreter() == str(good)


def test_what_uv_knows_is_taken(too_new, monkeypatch):
    uv = put(too_new, "uv", 'test "$1 $2 $4" = "python find >=3.10,<3.11" && echo /managed/python3.10')
    monkeypatch.setattr(install, "_uv", lambda: str(uv))
    assert install._interpreter() == "/managed/python3.10"
    put(too_new, "uv", "exit 2")
    with pytest.raises(StudioFailed):
        install._interpreter()


def test_without_one_it_says_what_to_install(too_new):
    with pytest.raises(StudioFailed, match=r"no Python 3\.10 to 3\.13 .*uv python install 3\.13.* partly connect URL"):
        install.install_studio(too_new / "environment", None)
    assert not (too_new / "environment").exists()


def test_an_environment_whose_python_is_gone_is_not_installed(tmp_path):
    python = install.program(tmp_path, "python")
    python.parent.mkdir(parents=True)
    python.symlink_to(tmp_path / "python3.9")
    (tmp_path / ".installed").touch()
    assert not install.is_installed(tmp_path)
    shutil.copy("/bin/sh", tmp_path / "python3.9")
    assert install.is_installed(tmp_path)
