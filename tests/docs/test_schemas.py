"""Every command has a JSON Schema that allows no further keys.

What the commands print is compared with it in tests/e2e (see its conftest.py) and in test_run_pages.py.
"""

import json

import pytest
import typer
from jsonschema import Draft202012Validator

from cli.documents import VIEWS
from cli.main import app
from tests.json_outputs import ERROR, SCHEMAS, check_document, check_error, command_in


def all_commands():
    found, todo = set(), [((), typer.main.get_command(app))]
    while todo:
        names, group = todo.pop()
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                todo.append(((*names, name), command))
            else:
                found.add(" ".join((*names, name)))
    return found


def schemas():
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(SCHEMAS.glob("*.json"))}


def test_every_command_has_a_schema():
    assert set(schemas()) == {name.replace(" ", "-") for name in all_commands()} | {ERROR}


@pytest.mark.parametrize("name", schemas())
def test_a_schema_is_one(name):
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    for kind in schema.get("anyOf", [schema]):
        kind = schema["$defs"][kind["$ref"].rpartition("/")[2]] if "$ref" in kind else kind
        assert kind["additionalProperties"] is False, "an unknown key would go unnoticed"
        assert kind["required"]


def test_records_with_a_view_of_their_own_have_a_schema_of_their_own():
    from json_shapes import RENAMED  # loads what the records are made of

    assert set(RENAMED) == set(VIEWS) - {"Box", "ImageFile"}


NEXT = {"steps": [{"command": "partly train", "why": "there is no run yet"}]}


def test_a_document_that_fits_is_accepted():
    check_document(["next", "--json"], NEXT)
    check_document(["--project", "x", "studio", "stop", "--json"], {"stopped": True, "dry_run": False})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "'steps' is a required property"),
        (NEXT | {"more": 1}, "Additional properties are not allowed"),
        ({"steps": [{"command": "partly train"}]}, "steps/0: 'why' is a required property"),
        ({"steps": [{"command": 1, "why": ""}]}, "steps/0/command: 1 is not of type 'string'"),
    ],
)
def test_a_document_that_does_not_fit_is_refused(document, said):
    with pytest.raises(AssertionError, match="does not fit") as caught:
        check_document(["next"], document)
    assert said in str(caught.value)


def test_an_error_with_an_unlisted_code_is_refused():
    answer = {"code": "no_run", "message": "there is no run yet", "hint": None}
    assert check_error({"error": answer}) == answer
    for wrong in ({**answer, "code": "no_runs"}, {**answer, "more": 1}, {"code": "no_run", "message": ""}):
        with pytest.raises(AssertionError, match="does not fit"):
            check_error({"error": wrong})


def test_a_command_is_found_behind_global_options():
    assert command_in(["--db", "sqlite:///x", "db", "check", "--json"]) == "db check"
    assert command_in(["set", 3, "--class", "other"]) == "set"
