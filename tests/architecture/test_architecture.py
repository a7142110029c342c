"""Rules that would rot if nobody checked them."""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
PACKAGES = ("annotator", "cli", "db", "learner")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_layers_and_foreign_libraries():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def test_help_loads_nothing_heavy():
    code = (
        "import sys, cli.main\n"
        "heavy = {'torch', 'timm', 'sqlalchemy', 'alembic', 'label_studio_sdk', 'numpy', 'PIL', 'skimage', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_answers_in_half_a_second():
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cli.main", "--help"], cwd=ROOT, capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5


def test_the_schema_is_built_one_way_only():
    assert not [path for path in SOURCES if "create_all" in path.read_text(encoding="utf-8")]


def test_nothing_is_ever_unpickled():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) (pickle|joblib|dill)\b", text, re.M), path
        assert "torch.load(" not in text, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are_for_and_stay_readable(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with its idea"
    assert text.count("\n") <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "migrations" not in path.parts:
            assert (node.end_lineno or 0) - node.lineno < 80, node.name


def test_the_generated_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_has_help_and_takes_json():
    from cli.main import app

    runner = CliRunner()
    words = re.findall(r"^## partly (.+)$", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), re.M)
    assert {"init", "import", "status", "split", "train", "evaluate", "propose", "push", "pull", "demo"} <= set(words)
    for command in words:
        shown = runner.invoke(app, [*command.split(), "--help"])
        assert shown.exit_code == 0
        assert "--json" in shown.output


def test_every_error_has_an_exit_code():
    from annotator.errors import AnnotatorError, DataUnreadable, LabelStudioError
    from cli.exits import exit_code
    from db.errors import InvalidArgument, RegistryError
    from learner.errors import ConfigInvalid, LearnerError

    expected = {
        InvalidArgument: 2, ConfigInvalid: 2, LabelStudioError: 3, AnnotatorError: 3, DataUnreadable: 4,
        RegistryError: 4, LearnerError: 5, RuntimeError: 1,
    }  # fmt: skip
    assert {kind: exit_code(kind("x")) for kind in expected} == expected
