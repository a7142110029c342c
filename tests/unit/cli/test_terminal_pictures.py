"""What terminals are told, read as they read it."""

import base64
import re

import pytest

from cli.terminal_pictures import for_iterm, for_kitty, picture_protocol


@pytest.mark.parametrize("size", [1, 3000, 3072, 3073, 20_000])
def test_kitty_gets_the_whole_picture_in_pieces(size):
    png = bytes(n % 251 for n in range(size))
    pieces = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", for_kitty(png))
    assert base64.b64decode("".join(text for _, text in pieces)) == png
    assert max(len(text) for _, text in pieces) <= 4096
    assert pieces[0][0].startswith("a=T,f=100,")
    assert [head.split("m=")[1] for head, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]


def test_iterm_gets_it_in_one():
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=5;preserveAspectRatio=1:(.*)\x07\n", for_iterm(b"12345"))
    assert base64.b64decode(found[1]) == b"12345"


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty"}, for_kitty),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, for_kitty),
        ({"TERM_PROGRAM": "WezTerm"}, for_kitty),
        ({"TERM_PROGRAM": "iTerm.app"}, for_iterm),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/x"}, None),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, None),
    ],
)
def test_a_terminal_is_known_by_its_variables(environment, protocol):
    assert picture_protocol(environment) is protocol
