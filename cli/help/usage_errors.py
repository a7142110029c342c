"""What is answered to a command line that cannot be read: an unknown command or option, a value that is none.

typer raises these before a command runs, so they do not pass the boundary in `cli.command`.
"""

import difflib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import typer

from cli.exits import USAGE, ErrorAnswer
from cli.output import print_error, print_remark

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Root of what typer raises about a command line; it exports its subclass alone."""
SUGGESTED = re.compile(r"\.? *(?:Did you mean (?P<commands>.+)\?|\(Possible options: (?P<options>.+)\))$")
NOT_A_CHOICE = re.compile(r"'(?P<given>[^']*)' is not one of (?P<choices>'.*)")

PLAINLY = {
    r": Value error, ": ": ",
    r"Input should be a valid integer.*": "expected a whole number",
    r"Input should be a valid number.*": "expected a number",
    r"Input should be ": "expected a value ",
}
"""What is said in place of the words of the library that reads values."""


def answered(run: Callable[[], Any], words: Sequence[str]) -> NoReturn:
    """Run a command line and leave the process with its exit code.

    Args:
        run: runs it, returns an exit code or None, and raises what is wrong with its words.
        words: the words.
    """
    try:
        code = run()
    except UsageError as exc:
        _say(exc, as_json=is_json(words))
        sys.exit(getattr(exc, "exit_code", USAGE))
    except typer.Abort:
        print_remark("partly: aborted")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def is_json(words: Sequence[str]) -> bool:
    """Say whether a command line asks for JSON, wherever the option stands."""
    before = words[: words.index("--")] if "--" in words else words
    return "--json" in before


def _say(exc: Any, *, as_json: bool) -> None:
    if type(exc).__name__ == "NoArgsIsHelpError":
        # Not an error to a person: they asked for the page.
        exc.show()
        if as_json:
            print_error(ErrorAnswer("usage", "a command is missing", "partly --help"))
        return
    message, near = _split(str(exc.format_message()).strip())
    path = exc.ctx.command_path if exc.ctx is not None else "partly"
    near = _as_setting(getattr(exc, "option_name", None), exc.ctx) or near
    hint = f"did you mean {' or '.join(near)}? see: {path} --help" if near else f"see: {path} --help"
    print_remark(f"partly: {message}; {hint}")
    if as_json:
        print_error(ErrorAnswer("usage", message, hint))


def _as_setting(option: str | None, context: Any) -> list[str]:
    """Return how a setting is typed that somebody took for an option of its own, such as --size."""
    if option is None or context is None or not any("--set" in item.opts for item in context.command.params):
        return []
    from learner.config import ALIASES, TrainConfig

    key = option.lstrip("-").replace("-", "_")
    known = (set(TrainConfig.__dataclass_fields__) - set(ALIASES.values())) | set(ALIASES) | {"epochs"}
    return [f"--set {key}=..."] if key in known else []


def _split(message: str) -> tuple[str, list[str]]:
    """Split typer's message into what is wrong, and what may have been meant."""
    if (found := SUGGESTED.search(message)) is not None:
        near = re.findall(r"[^\s',]+", found["commands"] or found["options"])
        message = message[: found.start()]
    elif (found := NOT_A_CHOICE.search(message)) is not None:
        choices = re.findall(r"'([^']*)'", found["choices"])
        near = difflib.get_close_matches(found["given"].lower(), choices, n=1, cutoff=0.5)
    else:
        near = []
    for pattern, words in PLAINLY.items():
        message = re.sub(pattern, words, message)
    message = " ".join(message.split()).rstrip(".")
    return message[:1].lower() + message[1:], near
