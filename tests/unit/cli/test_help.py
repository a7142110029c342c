"""The help says everything, in its section, and its examples are command lines that can be read."""

import re
import shlex

import pytest
import typer
from typer.testing import CliRunner

from annotator.datasets.phantoms import write_phantoms
from cli.help.sections import COMMANDS, COMMON, EXAMPLES, OPTIONS
from cli.main import app


def all_commands():
    """Every command, by its full name."""
    found, todo = {}, [((), typer.main.get_command(app))]
    while todo:
        names, group = todo.pop()
        for name, command in group.commands.items():
            found[" ".join((*names, name))] = command
            if hasattr(command, "commands"):
                todo.append(((*names, name), command))
    return found


ALL = all_commands()
LEAVES = sorted(name for name, command in ALL.items() if not hasattr(command, "commands"))


def shown(*words):
    result = CliRunner().invoke(app, list(words), prog_name="partly", env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_command_stands_in_a_section():
    sections = [name for names in COMMANDS.values() for name in names]
    assert len(sections) == len(set(sections))
    assert {name for name in ALL if " " not in name} <= set(sections)
    page = shown("--help")
    titles = re.findall(r"^(\S.*):$", page, re.M)
    assert titles == [*COMMANDS, "Options", "Examples"]


def test_every_option_that_a_section_names_exists():
    for command, sections in OPTIONS.items():
        if command not in ALL:
            continue
        there = {name for param in ALL[command].params for name in param.opts}
        named = [name for names in sections.values() for name in names]
        assert len(named) == len(set(named)), command
        # Sections that several commands share may name more than one of them takes.
        assert {name for name in named if name in there}, command
        for title, names in sections.items():
            assert set(names) & there, (command, title)


@pytest.mark.parametrize("name", LEAVES)
def test_help_lists_every_option_once_and_what_all_commands_take_last(name):
    page = shown(*name.split(), "--help")
    assert page == shown(*name.split(), "-h")
    sections = page[re.search(r"^\S.*:$", page, re.M).start() :]
    listed = re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", sections, re.M)
    there = [max(param.opts, key=len) for param in ALL[name].params if param.param_type_name == "option"]
    assert sorted(listed) == sorted([*there, "--help"])
    assert listed[-len(COMMON) :] == list(COMMON)
    # Types of the language are nobody's words.
    assert not re.search(r"<(int|str|path|float|list|bool)\b", page)


EXAMPLE_LINES = sorted({(command, line) for command, lines in EXAMPLES.items() if command in ALL for line in lines})


@pytest.mark.parametrize(("command", "line"), EXAMPLE_LINES)
def test_an_example_can_be_read_by_the_command_that_it_explains(command, line):
    words = shlex.split(re.split(r" [|>&]", line)[0])
    assert words[0] == "partly"
    group = typer.main.get_command(app)
    with group.make_context("partly", words[1:]) as context:
        rest = [*context._protected_args, *context.args]
        names = []
        while hasattr(group, "commands"):
            names.append(rest.pop(0))
            group = group.commands[names[-1]]
        # Raises for an option that there is none of, or a value that is none.
        group.make_context(names[-1], rest, parent=context)
    assert " ".join(names) == command


def test_version_has_a_short_form():
    assert shown("-V") == shown("--version")
    assert shown("-V").startswith("partly ")


def test_run_names_settings_and_their_values_are_completed(tmp_path, monkeypatch):
    from cli.help.completion import setting_pairs

    runner = CliRunner()
    monkeypatch.chdir(tmp_path)
    assert runner.invoke(app, ["init"]).exit_code == 0
    for name in ("run-2", "run-11", "run-x"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    completed = runner.invoke(
        app, [], prog_name="partly",
        env={"_PARTLY_COMPLETE": "complete_bash", "COMP_WORDS": "partly evaluate --run run-", "COMP_CWORD": "3"},
    )  # fmt: skip
    assert completed.stdout.split() == ["run-11", "run-2"]
    assert list(setting_pairs("head")) == ["head=", "head_channels="]
    assert list(setting_pairs("optimizer=ada")) == ["optimizer=adamw", "optimizer=adam"]
    assert list(setting_pairs("cam=")) == ["cam=on", "cam=off"]


@pytest.mark.parametrize(
    ("shell", "begins"),
    [("bash", "_partly_completion()"), ("zsh", "#compdef partly"), ("fish", "complete --command partly")],
)
def test_shells_are_given_a_script(shell, begins):
    result = CliRunner().invoke(app, [], prog_name="partly", env={"_PARTLY_COMPLETE": f"source_{shell}"})
    assert result.exit_code == 0
    assert result.stdout.strip().startswith(begins)
    assert {"--install-completion", "--show-completion"} <= set(shown("--help").split())


@pytest.mark.parametrize("words", [["-q", "import", "images"], ["import", "images", "--quiet"]])
def test_quiet_may_stand_before_or_after_the_command(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    write_phantoms(tmp_path / "images", 6, seed=0)
    runner = CliRunner()
    assert runner.invoke(app, ["init"]).exit_code == 0
    assert "labels.csv" in runner.invoke(app, ["import", "images", "--dry-run"]).stderr
    quiet = runner.invoke(app, words)
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert "registered" in quiet.stdout
    assert runner.invoke(app, ["-q", "evaluate"]).stderr.startswith("partly: there is no finished run yet")
