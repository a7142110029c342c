"""Names that come from files, people and servers, made harmless to show: nothing in them commands a terminal.

A name may contain a sequence that moves the cursor, clears a line or sets the window's title, or a mark that turns the
direction of writing, so that what is read is not what is there. Such characters are shown as what they are called.
And counts, as they are read: 1 image, 2 images.
"""

import re

_LIVELY = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    r"\u2028\u2029"  # other ends of lines
    r"\ud800-\udfff"  # halves of characters, as in names of files that are not UTF-8
)
_IN_A_TEXT = re.compile(f"[{_LIVELY}]")
_IN_A_LINE = re.compile(f"[{_LIVELY}\t\n]")


def shown(text: str, *, lines: bool = False) -> str:
    r"""Return a text as it may be shown, such as `\x1b[2J` for a sequence that would clear the screen.

    Args:
        text: from anywhere.
        lines: it may have several lines; otherwise ends of lines are shown as `\n` too.
    """
    return (_IN_A_TEXT if lines else _IN_A_LINE).sub(_called, text)


def json_shown(document: str) -> str:
    r"""Return a JSON document that says the same, with such characters as JSON's own `\u001b`."""
    return _IN_A_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write a count with its noun.

    >>> counted(1, "image"), counted(2, "image"), counted(1200, "box", "boxes")
    ('1 image', '2 images', '1,200 boxes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _called(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        # How Python spells a byte of a name that is not UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    named = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(found[0])
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
