"""What a shell completes after Tab, where that can be known without loading anything heavy."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any


def run_names(ctx: Any, incomplete: str) -> list[str]:
    """Return the runs whose folders are in the project, newest first."""
    from cli.settings import find_project

    with suppress(Exception):
        named = ctx.params.get("project") or (ctx.find_root().params.get("project"))
        root = Path(named) if named else find_project(Path.cwd())
        if root is not None:
            names = [place.name for place in (root / "runs").glob("run-*") if place.name[4:].isdigit()]
            return [name for name in sorted(names, key=_number, reverse=True) if name.startswith(incomplete)]
    return []


def setting_pairs(incomplete: str) -> Iterable[str]:
    """Return the keys of --set with an equals sign, and after it the values of those that have choices."""
    from cli.help.setting_docs import setting_choices

    key, typed, _ = incomplete.partition("=")
    known = setting_choices()
    if not typed:
        return [f"{name}=" for name in known if name.startswith(key)]
    return [f"{key}={choice}" for choice in known.get(key, ()) if f"{key}={choice}".startswith(incomplete)]


def setting_keys(incomplete: str) -> list[str]:
    """Return the names of settings."""
    from cli.help.project_docs import KEYS, VARIABLES
    from cli.help.setting_docs import setting_choices

    return [name for name in (*setting_choices(), *KEYS, *VARIABLES) if name.startswith(incomplete)]


def _number(name: str) -> int:
    return int(name[4:])
