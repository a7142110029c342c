"""The file that describes a YOLO data set: YAML, as ultralytics has it, or darknet's obj.data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.yolo.tree import Tree
from annotator.errors import DataUnreadable
from db.imaging.limits import YAML_BYTES, YAML_DEPTH, YAML_EVENTS
from db.records import Split

SPLIT_KEYS = {
    **{"train": Split.TRAIN, "val": Split.VAL, "valid": Split.VAL, "validation": Split.VAL, "test": Split.TEST}
}
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
"""What stands for nothing in YAML, unless it is in quotes."""
READ_KEYS = frozenset({"names", "path", "kpt_shape", *SPLIT_KEYS})


@dataclass(frozen=True, slots=True)
class NameFile:
    """What one file calls the classes."""

    file: str
    """Relative to the data set."""
    names: Mapping[int, str] = field(default_factory=dict)
    unnamed: Mapping[int, str] = field(default_factory=dict)
    """Numbers that the file lists without saying what they are called, and what it says instead."""

    def contradicts(self, other: "NameFile") -> int | None:
        """Return a class that the other file calls otherwise, None where there is none."""
        both = sorted(self.names.keys() & other.names.keys())
        return next((number for number in both if self.names[number] != other.names[number]), None)


@dataclass(frozen=True, slots=True)
class DataFile:
    """What a file says of its data set."""

    file: str
    """Relative to the data set."""
    classes: NameFile | None
    """None where it leaves the names to other files."""
    places: Mapping[Split, tuple[str, ...]]
    """Folders or lists of images, by split, as they are written there."""
    path: str = ""
    """The folder that they are said to count from."""
    keypoint_values: int = 0
    """Numbers that follow a box for its key points; 0 where lines are boxes or polygons."""
    is_darknet: bool = False
    """It is of darknet's kind, as CVAT writes it, which puts an empty label file beside every image that has none."""


class _Pairs(list[tuple[Any, Any, int]]):
    """A mapping as it is written: key, value, line; keys may repeat."""


def read_yaml(folder: Folder, file: str, tree: Tree) -> DataFile:
    """Read a YAML file.

    Args:
        folder: the data set's.
        file: the YAML file, relative to it.
        tree: the files in it.

    Raises:
        DataUnreadable: it cannot be read, says something twice in two ways, or does not say what it should.
    """
    place = f"{folder}/{file}"
    document = top_level(folder, file)
    if document.get("names") is None:
        raise DataUnreadable(f"{place}: expected `names`, a list of classes, such as names: [benign, malignant]")
    beside = file.rpartition("/")[0]
    path = _path(place, "path", document.get("path"))
    places: dict[Split, tuple[str, ...]] = {}
    for key, split in SPLIT_KEYS.items():
        said = document.get(key)
        several = said if isinstance(said, list) and not isinstance(said, _Pairs) else [said]
        written = [text for text in (_path(place, key, one) for one in several) if text]
        if written:
            places[split] = places.get(split, ()) + tuple(written)
    return DataFile(
        file=file,
        classes=_classes(folder, file, document["names"], tree, beside),
        places=places,
        path=path,
        keypoint_values=_keypoint_values(place, document.get("kpt_shape")),
    )


def top_level(folder: Folder, file: str) -> dict[str, Any]:
    """Return what a YAML file says, by its outermost keys: text, lists, mappings, None for nothing.

    Raises:
        DataUnreadable: it cannot be read, or says something that matters twice in two ways.
    """
    place = f"{folder}/{file}"
    try:
        document = _load(folder.text(file, YAML_BYTES))
    except yaml.MarkedYAMLError as exc:
        where = f"line {exc.problem_mark.line + 1}: " if exc.problem_mark is not None else ""
        raise DataUnreadable(f"{place}: it cannot be read as YAML ({where}{exc.problem})") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise DataUnreadable(f"{place}: it cannot be read as YAML ({exc})") from exc
    if not isinstance(document, _Pairs):
        raise DataUnreadable(f"{place}: expected `names`, a list of classes, such as names: [benign, malignant]")
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value, line in document:
        if not isinstance(key, str):
            continue
        if key in found and key in READ_KEYS and found[key] != value:
            raise DataUnreadable(
                f"{place}: `{key}` appears twice, in lines {lines[key]} and {line}, with two different values; keep one"
            )
        found[key], lines[key] = value, line
    return found


def _load(text: str) -> Any:
    """Parse YAML within limits; names are text, so that a class called "no" is not False.

    Raises:
        YAMLError: it is none, or uses aliases, with which a few lines can mean billions.
    """
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    depth = 0
    for number, event in enumerate(yaml.parse(text, loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name), which is not supported; write the value out")
        if depth > YAML_DEPTH or number > YAML_EVENTS:
            raise yaml.YAMLError(f"it has more than {YAML_EVENTS:,} values, or is nested deeper than {YAML_DEPTH}")
    return _value(yaml.compose(text, loader))


def _value(node: Any) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _Pairs((_value(key), _value(value), key.start_mark.line + 1) for key, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    if node is None or (not node.style and node.value in NULLS):
        return None
    return node.value


def _path(place: str, key: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataUnreadable(f"{place}: `{key}` is neither a path nor a list of paths")
    return value.strip()


def _keypoint_values(place: str, shape: Any) -> int:
    if shape is None or shape == []:
        return 0
    try:
        points, values = (int(number) for number in shape) if isinstance(shape, list) else (-1, -1)
    except (TypeError, ValueError):
        points = values = -1
    if min(points, values) < 0:
        raise DataUnreadable(f"{place}: `kpt_shape` is not two numbers, such as [17, 3]")
    return points * values


def _classes(folder: Folder, file: str, said: Any, tree: Tree, beside: str) -> NameFile:
    place = f"{folder}/{file}"
    if isinstance(said, str):
        return names_in(folder, file, said, tree, beside)
    names: dict[int, str] = {}
    unnamed: dict[int, str] = {}
    for number, value, line in _numbers(place, said):
        if not isinstance(value, str) or not value.strip():
            what = "no name" if not isinstance(value, list) else "a list or a mapping instead of a name"
            unnamed[number] = f"which {file} gives {what} (line {line})" if line else f"which {file} gives {what}"
        elif number in unnamed or names.get(number, value.strip()) != value.strip():
            others = f"{names[number]!r} and {value.strip()!r}" if number in names else "only one of them a text"
            unnamed.setdefault(number, f"which {file} gives two names, {others} (line {line})")
        else:
            names[number] = value.strip()
    return NameFile(file, {number: name for number, name in names.items() if number not in unnamed}, unnamed)


def _numbers(place: str, said: Any) -> list[tuple[int, Any, int]]:
    """Return number, value and line (0 where nobody knows) of what stands under `names`."""
    if not isinstance(said, _Pairs):
        return [(number, value, 0) for number, value in enumerate(said)]
    found = []
    for key, value, line in said:
        try:
            found.append((int(key), value, line))
        except (TypeError, ValueError):
            raise DataUnreadable(
                f"{place}: line {line}, under `names`, has {key!r} where a class number belongs; "
                "write the number first, as in 0: benign"
            ) from None
    return found


def names_in(folder: Folder, file: str, written: str, tree: Tree, beside: str, *, is_moved: bool = False) -> NameFile:
    """Read the file of class names that another file names.

    Raises:
        DataUnreadable: it is not in the data set, or cannot be read.
    """
    found = tree.find(written, beside=beside, is_moved=is_moved)
    if found is None or not found.is_file:
        hint = "; a list of names is written as [benign, malignant]" if not is_moved and "." not in written else ""
        raise DataUnreadable(
            f"{folder}/{file}: `names` is {written!r}, and no such file is in the data set's folder{hint}"
        )
    return NameFile(found.name, numbered(folder.text(found.name)))


def numbered(text: str) -> dict[int, str]:
    """Number lines from 0; a blank one keeps its number, which then has no name."""
    return {number: line.strip() for number, line in enumerate(text.splitlines()) if line.strip()}


def read_darknet(folder: Folder, file: str, tree: Tree) -> DataFile:
    """Read darknet's file of `key = value` lines; paths in it count from wherever darknet was run.

    Raises:
        DataUnreadable: it cannot be read, says something twice in two ways, or names a file of classes that is not
            there.
    """
    said = darknet_options(folder, file)
    beside = file.rpartition("/")[0]
    classes = names_in(folder, file, said["names"], tree, beside, is_moved=True) if said.get("names") else None
    places: dict[Split, tuple[str, ...]] = {}
    for key, split in SPLIT_KEYS.items():
        if said.get(key):
            places[split] = (*places.get(split, ()), said[key])
    return DataFile(file, classes, places, is_darknet=True)


def darknet_options(folder: Folder, file: str) -> dict[str, str]:
    """Return the options in a file of darknet's.

    Raises:
        DataUnreadable: it cannot be read, or says something twice in two ways.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(folder.text(file).splitlines(), 1):
        key, sign, value = line.partition("=")
        key, value = key.strip().lower(), value.strip().strip("\"'")
        if not sign or key.startswith(("#", ";")):
            continue
        if key in READ_KEYS and found.get(key, value) != value:
            raise DataUnreadable(f"{folder}/{file}: `{key}` appears twice, again in line {number}; keep one")
        found[key] = value
    return found
