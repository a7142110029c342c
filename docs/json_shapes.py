"""Records -> JSON Schema, under the rules by which `cli/documents.py` turns records into JSON.

A record becomes a closed object: every key it always has is required, and no other key is allowed. The schemas
themselves are made by pydantic, from TypedDicts that are made here.
"""

import ast
import dataclasses
import inspect
import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from cli.documents import FLAT, HIDDEN, JSON_NAMES, OPTIONAL
from db.imaging.files import ImageFile
from db.records import Box

Keys = dict[str, Any]
"""The keys of an object and what stands under them: types, or records."""

PLACES = (Path, ImageFile)
XYWH = Annotated[tuple[float, float, float, float], Field(description="x, y, width, height in pixels, upright image")]
SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def closed(name: str, keys: Keys, *, about: str = "", optional: Sequence[str] = (), more: bool = False) -> Any:
    """Make the type of an object.

    Args:
        name: what the schema calls it.
        keys: what stands under each key, already in the form of JSON.
        about: what it is, in a sentence.
        optional: keys that may be missing.
        more: other keys are allowed too.
    """
    types = {key: NotRequired[kind] if key in optional else kind for key, kind in keys.items()}
    made = TypedDict(name, types)  # type: ignore[operator]
    made.__pydantic_config__ = ConfigDict(extra="allow" if more else "forbid")
    made.__doc__ = about or None
    return made


def any_of(*kinds: Any) -> Any:
    """Return the type of what is one of several kinds."""
    return Union[kinds]  # noqa: UP007


def json_type(kind: Any) -> Any:
    """Return what a value of a type is as JSON: records become objects, places and times text, sequences lists."""
    if kind is Any or kind is object:
        return Any
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any_of(*(item if item is NoneType else json_type(item) for item in inner))
    if origin is Annotated:
        return Annotated[(json_type(inner[0]), *inner[1:])]
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return tuple[tuple(json_type(item) for item in inner)]  # type: ignore[misc]
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return dict[str, json_type(inner[1])]  # type: ignore[misc]
    if inspect.isclass(origin) and issubclass(origin, Sequence | set | frozenset):
        return list[json_type(inner[0])]  # type: ignore[misc]
    if kind is Box:
        return XYWH
    if inspect.isclass(kind) and issubclass(kind, PLACES):
        return str
    if dataclasses.is_dataclass(kind):
        return of_record(kind)
    return kind


@cache
def of_record(record: type) -> Any:
    """Return the type of a record's document."""
    name = record.__name__
    if name in RENAMED:
        return RENAMED[name]()
    keys, optional, more = keys_of(record)
    return closed(name, keys, about=_sentence(record), optional=optional, more=more)


def keys_of(record: type) -> tuple[Keys, list[str], bool]:
    """Return a record's keys, which of them may be missing, and whether there are others.

    The fields of a record that stands flat in this one are among them.
    """
    hints, texts = get_type_hints(record), field_docs(record)
    keys: Keys = {}
    optional: list[str] = []
    more = False
    for field in dataclasses.fields(record):
        place, kind = (record.__name__, field.name), hints[field.name]
        if place in HIDDEN:
            continue
        if place in FLAT:
            if dataclasses.is_dataclass(kind):
                inner, inner_optional, inner_more = keys_of(kind)
                keys |= inner
                optional += inner_optional
                more = more or inner_more
            else:
                more = True
            continue
        name = JSON_NAMES.get(field.name, field.name)
        keys[name] = described(json_type(kind), texts.get(field.name))
        if place in OPTIONAL:
            optional.append(name)
    return keys, optional, more


def described(kind: Any, text: str | None) -> Any:
    """Add a description to a type; what is None in Python is null in JSON."""
    return Annotated[kind, Field(description=re.sub(r"\bNone\b", "null", text))] if text else kind


class _Untitled(GenerateJsonSchema):
    """Leaves out titles that only repeat a key."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema_of(kind: Any, title: str) -> dict[str, Any]:
    """Return the JSON Schema of a type."""
    found = TypeAdapter(kind).json_schema(schema_generator=_Untitled)
    return {"$schema": SCHEMA, **found, "title": title}


def field_docs(record: type) -> dict[str, str]:
    """Read the docstring under every field of a dataclass, those of its bases included."""
    found: dict[str, str] = {}
    for base in reversed([one for one in record.__mro__ if dataclasses.is_dataclass(one)]):
        (body,) = ast.parse(inspect.getsource(base)).body
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in itertools.pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def _sentence(record: type) -> str:
    return (inspect.getdoc(record) or "").partition("\n\n")[0].replace("\n", " ")


def _fields(record: type, *names: str) -> Keys:
    keys, _, _ = keys_of(record)
    return {name: keys[name] for name in names}


def _finding() -> Any:
    pair = tuple[str, str, float]
    keys = {"kind": str, "images": list[str], "image_ids": list[int], "detail": str, "pairs": list[pair]}
    return closed("Finding", keys, about="Something that is wrong or suspicious.", optional=["pairs"])


def _difference() -> Any:
    keys = {"kind": str, "images": list[str], "image_ids": list[int], "tasks": list[int], "detail": str}
    return closed("Difference", keys, about="A difference between the registry and Label Studio.")


def _change() -> Any:
    keys = {"image": int, "path": str, "what": str, "before": str | None, "after": str | None}
    return closed("Change", keys, about="One difference in one image between two snapshots.")


def _snapshot() -> Any:
    return closed("Snapshot", SNAPSHOT, about="A state of the registry that can be read again.")


SNAPSHOT: Keys = {"snapshot": str, "taken": datetime, "images": int}

SYNC: Keys = {
    "id": int, "kind": str, "status": str, "begun": datetime, "ended": datetime | None, "options": dict[str, Any],
    "counts": dict[str, Any], "owner": str | None, "detail": str | None,
}  # fmt: skip


def _sync() -> Any:
    return closed("Sync", SYNC, about="A push or a pull.")


def _certificate() -> Any:
    from db.records.certificates import CertificateRecord

    shared = ("kind", "gate", "tau", "precision", "confidence", "accepted", "errors", "lower_bound", "needed")
    keys = _fields(CertificateRecord, *shared)
    others = {"certificate": int, "run": str, "certified": bool, "images": int, "at": datetime}
    return closed("Certificate", keys | others, about="What was, or could not be, certified for a run.")


def _score_bin() -> Any:
    from annotator.review_statistics import ScoreBin

    keys, optional, _ = keys_of(ScoreBin)
    return closed("ScoreBin", keys | {"accept_rate": float | None}, about=_sentence(ScoreBin), optional=optional)


def _retraction() -> Any:
    keys = {
        "retraction": int, "run": str | None, "reviewer": str | None, "since": datetime | None, "by": str,
        "at": datetime, "labels": int, "undone": bool,
    }  # fmt: skip
    return closed("Retraction", keys, about="Labels that were retracted together.")


RENAMED = {
    "Finding": _finding,
    "Difference": _difference,
    "Change": _change,
    "SnapshotRecord": _snapshot,
    "SyncRecord": _sync,
    "CertificateRecord": _certificate,
    "ScoreBin": _score_bin,
    "RetractionRecord": _retraction,
}
"""Records whose document is not simply their fields: `VIEWS` of cli/documents.py, without Box and ImageFile."""
