"""Rules that would rot if nobody checked them."""

import ast
import os
import re
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
PACKAGES = ("annotator", "cli", "db", "learner", "partly")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_help_loads_nothing_heavy():
    code = (
        "import sys, cli.main\n"
        "heavy = {'torch', 'timm', 'sqlalchemy', 'alembic', 'label_studio_sdk', 'numpy', 'PIL', 'skimage', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_takes_half_a_second_of_the_processor():
    before = os.times()
    subprocess.run([sys.executable, "-m", "partly", "--help"], cwd=ROOT, capture_output=True, check=True)
    after = os.times()
    # Not by the clock: that says what else the machine does.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


def test_both_ways_to_call_the_program_show_the_same_help():
    program = Path(sys.executable).parent / "partly"
    one, other = (
        subprocess.run([*words, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for words in ([sys.executable, "-m", "partly"], [str(program)])
    )
    assert one == other
    assert "Train and evaluate:" in one


def test_the_schema_is_built_one_way_only():
    assert not [path for path in SOURCES if "create_all" in path.read_text(encoding="utf-8")]


def test_nothing_is_ever_unpickled():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) (pickle|joblib|dill)\b", text, re.M), path
        assert text.count("torch.load(") == len(re.findall(r"torch\.load\([^()]*weights_only=True", text)), path


READS = {"open", "fdopen", "read_text", "read_bytes", "memmap", "fromfile", "loadtxt", "genfromtxt", "read_csv"}
DOORS = {"annotator/datasets/listing/folder.py", "db/imaging/files.py"}
"""What opens files that came from elsewhere: regular ones, inside their folder, up to a limit."""
THROUGH_A_DOOR = {
    ("annotator/datasets/export_images.py", "read_bytes"),  # of an ImageFile
    ("db/imaging/decode.py", "read_bytes"),
    ("db/imaging/masks.py", "read_bytes"),
    ("db/imaging/decode.py", "open"),  # Pillow's, of bytes
    ("db/imaging/web.py", "open"),  # of a web server, up to a limit
}


def test_files_of_data_sets_are_opened_in_one_place():
    found = set()
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(("annotator/datasets/", "db/imaging/")) or name in DOORS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            what = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            modes = {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
            if what in READS and not modes & {"w", "x", "xb"}:
                found.add((name, what))
    assert found <= THROUGH_A_DOOR


def test_documents_of_data_sets_are_parsed_where_their_limits_are():
    for word, only in {
        "defusedxml": "annotator/datasets/listing/xml_document.py",
        "yaml.compose(": "annotator/datasets/listing/yolo/data_file.py",
        "yaml.parse(": "annotator/datasets/listing/yolo/data_file.py",
        "frPyObjects": "annotator/datasets/listing/coco/segmentation.py",
    }.items():
        own = [path for path in SOURCES if path.is_relative_to(ROOT / "annotator" / "datasets")]
        using = [path for path in own if word in path.read_text(encoding="utf-8")]
        assert [path.relative_to(ROOT).as_posix() for path in using] == [only], word


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are_for_and_stay_readable(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with its idea"


def functions():
    """Every function of the packages: its file, its name, its lines without the docstring, its parameters."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node):
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            yield path, node.name, lines, len([name for name in names if name not in ("self", "cls")])


def test_sizes_stay_readable():
    modules = [path.read_text(encoding="utf-8").count("\n") for path in SOURCES if path.name != "__init__.py"]
    assert statistics.median(modules) <= 150
    assert max(modules) <= 400
    lines = sorted(lines for _, _, lines, _ in functions())
    assert lines[int(0.95 * len(lines))] <= 40
    long = [f"{path.relative_to(ROOT)}: {name}" for path, name, lines, _ in functions() if lines > 80]
    assert all("migrations" in item for item in long), long


def test_no_function_takes_more_than_seven_parameters():
    # A command's parameters are its options.
    many = [
        f"{path.relative_to(ROOT)}: {name} takes {count}"
        for path, name, _, count in functions()
        if count > 7 and path.parent != ROOT / "cli" / "commands"
    ]
    assert not many


def test_no_folder_holds_more_than_fourteen_modules():
    folders = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    crowded = {str(folder.relative_to(ROOT)): count for folder, count in folders.items() if count > 14}
    assert not crowded


def test_every_file_that_the_architecture_page_names_exists():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:annotator|cli|db|learner|partly|tests|docs|benchmarks)/[\w./-]*)`", page))
    assert len([name for name in named if name.endswith(".py")]) >= 40
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing


def test_the_architecture_page_answers_at_least_twenty_everyday_questions():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("| to change", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    assert len(table) >= 20
    assert all(re.search(r"`[a-z_]+/[\w/]+\.(py|md|j2)`", row) for row in table)


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
