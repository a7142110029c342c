"""Finds the commands that the pages tell people to type.

A fenced block of the languages in `SHELLS` is a list of commands. A comment in the line before it may say
`<!-- not run: REASON -->`: then its commands are checked against the command line's own parser, but not run. Code
within a line that begins with `partly` is checked by the parser too.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELLS = ("bash", "console", "sh")
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))])

FENCE = re.compile(r"^ *(`{3,})\s*([\w-]*)[^`]*$")
REASON = re.compile(r"<!-- not run: (.+?) -->")
SPAN = re.compile(r"(?<!`)`(partly [^`]+)`(?!`)")
LINE = re.compile(r"^\s*(?:\$ )?partly [a-z]")
"""A line that is a command, wherever it stands."""

STARTERS = frozenset({"srun", "torchrun", "xargs", "nohup", "time"})
"""Programs that start the command that their own arguments name."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    """Of its first line of code, counted from 1."""
    language: str
    text: str
    reason: str | None
    """Why its commands are not run."""

    @property
    def is_shell(self):
        return self.language in SHELLS

    @property
    def place(self):
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """Read the fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    fence, start, language = "", 0, ""
    for number, line in enumerate(lines, start=1):
        match = FENCE.match(line)
        if fence and line.strip().startswith(fence):
            code = "\n".join(lines[start : number - 1])
            found.append(Block(name_of(page), start + 1, language, code, reason_before(lines, start - 1)))
            fence = ""
        elif not fence and match:
            fence, language, start = match[1], match[2], number
    assert not fence, f"{name_of(page)}: the block that begins in line {start} does not end"
    return found


def reason_before(lines: list[str], fence: int) -> str | None:
    """Return the reason that stands in the line above a block, blank lines left out."""
    above = next((line for line in reversed(lines[:fence]) if line.strip()), "")
    match = REASON.search(above)
    return match[1] if match else None


def without_blocks(page: Path) -> str:
    """Return the prose of a page, with as many lines as the page."""
    prose, fence = [], ""
    for line in page.read_text(encoding="utf-8").splitlines():
        match = FENCE.match(line)
        if fence:
            if line.strip().startswith(fence):
                fence = ""
            prose.append("")
        elif match:
            fence = match[1]
            prose.append("")
        else:
            prose.append(line)
    return "\n".join(prose)


def spans_of(page: Path) -> list[tuple[str, list[str]]]:
    """Return the commands within lines: where each stands, and its words after `partly`."""
    found = []
    text = without_blocks(page)
    for match in SPAN.finditer(text):
        words = shlex.split(match[1].replace("\n", " "))[1:]
        if words[0] != "->":
            found.append((f"{name_of(page)}:{text.count(chr(10), 0, match.start()) + 1}", words))
    return found


def commands_of(text: str) -> Iterator[list[str]]:
    """Yield the simple commands of a block as lists of words, `&&` and line ends between them; no comments.

    What comes after a pipe or a redirection is left out: it is another program's.
    """
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        behind = False
        for token in lexer:
            if token in {"&&", ";"}:
                if words:
                    yield words
                words, behind = [], False
            elif token in {"|", ">", ">>", "<", "&"}:
                behind = True
            elif not behind:
                words.append(token)
        if words:
            yield words


def partly_words(words: list[str]) -> list[str] | None:
    """Return what is given to `partly` by a command, or None where that is not what it starts."""
    while words and re.match(r"^[A-Za-z_]+=", words[0]):
        words = words[1:]
    if words and (words[0] == "partly" or (words[0] in STARTERS and "partly" in words)):
        return words[words.index("partly") + 1 :]
    return None
