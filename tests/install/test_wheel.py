"""What is in the wheel, and that it lives beside other people's packages named `db` and `cli`."""

import ast
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the wheel is built with hatchling: make setup")
from hatch_build import FOLDERS, CannotBuild, under_one_name

ROOT = Path(__file__).parents[2]

FOREIGN = {
    "db/__init__.py": "WHOSE = 'a stranger'\n",
    "db/registry.py": "raise RuntimeError('the stranger was asked')\n",
    "cli/__init__.py": "WHOSE = 'another stranger'\n",
    "learner.py": "WHOSE = 'a third'\n",
    "my_strategies.py": (
        "from partly.strategies import Choice, Pool\n"
        "def backwards(pool: Pool, wanted, chance):\n"
        "    '''The last first.'''\n"
        "    return [Choice(n, float(n), 'backwards') for n in reversed(range(len(pool)))]\n"
    ),
    "my_strategies-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: my-strategies\nVersion: 1.0\n",
    "my_strategies-1.0.dist-info/entry_points.txt": "[partly.strategies]\nbackwards = my_strategies:backwards\n",
}
"""What the environment holds before partly comes."""


def run(*command: object, cwd: Path, check: bool = True) -> "subprocess.CompletedProcess[str]":
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=inherited, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


class Environment:
    """A virtual environment with foreign packages and partly from the wheel; what partly needs is the tests' own."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
        layout = {"base": str(folder), "platbase": str(folder)}
        self.site = Path(sysconfig.get_path("purelib", "venv", vars=layout))
        self.scripts = Path(sysconfig.get_path("scripts", "venv", vars=layout))
        self.python = self.scripts / "python"
        for name, text in FOREIGN.items():
            (self.site / name).parent.mkdir(exist_ok=True)
            (self.site / name).write_text(text)
        # Read as a path alone: an editable install's own .pth in there has no effect here.
        (self.site / "needs.pth").write_text(sysconfig.get_path("purelib"))
        self.before = self.foreign()
        self.pip("install", "--no-deps", "--no-index", wheel)

    def pip(self, *words: object) -> None:
        run(sys.executable, "-m", "pip", "--python", self.python, *words, cwd=self.site)

    def foreign(self) -> dict[str, str]:
        return {name: hashlib.sha256((self.site / name).read_bytes()).hexdigest() for name in FOREIGN}


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheel) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment") / "venv", wheel)


def test_a_wheel_has_one_name_and_every_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    assert sorted({name.split("/")[0] for name in names}) == ["partly", f"partly-{version('partly')}.dist-info"]
    here = [
        path.relative_to(ROOT).as_posix()
        for folder in (*FOLDERS, "partly")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    expected = {name if name.startswith("partly/") else f"partly/{name}" for name in here}
    assert {name for name in names if name.startswith("partly/")} == expected
    for name, text in texts.items():
        imported = {
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not {module for module in imported if module and module.split(".")[0] in FOLDERS}, name


def test_nothing_of_anybody_is_overwritten_and_partly_works(environment, phantoms, tmp_path):
    assert environment.foreign() == environment.before
    partly = environment.scripts / "partly"
    assert run(partly, "--version", cwd=tmp_path).stdout.startswith("partly ")
    run(partly, "init", "trial", cwd=tmp_path)
    project = tmp_path / "trial"
    run(partly, "import", phantoms, "--layout", "csv", "--keep-locations", "0.5", cwd=project)
    run(partly, "split", "--val", "0.2", cwd=project)
    status = json.loads(run(partly, "--json", "status", cwd=project).stdout)
    assert status["images"]["total"] == 48
    assert json.loads(run(environment.python, "-m", "partly", "--json", "status", cwd=project).stdout) == status
    offered = run(partly, "query", "--strategies", cwd=project).stdout
    assert "backwards" in offered
    assert environment.foreign() == environment.before


def test_both_are_imported_in_one_process_in_either_order(environment, tmp_path):
    said = (
        "print(db.WHOSE, '|', cli.WHOSE, '|', learner.WHOSE, '|', partly.db.registry.Registry.__module__, '|',"
        " issubclass(partly.errors.RegistryMissing, partly.db.errors.RegistryError))"
    )
    for first in ("import db, cli, learner", "import partly"):
        code = f"{first}\nimport partly, partly.errors, partly.db.registry\nimport db, cli, learner\n{said}"
        shown = run(environment.python, "-c", code, cwd=tmp_path).stdout
        assert shown.strip() == "a stranger | another stranger | a third | partly.db.registry | True"


def test_every_module_of_the_wheel_can_be_imported_and_templates_are_found(environment, tmp_path):
    code = """
import importlib, pkgutil, sys
import partly
skipped = ("partly.__main__", "partly.db.migrations.env")  # run, not imported
names = [m.name for m in pkgutil.walk_packages(partly.__path__, "partly.")]
for name in names:
    if name not in skipped:
        importlib.import_module(name)
from jinja2 import PackageLoader
from partly.cli.dashboard.application import files, __package__ as dashboard
places = ("partly.learner.reporting", dashboard)
print(len(names), sum((PackageLoader(place).list_templates() for place in places), []))
assert (files(dashboard) / "static" / "dashboard.css").is_file()
own = [n for n, m in sys.modules.items() if n.split(".")[0] in ("db", "cli", "learner", "annotator")]
assert not own, own
"""
    count, _, templates = (
        run(environment.python, "-W", "ignore", "-c", code, cwd=tmp_path).stdout.strip().partition(" ")
    )
    assert int(count) > 250
    assert "report.html.j2" in templates
    assert "overview.html.j2" in templates


def test_child_processes_that_begin_anew_find_the_modules(environment, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from partly.db.process import process_runs\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1, get_context('spawn')) as pool:\n"
        "        print(pool.submit(process_runs, os.getpid()).result(60))\n"
    )
    assert run(environment.python, script, cwd=tmp_path).stdout.strip() == "True"


def test_an_uninstall_takes_only_what_is_partlys(tmp_path, wheel):
    environment = Environment(tmp_path / "venv", wheel)
    environment.pip("uninstall", "--yes", "partly")
    assert environment.foreign() == environment.before
    assert not list(environment.site.glob("partly*"))


def test_a_checkout_beside_a_foreign_package_says_what_clashes(tmp_path):
    foreign = tmp_path / "db"
    foreign.mkdir()
    (foreign / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", "import partly"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("ImportError: this is partly's source tree")
    assert f"package named 'db' before partly's, in {foreign}" in last


def test_imports_are_written_under_one_name_on_the_same_lines():
    source = (
        '"""From db.registry import what is needed."""\n'
        "import dbm\nfrom dbm import open\nfrom . import x\nfrom db import errors\n"
        "from db.records import (\n    Box,\n    Split,\n)\nfrom learnerx import y\n"
        "def f() -> 'db.records.Box':\n    é = 'from db import x'; from learner.config import A as B\n    return db\n"
    )
    expected = (
        source.replace("\nfrom db import errors", "\nfrom partly.db import errors")
        .replace("\nfrom db.records", "\nfrom partly.db.records")
        .replace("; from learner.config", "; from partly.learner.config")
    )
    assert under_one_name(source.replace("'db.records.Box'", "'Box'"), "x.py") == expected.replace(
        "'db.records.Box'", "'Box'"
    )


@pytest.mark.parametrize(
    "line", ["import db.registry", "import cli as c", "x = 'learner.reporting'", "from \\\n  db.errors import A"]
)
def test_what_would_be_wrong_in_a_wheel_is_refused_when_it_is_built(line):
    with pytest.raises(CannotBuild, match=r"x\.py:1"):
        under_one_name(line + "\n", "x.py")


def test_every_module_can_be_put_into_a_wheel():
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            under_one_name(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
