"""Every setting of a project and of its surroundings, explained: the keys of partly.toml and environment variables."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.settings import EMPTY_RESULTS, IMAGE_NAMES, PROJECT_FILE, studio_folders

if TYPE_CHECKING:
    from cli.settings import Settings

SET, NOT_SET = "set (not shown)", None


@dataclass(frozen=True, slots=True)
class ProjectDoc:
    """One setting that is no setting of trainings."""

    key: str
    """Section and key in partly.toml, or the name of an environment variable."""
    meaning: str
    allowed: str
    default: str | None
    value: str | None
    """Value in force; a secret is never shown."""
    source: str


KEYS = {
    "registry.url": ("PARTLY_DB", "--db", "SQLAlchemy URL of the registry.", "sqlite or postgresql URL", None),
    "label_studio.title": (None, None, "Name of the project that partly connect finds or creates.", "text", None),
    "label_studio.empty_result": (
        None, None, "What an annotation without a box means.", ", ".join(EMPTY_RESULTS), EMPTY_RESULTS[0],
    ),
    "label_studio.image_names": (
        None, None, "What annotators see as an image's name.", ", ".join(IMAGE_NAMES), IMAGE_NAMES[0],
    ),
    "label_studio.ca_file": (
        "PARTLY_LABEL_STUDIO_CA", None, "CA certificates to verify the server's certificate with.", "PEM file", None,
    ),
}  # fmt: skip
"""Keys of partly.toml: environment variable and option that count before it, meaning, what is allowed, default."""

VARIABLES = {
    "PARTLY_LABEL_STUDIO_URL": ("Address of Label Studio, if partly connect is given none.", "http(s) address"),
    "PARTLY_LABEL_STUDIO_TOKEN": ("Access token for Label Studio; a secret.", "token"),
    "PARTLY_STUDIO_HOME": ("Where the local Label Studio keeps its data.", "folder"),
    "PARTLY_STUDIO_ENVIRONMENT": ("Where the local Label Studio is installed.", "folder"),
    "PARTLY_CONFIG_HOME": ("Where the list of servers that you have named is kept.", "folder"),
    "PARTLY_PICTURES": ("How partly show draws in the terminal (default: detected).", "kitty, iterm, sixel or none"),
    "PARTLY_SERVE_USER": ("User name that callers of partly serve must give.", "text"),
    "PARTLY_SERVE_PASSWORD": ("Password that callers of partly serve must give; a secret.", "text"),
}
"""Environment variables that stand for no key of partly.toml: meaning, and what is allowed."""
SECRETS = ("PARTLY_LABEL_STUDIO_TOKEN", "PARTLY_SERVE_PASSWORD")


def project_docs(settings: "Settings | None", written: Iterable[str], database: str | None) -> list[ProjectDoc]:
    """Explain the settings, with the value in force and where it comes from.

    Args:
        settings: of the project; None outside of one.
        written: keys that stand in its partly.toml.
        database: what stands after --db.
    """
    in_force = _values(settings)
    docs = []
    for key, (variable, option, meaning, allowed, default) in KEYS.items():
        if option == "--db" and database:
            source = option
        elif variable and os.environ.get(variable):
            source = f"environment {variable}"
        else:
            source = PROJECT_FILE if key in written else "default"
        instead = f"; {variable} takes precedence" if variable else ""
        docs.append(ProjectDoc(key, meaning.rstrip(".") + instead + ".", allowed, default, in_force.get(key), source))
    home, environment = studio_folders()
    usual = {"PARTLY_STUDIO_HOME": str(home), "PARTLY_STUDIO_ENVIRONMENT": str(environment)}
    for name, (meaning, allowed) in VARIABLES.items():
        given = os.environ.get(name)
        value = (SET if name in SECRETS else without_password(given)) if given else usual.get(name, NOT_SET)
        source = f"environment {name}" if given else "default" if name in usual else "not set"
        docs.append(ProjectDoc(name, meaning, allowed, None, value, source))
    return docs


def _values(settings: "Settings | None") -> dict[str, str | None]:
    if settings is None:
        return {}
    return {
        "registry.url": without_password(settings.database_url),
        "label_studio.title": settings.title,
        "label_studio.empty_result": settings.empty_result,
        "label_studio.image_names": IMAGE_NAMES[settings.file_names],
        "label_studio.ca_file": str(settings.ca_file) if settings.ca_file else None,
    }


def without_password(url: str) -> str:
    """Return a URL of a database as it may be shown."""
    url = re.sub(r"(?<=[?&]password=)[^&]*", "***", url)
    scheme, separator, rest = url.partition("://")
    address, mark, more = rest.partition("?")
    # A password may have an @ of its own.
    account, at, place = address.rpartition("@")
    if not at or ":" not in account:
        return url
    return f"{scheme}{separator}{account.partition(':')[0]}:***@{place}{mark}{more}"
