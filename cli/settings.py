"""Where and who: the project folder, the database, Label Studio. Flags count before the environment, then the file.

What is trained is not here but in `learner.config`; a token is never here at all.
"""

import json
import os
import shlex
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from db.database_url import absolute_url
from db.errors import InvalidArgument, ProjectMissing

PROJECT_FILE = "partly.toml"
DATABASE_FILE = "registry.sqlite3"

TEMPLATE = """# A partly project. Images stay where they are; what is known about them is in the registry.

[registry]
# Any SQLAlchemy URL; by default registry.sqlite3 in this folder. Keep passwords out of it: use the environment
# variable PARTLY_DB, or PostgreSQL's own password file.
# url = "postgresql://user@host/name"

[label_studio]
# Name of the project that `partly connect` finds or creates.
title = "{title}"
# What an annotation without a box means: "nothing" (it may be an accident, and "no lesion" can be chosen), or
# "no lesion", if your team has agreed on that.
# empty_result = "nothing"
# What annotators see of an image's name: "number" (a name may say who the patient is), or "file".
# image_names = "number"
# CA certificates (PEM) of the authority that signed the server's certificate, if it is your own.
# ca_file = "ca.pem"

[train]
# Defaults for every training run; the names are those of --set, listed by: partly settings. For example:
# size = 128
# encoder = "resnet50"
"""


EMPTY_IS_NONE = "no lesion"
EMPTY_RESULTS = ("nothing", EMPTY_IS_NONE)
"""What an annotation without a box can mean: nothing was said about the location, or there is no lesion."""


FILE_NAMES = "file"
IMAGE_NAMES = ("number", FILE_NAMES)
"""What annotators see of an image's name: its number here, or the name of its file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the commands need to know about their surroundings."""

    root: Path
    database_url: str
    title: str
    empty_result: str = EMPTY_RESULTS[0]
    file_names: bool = False
    """Annotators see the names of the files."""
    ca_file: Path | None = None
    train: dict[str, Any] = field(default_factory=dict)
    written: frozenset[str] = frozenset()
    """What stands in partly.toml: section and key, `label_studio.title`."""

    @property
    def empty_is_none(self) -> bool:
        """An annotation without a box means that there is no lesion."""
        return self.empty_result == EMPTY_IS_NONE


def find_project(start: Path) -> Path | None:
    """Return the nearest folder, from `start` upwards, that holds a partly.toml.

    Raises:
        InvalidArgument: others can write to that file: in a folder such as /tmp anybody could put one that decides what
            everybody's commands work with.
    """
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            if stranger := stranger_of(folder / PROJECT_FILE):
                raise InvalidArgument(
                    f"{folder / PROJECT_FILE} {stranger}, so it is not used automatically; if you trust it, name its "
                    f"folder: partly --project {shlex.quote(str(folder))} ..."
                )
            return folder
    return None


def load_settings(*, project: Path | None, database: str | None) -> Settings:
    """Read the settings of the project that the command runs in.

    Raises:
        ProjectMissing: there is no project here.
        InvalidArgument: partly.toml cannot be read, says something unknown, or was found on the way up and others can
            write to it.
    """
    root = project.resolve() if project is not None else find_project(Path.cwd())
    if root is None or not (root / PROJECT_FILE).is_file():
        where = project if project is not None else "this folder or any above it"
        raise ProjectMissing(f"there is no partly project in {where}; create one with: partly init")
    return settings_of(root, database=database)


def stranger_of(file: Path) -> str | None:
    """Say who else can write to a settings file; None if only this user and the system's administrator can."""
    if not hasattr(os, "geteuid"):
        return None
    trusted = {os.geteuid(), 0}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        # Whoever became the administrator just now works in a project of their own.
        trusted.add(int(os.environ["SUDO_UID"]))
    # A link may be somebody else's while the file is not.
    if not {file.lstat().st_uid, file.stat().st_uid} <= trusted:
        return "belongs to another user"
    return "can be written by every user" if file.stat().st_mode & stat.S_IWOTH else None


def settings_of(root: Path, *, database: str | None) -> Settings:
    """Read the settings of a project folder; a folder without partly.toml has the defaults."""
    document = _read(root / PROJECT_FILE)
    studio = document["label_studio"]
    unknown = set(studio) - {"title", "empty_result", "image_names", "ca_file"}
    if unknown:
        raise InvalidArgument(
            f"{root / PROJECT_FILE}: [label_studio] has no {', '.join(sorted(unknown))}; it has title, empty_result, "
            "image_names, ca_file"
        )
    empty_result = studio.get("empty_result", EMPTY_RESULTS[0])
    if empty_result not in EMPTY_RESULTS:
        raise InvalidArgument(
            f"{root / PROJECT_FILE}: empty_result must be one of {', '.join(EMPTY_RESULTS)}, got {empty_result!r}"
        )
    names = studio.get("image_names", IMAGE_NAMES[0])
    if names not in IMAGE_NAMES:
        raise InvalidArgument(
            f"{root / PROJECT_FILE}: image_names must be one of {', '.join(IMAGE_NAMES)}, got {names!r}"
        )
    ca_file = os.environ.get("PARTLY_LABEL_STUDIO_CA") or studio.get("ca_file")
    typed = database or os.environ.get("PARTLY_DB")
    configured = document["registry"].get("url") or f"sqlite:///{DATABASE_FILE}"
    return Settings(
        root=root,
        # What a person types is relative to where they are, what the file says to the file.
        database_url=absolute_url(typed, Path.cwd()) if typed else absolute_url(configured, root),
        title=studio.get("title") or f"partly: {root.name}",
        empty_result=empty_result,
        file_names=names == FILE_NAMES,
        ca_file=root / ca_file if ca_file else None,
        train=document["train"],
        written=frozenset(f"{section}.{key}" for section, values in document.items() for key in values),
    )


def write_project_file(root: Path) -> None:
    """Mark a folder as a project; a file that is there stays as it is."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / PROJECT_FILE
    if not file.exists():
        # JSON's way to write a text is TOML's, but for the one character that TOML wants written and JSON does not,
        # and for bytes of a folder's name that are no characters.
        name = root.name.encode("utf-8", "replace").decode()
        title = json.dumps(f"partly: {name}", ensure_ascii=False)[1:-1].replace("\x7f", "\\u007f")
        file.write_text(TEMPLATE.format(title=title), encoding="utf-8")


def _read(file: Path) -> dict[str, dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {"registry": {}, "label_studio": {}, "train": {}}
    if not file.is_file():
        return known
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidArgument(f"{file}: cannot be read as TOML ({exc})") from exc
    unknown = [name for name in document if name not in known or not isinstance(document[name], dict)]
    if unknown:
        raise InvalidArgument(f"{file}: unknown section {', '.join(unknown)}; expected {', '.join(known)}")
    return known | document


def studio_folders() -> tuple[Path, Path]:
    """Return where the local Label Studio keeps its data and its environment; the same for all projects."""
    from platformdirs import PlatformDirs

    usual = PlatformDirs("partly", appauthor=False)
    home = _named("PARTLY_STUDIO_HOME") or usual.user_data_path / "studio"
    return home, _named("PARTLY_STUDIO_ENVIRONMENT") or usual.user_cache_path / "label-studio"


def _named(variable: str) -> Path | None:
    """Return the folder that an environment variable names."""
    return Path(os.environ[variable]).resolve() if os.environ.get(variable) else None
