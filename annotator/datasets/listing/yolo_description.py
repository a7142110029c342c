"""What a YOLO data set says of itself: names of classes, splits, key points; in YAML, or as darknet and others do."""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from annotator.datasets.listing.entries import Listing
from annotator.datasets.listing.folder import Folder
from annotator.errors import DataUnreadable
from db.errors import ImageUnreadable
from db.imaging.limits import YAML_BYTES, YAML_DEPTH, YAML_EVENTS
from db.records import Split

DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml")
NAME_FILES = ("classes.txt", "obj.names")


@dataclass(frozen=True, slots=True)
class Described:
    """What a data set says of itself."""

    classes: Mapping[int, str]
    places: Mapping[Split, tuple[str, ...]] = field(default_factory=dict)
    """Folders or lists of images, by split, relative to the data set."""
    keypoint_values: int = 0
    """Numbers that follow a box for its key points; 0 where lines are boxes or polygons."""
    is_darknet: bool = False
    """It is described as darknet does, and CVAT, which writes an empty label file for every image that has none."""


def describe(folder: Folder, names: Collection[str], named: str | None, listing: Listing) -> Described:
    """Read the YAML file, or what other programs write in its place.

    Args:
        folder: the data set's.
        names: the files in it and below.
        named: the YAML file that a person named.
        listing: where remarks go.

    Raises:
        DataUnreadable: a file cannot be read, or does not say what it should.
    """
    there = set(names)
    file = named or next((name for name in DATA_FILES if name in there), None)
    if file is None:
        others = sorted(name for name in there if "/" not in name and name.endswith((".yaml", ".yml")))
        if len(others) == 1:
            file = others[0]
            listing.warnings.append(f"{file} is taken for the description of the data set")
    if file is not None:
        return _from_yaml(folder, file, there)
    # LabelImg puts the names among the label files.
    deeper = sorted(name for name in there if name.endswith("/classes.txt"))
    names_file = next((name for name in (*NAME_FILES, *deeper) if name in there), None)
    classes = _numbered(folder.text(names_file).splitlines()) if names_file is not None else {}
    lists = {split: (place,) for split, place in _lists(there).items()}
    return Described(classes, lists, is_darknet="obj.data" in there)


def _load(text: str) -> Any:
    """Parse YAML within limits.

    Raises:
        YAMLError: it is none, or uses aliases, with which a few lines can mean billions.
    """
    # Names are text: the usual loader would make False of a class called "no".
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    depth = 0
    for number, event in enumerate(yaml.parse(text, loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name), which is not read; write the value out")
        if depth > YAML_DEPTH or number > YAML_EVENTS:
            raise yaml.YAMLError(f"it has more than {YAML_EVENTS:,} values, or is nested deeper than {YAML_DEPTH}")
    return yaml.load(text, loader)


def _from_yaml(folder: Folder, name: str, there: Collection[str]) -> Described:
    file = f"{folder}/{name}"
    try:
        document = _load(folder.text(name, YAML_BYTES))
        found = document["names"]
        if isinstance(found, str):
            listed = os.path.normpath(found)
            if listed not in there:
                raise DataUnreadable(f"{file}: `names` is {found!r}, and no such file is in the data set's folder")
            classes = _numbered(folder.text(listed).splitlines())
        else:
            pairs = found.items() if isinstance(found, dict) else enumerate(found)
            classes = {int(key): str(value).strip() for key, value in pairs}
        shape = document.get("kpt_shape") or (0, 0)
        values = int(shape[0]) * int(shape[1])
        base = _text(document.get("path"))
        places: dict[Split, tuple[str, ...]] = {}
        for key, split in (("train", Split.TRAIN), ("val", Split.VAL), ("valid", Split.VAL), ("test", Split.TEST)):
            said = document.get(key)
            listed_places = said if isinstance(said, list) else [said]
            places[split] = places.get(split, ()) + tuple(
                str(PurePosixPath(base if not PurePosixPath(base).is_absolute() else "") / place)
                for place in map(_text, listed_places)
                if place
            )
    except (yaml.YAMLError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as exc:
        raise DataUnreadable(f"{file}: expected `names`, a list of classes ({exc})") from exc
    return Described(classes, places, values)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and value.strip() not in ("~", "null") else ""


def _numbered(lines: Sequence[str]) -> dict[int, str]:
    """Number lines from 0; a blank one keeps its number, which then has no name."""
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def _lists(there: Collection[str]) -> dict[Split, str]:
    """Return the lists of images that darknet, CVAT and ultralytics' autosplit write."""
    lists = {
        Split.TRAIN: ("train.txt", "Train.txt", "autosplit_train.txt"),
        Split.VAL: ("valid.txt", "Validation.txt", "val.txt", "validation.txt", "autosplit_val.txt"),
        Split.TEST: ("test.txt", "Test.txt", "autosplit_test.txt"),
    }
    return {split: name for split, names in lists.items() for name in names if name in there}


def looks_like_labels(folder: Folder, name: str) -> bool:
    """Say whether a text file begins like a label file: a class and at least four numbers."""
    try:
        start = folder.read(name, first=4096)
        first = start.removeprefix(b"\xef\xbb\xbf").split(b"\n")[0].split()
        return len(first) >= 5 and all(math.isfinite(float(value)) for value in first)
    except (ImageUnreadable, ValueError):
        return False
