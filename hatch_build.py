"""Builds the wheel: the folders at the top of the repository are installed under one name, `partly`.

In the source tree a module is `db.registry`. Installed under that name it would lie beside everybody else's modules,
and `db` and `cli` are names that others use. So a wheel has it as `partly.db.registry`, and the imports say so: this
hook copies the folders and writes `from db.registry import ...` as `from partly.db.registry import ...`, on the same
lines. An editable install is the source tree itself, for work on partly, in an environment of its own.
"""

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "partly"
FOLDERS = ("annotator", "cli", "db", "learner")
"""What is a package at the top of the repository, and one below `partly` in a wheel."""

_MODULE = re.compile(rf"({'|'.join(FOLDERS)})(\.\w+)+")
_FROM = re.compile(rf"from +(?=({'|'.join(FOLDERS)})\b)")


class CannotBuild(ValueError):
    """A module names another one in a way that would be wrong in the wheel."""


def under_one_name(source: str, file: str) -> str:
    """Return a module's text as the wheel has it: the same lines, with imports from `partly.db` instead of `db`.

    Args:
        source: the module's text.
        file: its name, for messages.

    Raises:
        CannotBuild: it names a module otherwise than with `from db.registry import ...`, the message says where.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in FOLDERS:
                    raise CannotBuild(f"{file}:{node.lineno}: `import {alias.name}` should be `from ... import ...`")
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] in FOLDERS:
            line = lines[node.lineno - 1].encode()
            before, rest = line[: node.col_offset].decode(), line[node.col_offset :].decode()
            found = _FROM.match(rest)
            if found is None:
                raise CannotBuild(f"{file}:{node.lineno}: write the import from {node.module} on one line")
            lines[node.lineno - 1] = f"{before}{found.group()}{NAME}.{rest[found.end() :]}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODULE.fullmatch(node.value):
            raise CannotBuild(f"{file}:{node.lineno}: {node.value!r} would name no module of the wheel; use __name__")
    return "".join(lines)


def lay_out(root: Path, target: Path) -> None:
    """Write the package `partly` as the wheel has it into a folder.

    Raises:
        CannotBuild: see `under_one_name`.
    """
    unwanted = shutil.ignore_patterns("__pycache__", "*.py[co]")
    shutil.copytree(root / NAME, target, ignore=unwanted, dirs_exist_ok=True)
    for folder in FOLDERS:
        if (target / folder).exists() or (target / f"{folder}.py").exists():
            raise CannotBuild(f"{NAME}/ has a module {folder} already")
        shutil.copytree(root / folder, target / folder, ignore=unwanted)
    for module in sorted(target.rglob("*.py")):
        text = module.read_bytes().decode("utf-8")
        module.write_bytes(under_one_name(text, str(module.relative_to(target))).encode("utf-8"))


class OneName(BuildHookInterface):
    """Gives hatchling the package to put into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Lay the package out, except for an editable install."""
        if self.target_name != "wheel" or version == "editable":
            return
        self._folder = Path(tempfile.mkdtemp(prefix="partly-wheel-"))
        lay_out(Path(self.root), self._folder / NAME)
        build_data["force_include"][str(self._folder / NAME)] = NAME

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove it again."""
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder, ignore_errors=True)
