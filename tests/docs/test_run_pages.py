"""The commands of README, tutorials and how-tos are run, in the order in which a reader types them.

How a command is changed so that it takes seconds is said in `tests/docs/shell.py`. A block that is not run says why, in
a comment above it.
"""

import csv
import gc
import secrets
import shutil

import pytest

import partly
from annotator.datasets.phantoms import write_phantoms
from tests.docs.pages import PAGES, ROOT, blocks_of, commands_of, name_of, partly_words
from tests.docs.shell import Shell, draw_tutorial
from tests.docs.test_schemas import all_commands

FROM_NOTHING = ("README.md", "docs/tutorials/researcher.md")
"""Their blocks make a project; they are run as they stand."""
ON_POSTGRES = "docs/tutorials/engineer.md"
IN_A_PROJECT = sorted(name_of(page) for page in PAGES if page.parent.name == "how-to")
"""Their blocks are typed in a project that has two runs and proposals; each prints its document, which is checked."""
RUN = (*FROM_NOTHING, ON_POSTGRES, *IN_A_PROJECT)

IN_OTHER_TESTS = {
    "dashboard": "tests/faults/test_dashboard.py",
    "demo": "four minutes; its dry run in tests/e2e/test_dry_runs.py",
    "model export": "tests/e2e/test_dry_runs.py",
    "model card": "tests/e2e/test_dry_runs.py",
    "serve": "tests/e2e/test_live.py",
    "simulate": "tests/integration/test_simulation.py",
    "studio start": "tests/e2e/test_dry_runs.py",
    "studio stop": "tests/e2e/test_dry_runs.py",
    "db upgrade": "tests/e2e/test_dry_runs.py",
}
"""Commands whose documents are not printed here."""

CHECKED: set[str] = set()
"""Commands of which a document was compared with its schema, and what was run so far."""
RAN: set[str] = set()


def runnable(name):
    return [block for block in blocks_of(ROOT / name) if block.is_shell and block.reason is None]


def test_whatever_is_not_run_says_why():
    for page in PAGES:
        if name_of(page) in RUN:
            continue
        for block in blocks_of(page):
            if block.is_shell and any(partly_words(words) is not None for words in commands_of(block.text)):
                assert block.reason, f"{block.place}: add <!-- not run: REASON --> above it, or the page to RUN"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What pages find beside a project: images of which half have a location, others, and labeled ones."""
    folder = tmp_path_factory.mktemp("pages")
    for part, count, seed in (("images", 48, 3), ("labeled", 12, 5)):
        write_phantoms(folder / part, count, seed=seed)
    table = folder / "images" / "labels.csv"
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[1::2]:
        row["mask"] = ""
    write_rows(table, rows)
    write_rows(folder / "more.csv", [row | {"image": f"images/{row['image']}", "mask": ""} for row in rows[:3]])
    shutil.copytree(folder / "labeled" / "images", folder / "others")
    detection = folder / "detection"
    shutil.copytree(folder / "others", detection / "images")
    (detection / "labels").mkdir()
    for place, image in enumerate(sorted((detection / "images").iterdir())):
        (detection / "labels" / f"{image.stem}.txt").write_text(f"{place % 2} 0.5 0.5 0.2 0.2\n")
    (detection / "data.yaml").write_text("names: [cyst, mass]\n")
    return folder


def write_rows(table, rows):
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def project(data):
    """A project with two runs, a backup of nothing, and proposals that wait for review."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PARTLY_DB", "PARTLY_LABEL_STUDIO_TOKEN", "PARTLY_LABEL_STUDIO_URL"):
            patch.delenv(name, raising=False)
        shell = Shell(data, patch)
        shell.run("partly init breast && cd breast\npartly import ../images\npartly split --val 0.2 --test 0.2")
        shell.run("partly train --set seed=1\npartly train --set seed=2\npartly propose --tau 0.8")
    return data / "breast"


@pytest.fixture
def typed(data, project, request, monkeypatch):
    """A copy of the project, which is gone after the page, as is everything that the page has made beside it."""
    there = set(data.iterdir())
    name = f"page-{request.param.split('/')[-1].removesuffix('.md')}"
    shutil.copytree(project, data / name)
    text = "\n".join(block.text for block in runnable(request.param))
    studio = request.getfixturevalue("studio") if needs_studio(text) else None
    if studio is not None:
        monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    shell = Shell(data / name, monkeypatch, studio=studio, as_json=True)
    if studio is not None:
        settings = data / name / "partly.toml"
        title = f"docs {secrets.token_hex(4)}"
        settings.write_text(settings.read_text().replace("partly: breast", title))
        shell.run("partly connect")
    yield shell
    monkeypatch.chdir(data)
    for made in set(data.iterdir()) - there:
        shutil.rmtree(made) if made.is_dir() else made.unlink()


def needs_studio(text):
    commands = [words for line in commands_of(text) if (words := partly_words(line))]
    return any(words[0] in {"connect", "open", "pull", "push", "round", "studio"} for words in commands)


@pytest.mark.parametrize("typed", IN_A_PROJECT, indirect=True)
def test_a_how_to_works(typed, request):
    name = request.node.callspec.params["typed"]
    for block in runnable(name):
        typed.run(block.text)
    CHECKED.update(typed.checked)
    RAN.add(name)
    assert typed.count or name.endswith("index.md")


@pytest.mark.studio
@pytest.mark.parametrize("name", FROM_NOTHING)
def test_a_page_that_begins_with_nothing_works(data, name, tmp_path, studio, monkeypatch):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    for part in ("images", "others"):
        shutil.copytree(data / part, tmp_path / part)
    shell = Shell(tmp_path, monkeypatch, studio=studio)
    for block in runnable(name):
        shell.run(block.text)
    assert shell.count > 20


def test_the_engineers_page_works_on_a_real_postgres(data, tmp_path, postgres_server, monkeypatch):
    (tmp_path / "laptop").mkdir()
    shell = Shell(tmp_path / "laptop", monkeypatch)
    shell.partly(["init"])
    shell.partly(["import", str(data / "images")])
    shell.partly(["split", "--val", "0.2", "--test", "0.2"])
    monkeypatch.chdir(tmp_path)
    postgres_server.psql("DROP DATABASE IF EXISTS docs;")
    postgres_server.psql("CREATE DATABASE docs;")
    real = postgres_server.get_uri("docs")
    shell.addresses = {"postgresql://partly@db.example.org/breast": real}
    for block in runnable(ON_POSTGRES):
        shell.run(block.text)
    assert shell.count > 10
    # What a command had left open would warn now.
    gc.collect()


def test_the_code_for_notebooks_runs(tmp_path, monkeypatch):
    """The blocks of Python of the pages that have some, in order, with trainings of the same size as above."""
    monkeypatch.chdir(tmp_path)
    draw_tutorial(tmp_path / "data")
    train = partly.Project.train
    tiny = {"encoder": "resnet10t", "size": 32, "stage1_epochs": 1, "stage2_epochs": 1, "batch_size": 8,
            "head_channels": 8, "device": "cpu", "weights": "none"}  # fmt: skip
    monkeypatch.setattr(partly.Project, "train", lambda self, **given: train(self, **{**given, **tiny}))
    propose = partly.Project.propose
    monkeypatch.setattr(partly.Project, "propose", lambda self, **given: propose(self, **{**given, "tau": 0.0}))
    known = {}
    code = [block for block in blocks_of(ROOT / "docs/tutorials/researcher.md") if block.language == "python"]
    for block in code:
        exec(compile(block.text, block.place, "exec"), known)
    assert known["proposals"].items
    assert len(known["rows"]) == len(known["proposals"].items)
    (tmp_path / "breast").mkdir()
    shutil.copytree(tmp_path / "masses-notebook", tmp_path / "breast", dirs_exist_ok=True)
    (of_readme,) = [block for block in blocks_of(ROOT / "README.md") if block.language == "python"]
    exec(compile(of_readme.text, of_readme.place, "exec"), known)


@pytest.mark.parametrize("typed", ["docs/how-to/query.md"], indirect=True)
def test_every_document_fits_its_schema(typed):
    """What the pages leave out, so that each command's own output has been compared with its schema."""
    typed.run(
        """
        partly init
        partly split --val 0.2 --test 0.2 --dry-run
        partly train --dry-run
        partly settings
        partly report --rounds
        partly explain --limit 1
        partly query --budget 4
        partly push --strategy random --budget 4 --dry-run
        partly push --partly --limit 6 --dry-run
        partly push --partly --limit 6
        partly pull --dry-run
        partly round --limit 2
        partly plan
        partly open
        partly studio status
        partly doctor --label-studio
        partly snapshots --take
        """
    )
    with partly.open_project() as opened:
        taken = [item.hash for item in opened.snapshots()]
    typed.partly(["diff", taken[0], taken[-1]])
    CHECKED.update(typed.checked)
    RAN.add("documents")


def test_every_command_has_shown_that_its_document_fits():
    if not set(IN_A_PROJECT) | {"documents"} <= RAN:
        pytest.skip("only where all tests of this file are run")
    assert all_commands() - CHECKED == set(IN_OTHER_TESTS), "a document that is printed here needs no other test"
