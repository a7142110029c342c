"""What terminals are told, read as they read it."""

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cli.terminal_pictures import for_iterm, for_kitty, for_sixel, picture_protocol


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
        ({"TERM": "foot"}, for_sixel),
        ({"WT_SESSION": "c1"}, for_sixel),
        ({"TERM": "foot", "TMUX": "/tmp/x"}, None),
        ({"TERM": "xterm-256color", "PARTLY_PICTURES": "sixel"}, for_sixel),
        ({"TERM": "xterm-kitty", "PARTLY_PICTURES": "none"}, None),
    ],
)
def test_a_terminal_is_known_by_its_variables(environment, protocol):
    assert picture_protocol(environment) is protocol


def as_a_terminal_shows(text):
    """Paint sixels as a VT340 does: percent of red, green and blue, six rows a band, from the left again after $."""
    body = re.fullmatch(r"\x1bP0;1;0q(.*)\x1b\\\n", text, re.DOTALL)[1]
    width, height = map(int, re.match(r'"1;1;(\d+);(\d+)', body).groups())
    painted, colours, colour, x, top = np.full((height, width, 3), -1), {}, None, 0, 0
    tokens = r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|([$-])"
    rest = body[re.match(r'"[\d;]+', body).end() :]
    assert "".join(found[0] for found in re.finditer(tokens, rest)) == rest, "nothing else stands in it"
    for define, r, g, b, choose, count, many, one, move in re.findall(tokens, rest):
        if define:
            colours[define] = (int(r), int(g), int(b))
        elif choose:
            colour = colours[choose]
        elif move:
            x, top = 0, top + 6 * (move == "-")
        else:
            end = x + int(count or 1)
            for bit in range(6):
                if (ord(many or one) - 63) >> bit & 1:
                    painted[top + bit, x:end] = colour
            x = end
    return painted


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_sixels_are_the_picture(height, width, colours, seed):
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (colours, 3), dtype=np.uint8)
    picture = palette[rng.integers(0, colours, (height, width))]
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    painted = as_a_terminal_shows(for_sixel(stream.getvalue()))
    # As exact as percent are, and as a choice of 128 colours of at most 90 is.
    assert np.abs(painted - picture / 255 * 100).max() <= 1.5


def test_a_wide_picture_is_made_narrower():
    stream = io.BytesIO()
    Image.new("RGB", (3000, 30), (200, 10, 10)).save(stream, format="PNG")
    assert as_a_terminal_shows(for_sixel(stream.getvalue())).shape == (10, 1000, 3)
