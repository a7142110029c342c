"""What `partly settings` shows: every setting with its meaning, the value in force, and where that comes from."""

import difflib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cli.context import Workspace
from cli.help.project_docs import ProjectDoc, project_docs
from cli.help.setting_docs import SettingDoc, setting_docs
from cli.output import Table
from cli.settings import PROJECT_FILE
from cli.training_settings import STAGES, TrainingSettings, training_settings
from db.errors import ProjectMissing
from learner.errors import SettingUnknown

Training = tuple[str, Path | None, list[str] | None, str | None]
"""What a training is asked for: preset, --config, --set, --weights."""


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """The page, for scripts and for people."""

    document: dict[str, Any]
    tables: list[Table]


def explain_settings(work: Workspace, key: str | None, *, training: Training) -> SettingsPage:
    """Explain all settings, or one of them.

    Args:
        work: where the command runs; there need not be a project.
        key: the one; None for all.
        training: what a training would be asked for.

    Raises:
        SettingUnknown: there is no such setting; ConfigInvalid: a value that is not allowed.
    """
    preset, file, pairs, weights = training
    try:
        project = work.settings
    except ProjectMissing:
        if work.options.project is not None:
            raise
        project = None
    chosen = training_settings(preset, project.train if project else {}, file, pairs, weights)
    docs = setting_docs()
    others = project_docs(project, project.written if project else (), work.options.database)
    if key is not None:
        found, others = _named(key, docs, others)
        docs = {one: docs[one] for one in found}
    document = {
        "preset": preset,
        "project": None if project is None else str(project.root),
        "settings": [_entry(doc, chosen) for doc in docs.values()],
        "surroundings": [{"setting" if name == "key" else name: value for name, value in asdict(doc).items()}
                         for doc in others],
    }  # fmt: skip
    if key is not None:
        return SettingsPage(document, [_in_full(doc, chosen) for doc in docs.values()] + [_told(doc) for doc in others])
    tables: list[Table] = []
    for group in dict.fromkeys(doc.group for doc in docs.values()):
        rows = [
            (doc.key, *_in_force(doc, chosen), _first_sentence(doc.meaning))
            for doc in docs.values()
            if doc.group == group
        ]
        tables.append(((group, "value", "from", "meaning"), rows))
    around = [(doc.key, doc.value, doc.source, doc.meaning) for doc in others]
    tables.append(((f"{PROJECT_FILE}, and environment variables", "value", "from", "meaning"), around))
    return SettingsPage(document, tables)


def _named(key: str, docs: dict[str, SettingDoc], others: list[ProjectDoc]) -> tuple[list[str], list[ProjectDoc]]:
    """Find a setting by its name, or by the last part of it.

    Raises:
        SettingUnknown: there is none; the message names the nearest one.
    """
    if key == "epochs":
        return [*STAGES], []
    if key in docs:
        return [key], []
    same = [doc for doc in others if key.lower() in (doc.key.lower(), doc.key.rpartition(".")[2])]
    if same:
        return [], same
    names = [*docs, "epochs", *(doc.key for doc in others), *(doc.key.rpartition(".")[2] for doc in others)]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise SettingUnknown(f"unknown setting {key!r}; {meant}all of them: partly settings")


def _entry(doc: SettingDoc, chosen: TrainingSettings) -> dict[str, Any]:
    values = {"setting" if name == "key" else name: value for name, value in asdict(doc).items()}
    return values | {"value": chosen.config.to_dict()[doc.key], "source": chosen.sources[doc.key]}


def _in_force(doc: SettingDoc, chosen: TrainingSettings) -> tuple[str, str]:
    return shown_value(chosen.config.to_dict()[doc.key]), chosen.sources[doc.key]


def _in_full(doc: SettingDoc, chosen: TrainingSettings) -> Table:
    value, source = _in_force(doc, chosen)
    example = value if not doc.choices else next(one for one in doc.choices if one != value)
    rows = [
        ("meaning", doc.meaning),
        ("purpose", doc.group),
        ("is", f"{doc.kind}: {doc.allowed}" if doc.allowed else doc.kind),
        ("preset default", shown_value(doc.default)),
        ("preset paper", shown_value(doc.paper)),
        ("in force", value),
        ("from", source),
        ("to change it", f"--set {doc.key}={example}, or {doc.key} = ... below [train] in {PROJECT_FILE}"),
    ]
    return (doc.key, ""), rows


def _told(doc: ProjectDoc) -> Table:
    section, _, name = doc.key.rpartition(".")
    how = f"{name} = ... below [{section}] in {PROJECT_FILE}" if section else f"export {name}=..."
    rows = [
        ("meaning", doc.meaning),
        ("is", doc.allowed),
        ("default", doc.default),
        ("in force", doc.value),
        ("from", doc.source),
        ("to change it", how),
    ]
    return (doc.key, ""), rows


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\w\.|\)\.) (?=[A-Z])", text)[0]


def shown_value(value: object) -> str:
    """Write a value as it is typed: on and off, not True and False."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
