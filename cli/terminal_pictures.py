"""Pictures in a terminal, where it can show them: the graphics protocols of kitty and of iTerm2; pure.

Sources: https://sw.kovidgoyal.net/kitty/graphics-protocol/ and https://iterm2.com/documentation-images.html
"""

import base64
from collections.abc import Callable, Mapping

CHUNK = 4096
"""Characters that kitty takes at a time."""
KITTY = frozenset({"WezTerm", "ghostty"})
"""Other programs (TERM_PROGRAM) that speak kitty's protocol."""
ITERM = frozenset({"iTerm.app", "vscode"})


def picture_protocol(environment: Mapping[str, str]) -> Callable[[bytes], str] | None:
    """Find out how the terminal is told to show a picture.

    Args:
        environment: its variables.

    Returns:
        What turns a PNG into what is to be printed; None where the terminal shows no pictures.
    """
    program = environment.get("TERM_PROGRAM", "")
    # What lies between swallows it.
    if environment.get("TMUX") or environment.get("TERM", "").startswith("screen"):
        return None
    if "KITTY_WINDOW_ID" in environment or "kitty" in environment.get("TERM", "") or program in KITTY:
        return for_kitty
    return for_iterm if program in ITERM else None


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
