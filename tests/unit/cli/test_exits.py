"""Errors as scripts see them: a code that stays, an exit code, the message and what to type."""

import inspect
import json
import re

import pytest
import typer
from typer.testing import CliRunner

import annotator.errors
import db.errors
import learner.errors
from cli.command import run_guarded
from cli.exits import KINDS, OTHER_CODES, answer_to, exit_code, split_hint
from cli.main import app
from cli.output import Output
from learner.config import make_config
from tests.json_outputs import check_error

ERRORS = [
    kind
    for module in (annotator.errors, db.errors, learner.errors)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_kind_of_its_own_that_its_bases_do_not_hide(kind):
    assert next(found for found in KINDS if issubclass(kind, found.error)).error is kind


def test_codes_are_short_names():
    codes = [kind.code for kind in KINDS] + list(OTHER_CODES)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) and len(code) <= 24 for code in codes)
    # A server that does not answer is one thing, wherever it stands.
    assert sorted(code for code in codes if codes.count(code) > 1) == ["no_server", "no_server"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("there is no run 'r'; see: partly runs", "there is no run 'r'", "see: partly runs"),
        ("it is big: 3; 4 and more", "it is big: 3; 4 and more", None),
        ("a; b; choose one", "a; b", "choose one"),
        ("unknown setting 'x'; did you mean 'y'?", "unknown setting 'x'", "did you mean 'y'?"),
        (
            "nothing was sent. If it is yours: partly connect URL",
            "nothing was sent",
            "If it is yours: partly connect URL",
        ),
        ("x", "x", None),
    ],
)
def test_a_message_is_split_where_it_says_what_to_do(text, message, hint):
    assert split_hint(text) == (message, hint)


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"szie": 1}, "unknown_setting"), ({"size": 1}, "invalid_setting"), ({"lr": "x"}, "invalid_setting")],
)
def test_settings(settings, code):
    with pytest.raises(learner.errors.ConfigInvalid) as caught:
        make_config("default", settings)
    assert answer_to(caught.value).code == code
    assert exit_code(caught.value) == 2


def run(*words):
    return CliRunner().invoke(app, list(words), prog_name="partly")


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["evalute"], "evaluate"),
        (["studio", "strat"], "start"),
        (["evaluate", "--splt", "val"], "--split"),
        (["evaluate", "--split", "tets"], "test"),
        (["import", "x", "--layout", "coko"], "coco"),
        (["export", "x", "--format", "yollo"], "yolo"),
        (["train", "--preset", "papr"], "paper"),
        (["list", "--limit", "many"], None),
        (["show"], None),
        (["status", "more"], None),
        (["--nonsense"], None),
    ],
)
def test_what_is_mistyped_is_one_document_with_json_wherever_it_stands(words, near):
    plain = run(*words)
    assert (plain.exit_code, plain.stdout) == (2, "")
    assert plain.stderr.count("\n") == 1
    assert plain.stderr.startswith("partly: ")
    assert "Value error" not in plain.stderr
    for line in (["--json", *words], [*words, "--json"]):
        result = run(*line)
        assert result.exit_code == 2
        error = check_error(json.loads(result.stdout))
        assert set(error) == {"code", "message", "hint"}
        assert error["code"] == "usage"
        assert re.search(r"see: partly( [a-z]+)* --help", error["hint"])
        if near is not None:
            assert f"did you mean {near}" in error["hint"]
        assert result.stderr == plain.stderr


def test_an_error_after_the_document_adds_no_second_one(capsys):
    output = Output(as_json=True)

    def work():
        output.document({"done": 1})
        raise db.errors.Conflict("no")

    with pytest.raises(typer.Exit):
        run_guarded(work, output)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"done": 1}
    assert said.err == "partly: no\n"


def test_a_bug_keeps_its_traceback_and_says_so_to_scripts(capsys):
    def work():
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_guarded(work, Output(as_json=True))
    assert check_error(json.loads(capsys.readouterr().out)) == {"code": "bug", "message": "KeyError: 'x'", "hint": None}


def test_quiet_says_errors_alone(capsys):
    output = Output(as_json=False, quiet=True)
    output.remark("by the way")
    with output.progress().task("work", 3) as task:
        task.advance()
    output.progress().say("half way")
    output.line("the outcome")
    with pytest.raises(typer.Exit):
        run_guarded(lambda: (_ for _ in ()).throw(db.errors.Conflict("no; try again")), output)
    said = capsys.readouterr()
    assert said.out == "the outcome\n"
    assert said.err == "partly: no; try again\n"
