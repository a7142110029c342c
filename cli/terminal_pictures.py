"""Pictures in a terminal, where it can show them: the graphics protocols of kitty and of iTerm2, and sixels; pure.

Sources: https://sw.kovidgoyal.net/kitty/graphics-protocol/ , https://iterm2.com/documentation-images.html and, for
sixels, chapter 14 of DEC's VT330/VT340 Programmer Reference Manual.

Shape legend: H W pixels of a picture, a band is six rows of it.
"""

import base64
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

CHUNK = 4096
"""Characters that kitty takes at a time."""
KITTY = frozenset({"WezTerm", "ghostty"})
"""Other programs (TERM_PROGRAM) that speak kitty's protocol."""
ITERM = frozenset({"iTerm.app", "vscode"})
SIXEL = frozenset({"foot", "foot-extra", "mlterm", "mlterm-256color", "yaft-256color", "contour"})
"""What terminals call themselves (TERM) that show sixels."""
CHOICE = "PARTLY_PICTURES"
"""Variable that names the protocol where the terminal does not tell: kitty, iterm, sixel or none."""
SIXEL_WIDTH, SIXEL_COLOURS, BAND = 1000, 128, 6
"""Sixels are shown pixel by pixel, so that a wider picture would be cut."""


def picture_protocol(environment: Mapping[str, str]) -> Callable[[bytes], str] | None:
    """Find out how the terminal is told to show a picture.

    Args:
        environment: its variables.

    Returns:
        What turns a PNG into what is to be printed; None where the terminal shows no pictures.
    """
    if (chosen := environment.get(CHOICE, "").lower()) in PROTOCOLS:
        return PROTOCOLS[chosen]
    program = environment.get("TERM_PROGRAM", "")
    # What lies between swallows it.
    if environment.get("TMUX") or environment.get("TERM", "").startswith("screen"):
        return None
    if "KITTY_WINDOW_ID" in environment or "kitty" in environment.get("TERM", "") or program in KITTY:
        return for_kitty
    if program in ITERM:
        return for_iterm
    # Windows Terminal shows sixels from 1.22 on.
    return for_sixel if environment.get("TERM") in SIXEL or "WT_SESSION" in environment else None


def for_kitty(png: bytes) -> str:
    """Write a PNG in kitty's protocol."""
    text = base64.standard_b64encode(png).decode("ascii")
    chunks = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks, start=1):
        begins = "a=T,f=100," if number == 1 else ""
        parts.append(f"\x1b_G{begins}m={int(number < len(chunks))};{chunk}\x1b\\")
    return "".join(parts) + "\n"


def for_iterm(png: bytes) -> str:
    """Write a PNG in iTerm2's protocol."""
    text = base64.standard_b64encode(png).decode("ascii")
    return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{text}\x07\n"


def for_sixel(png: bytes) -> str:
    """Write a PNG in sixels, of at most `SIXEL_COLOURS` colours and `SIXEL_WIDTH` pixels across."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    if picture.width > SIXEL_WIDTH:
        picture = picture.resize((SIXEL_WIDTH, max(1, round(picture.height * SIXEL_WIDTH / picture.width))))
    indexed = picture.quantize(SIXEL_COLOURS, dither=Image.Dither.NONE)
    flat = indexed.getpalette() or []
    width, height = indexed.size
    pixels = indexed.tobytes()
    index_HW = [pixels[start : start + width] for start in range(0, width * height, width)]
    colours = "".join(
        f"#{n};2;" + ";".join(str(round(part / 255 * 100)) for part in flat[3 * n : 3 * n + 3])
        for n in sorted(set(pixels))
    )
    bands = "-".join(_band(index_HW[top : top + BAND]) for top in range(0, height, BAND))
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{bands}\x1b\\\n'


def _band(rows: Sequence[bytes]) -> str:
    """Write six rows: for each colour, which of the six pixels of every column have it."""
    masks: dict[int, list[int]] = {}
    for bit, row in enumerate(rows):
        for x, colour in enumerate(row):
            masks.setdefault(colour, [0] * len(row))[x] |= 1 << bit
    return "$".join(f"#{colour}" + "".join(_runs(of_colour)) for colour, of_colour in masks.items())


def _runs(masks: list[int]) -> Iterator[str]:
    for mask, same in itertools.groupby(masks):
        count = sum(1 for _ in same)
        sixel = chr(63 + mask)
        yield f"!{count}{sixel}" if count > 3 else sixel * count


PROTOCOLS: Mapping[str, Callable[[bytes], str] | None] = {
    "kitty": for_kitty,
    "iterm": for_iterm,
    "sixel": for_sixel,
    "none": None,
}
"""By the name that is given to them in `CHOICE`."""
