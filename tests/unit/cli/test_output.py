"""Nothing that is printed commands a terminal, whoever it comes from, and every stream can say it."""

import io
import json
import logging
import os
import sys
import tomllib

import pytest
import typer

from cli.command import run_guarded
from cli.output import Output, RichProgress, print_table
from cli.settings import settings_of, write_project_file
from db.errors import RegistryError

NASTY = "\x1b[2J\x9b31m\u202e" + os.fsdecode(b"\xff")
SAID = r"\x1b[2J\x9b31m\u202e\xff"


@pytest.fixture
def streams(monkeypatch):
    """Standard streams as a terminal of this encoding has them."""

    def replace(encoding="utf-8"):
        made = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", made[0])
        monkeypatch.setattr(sys, "stderr", made[1])
        return lambda: [stream.buffer.getvalue().decode(encoding) for stream in made]

    return replace


def fails():
    raise RegistryError(f"{NASTY}\nsecond: no such image")


def test_people_see_the_names_of_characters(streams):
    said = streams()
    output = Output(as_json=False)
    output.line(f"image {NASTY}")
    output.remark(f"left out: {NASTY}")
    output.progress().say(NASTY)
    with output.progress().task(f"[red]{NASTY[:4]}", 1) as task:
        task.advance(1, file=NASTY)
    print_table(("path",), [(NASTY,), ("two\nlines",)])
    with pytest.raises(typer.Exit):
        run_guarded(fails)
    # Without the half character: what is logged is kept with the report, which some runners cannot pass on then.
    logging.getLogger("a.server").warning("it said %s", NASTY[:-1])
    out, err = said()
    assert out.count(SAID) == 2
    assert r"two\nlines" in out
    assert err.count(SAID.removesuffix(r"\xff")) >= 4
    assert f"partly: {SAID}\\nsecond: no such image\n" in err, "an error is one line"
    assert not any(sign in out + err for sign in "\x1b\x9b\u202e")


def test_a_document_says_them_as_json_does(streams):
    said = streams()
    Output(as_json=True).document({"path": NASTY, "name": "müller"})
    document = said()[0]
    assert json.loads(document) == {"path": NASTY, "name": "müller"}
    assert "müller" in document
    assert not any(sign in document for sign in "\x1b\x9b\u202e")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_that_cannot_say_a_name_spells_it(streams, encoding):
    said = streams(encoding)
    Output(as_json=True).document({"name": "肝臓"})
    Output(as_json=False).line("肝臓")
    RichProgress().say("肝臓")
    print_table(("name",), [("肝臓",)])
    out, err = said()
    assert json.loads(out[: out.index("}") + 1]) == {"name": "肝臓"}
    assert r"\u809d\u81d3" in err
    assert out.count(r"\u809d\u81d3") == 3


@pytest.mark.parametrize(
    "name", ["two\nlines", 'a "quoted" one', "back\\slash", "tab\tbell\x07del\x7f", "{title}", "\x1b[2J", "ünïcode"]
)
def test_a_project_may_lie_in_a_folder_of_any_name(tmp_path, name):
    root = tmp_path / name
    write_project_file(root)
    document = tomllib.loads((root / "partly.toml").read_text(encoding="utf-8"))
    assert document["label_studio"]["title"] == f"partly: {name}"
    assert settings_of(root, database=None).title == f"partly: {name}"


def test_a_folder_whose_name_is_no_text_is_a_project_too(tmp_path):
    root = tmp_path / os.fsdecode(b"b\xff")
    write_project_file(root)
    assert settings_of(root, database=None).title == "partly: b?"
