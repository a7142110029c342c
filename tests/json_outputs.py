"""Checks what commands print with --json against docs/schemas."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker

ERROR = "error"
SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


@cache
def validator_of(command: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{command.replace(' ', '-')}.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema, format_checker=FormatChecker())


def command_in(words) -> str:
    """Find the command in what was typed, global options before it left out."""
    texts = [str(word) for word in words]
    for place, word in enumerate(texts):
        for name in (" ".join(texts[place : place + 2]), word):
            if name != ERROR and (SCHEMAS / f"{name.replace(' ', '-')}.json").is_file():
                return name
    raise AssertionError(f"docs/schemas has no schema for: partly {' '.join(texts)}")


def check_document(words, document) -> None:
    """Compare a document with its command's schema.

    Raises:
        AssertionError: it does not fit; names the keys.
    """
    _check(command_in(words), document)


def check_error(document) -> dict:
    """Compare an error's document with the schema of errors, and return what it says of the error."""
    _check(ERROR, document)
    return document["error"]


def _check(command, document) -> None:
    errors = sorted(validator_of(command).iter_errors(document), key=lambda error: list(error.path))
    said = [f"{'/'.join(map(str, best_of(error).absolute_path))}: {best_of(error).message[:500]}" for error in errors]
    assert not said, f"partly {command} --json does not fit docs/schemas; run make docs?\n" + "\n".join(said)


def best_of(error):
    """Of several kinds of documents, name what is wrong with the one that fits best."""
    while error.context:
        by_kind: dict[int, list] = {}
        for inner in error.context:
            by_kind.setdefault(inner.schema_path[0], []).append(inner)
        error = min(by_kind.values(), key=len)[0]
    return error
