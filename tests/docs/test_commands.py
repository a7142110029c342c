"""Every command in README and docs is one that the program understands: its name, options and values."""

import pytest
from typer.testing import CliRunner

import cli.command
from cli.main import app
from tests.docs.pages import LINE, PAGES, ROOT, blocks_of, commands_of, name_of, partly_words, spans_of, without_blocks


def filled_in(words):
    """Put values where a line has a word in place of one: `N` is a number, `a|b` one of the two, `...` anything."""
    values = ("1" if word in {"N", "PORT"} else word.partition("|")[0] for word in words if word != "...")
    return list(values)


@pytest.fixture
def parse(monkeypatch):
    """Parse words as the command line does, and stop where the command's own work would begin."""
    monkeypatch.setattr(cli.command, "run_guarded", lambda work, output=None: None)

    def parsed(words, *, loosely=False):
        result = CliRunner().invoke(app, words)
        said = result.output + (result.stderr or "")
        if result.exit_code == 0 or (loosely and is_mention(said)):
            return
        raise AssertionError(f"partly {' '.join(words)}\n{said}")

    return parsed


def is_mention(said):
    """Within a line a command may be named without its arguments, or as a group."""
    missing = ("missing argument", "missing option", "requires an argument", "missing command")
    return any(text in said.lower() for text in missing) or ("Usage: " in said and "partly: " not in said)


def test_every_command_in_a_block_is_understood(parse):
    counted, wrong = 0, []
    for page in PAGES:
        for block in blocks_of(page):
            for words in commands_of(block.text) if block.is_shell else ():
                given = partly_words(words)
                if given is None:
                    continue
                counted += 1
                try:
                    parse(given)
                except AssertionError as exc:
                    wrong.append(f"{block.place}: {exc}")
    assert not wrong, "\n".join(wrong)
    assert counted > 150, f"only {counted} commands were found: is the search for them broken?"


def test_every_command_within_a_line_is_understood(parse):
    counted, wrong = 0, []
    for page in PAGES:
        for place, words in spans_of(page):
            counted += 1
            try:
                parse(filled_in(words), loosely=True)
            except AssertionError as exc:
                wrong.append(f"{place}: {exc}")
    assert not wrong, "\n".join(wrong)
    assert counted > 180, f"only {counted} commands were found: is the search for them broken?"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--no-such-option"],
        ["no-such-command"],
        ["export", "out", "--format", "no-such-format"],
        ["split", "--val", "many"],
        ["studio", "restart"],
        ["diff", "one"],
    ],
    ids=" ".join,
)
def test_what_does_not_exist_is_noticed(parse, words):
    with pytest.raises(AssertionError):
        parse(words)
    if words != ["diff", "one"]:
        with pytest.raises(AssertionError):
            parse(words, loosely=True)


def test_no_command_stands_where_nobody_looks():
    for page in PAGES:
        if page.name == "cli.md":
            continue  # generated from the program's own help
        for block in blocks_of(page):
            lines = [line for line in block.text.splitlines() if LINE.match(line)]
            assert block.is_shell or not lines, f"{block.place}: call the block ```sh, so that {lines[0]!r} is checked"
        for line in without_blocks(page).splitlines():
            assert not (line.startswith("    ") and LINE.match(line)), (
                f"{name_of(page)}: fence as ```sh: {line.strip()}"
            )


def test_pages_are_found():
    assert {"README.md", "docs/training.md", "docs/tutorials/researcher.md"} <= {name_of(page) for page in PAGES}
    assert all(page.is_relative_to(ROOT) for page in PAGES)
