"""Names are shown so that none of them commands a terminal."""

import json
import os

import pytest

from db.plain_text import json_shown, shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("\x1b[2Jscan.png", r"\x1b[2Jscan.png"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("invoice\u202egnp.exe", r"invoice\u202egnp.exe"),
        ("\u2066a\u2069\u200f\u2028", r"\u2066a\u2069\u200f\u2028"),
        ("a\rb\bc\x00\x7f", r"a\rb\x08c\x00\x7f"),
        (os.fsdecode(b"b\xff.png"), r"b\xff.png"),
        ("half \ud83d", r"half \ud83d"),
        ("zwei\nZeilen\t", r"zwei\nZeilen\t"),
        ("müller 肝臓 كبد 🙂 \\n", "müller 肝臓 كبد 🙂 \\n"),
    ],
)
def test_what_commands_a_terminal_is_shown_as_what_it_is_called(name, said):
    assert shown(name) == said
    shown(name).encode("utf-8")
    document = json_shown(json.dumps({"name": name}, ensure_ascii=False))
    document.encode("utf-8")
    assert json.loads(document) == {"name": name}
    assert not any(sign in document for sign in "\x1b\x07\x9b\u202e\u2066\u200f\u2028\x7f")


def test_a_text_keeps_its_lines():
    assert shown("one\ntwo\tthree\r\x1b", lines=True) == "one\ntwo\tthree\\r\\x1b"
