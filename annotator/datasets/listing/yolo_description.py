"""What a YOLO data set says of itself: names of classes, splits, key points; in YAML, or as darknet and others do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from annotator.datasets.listing.companions import read_text
from annotator.datasets.listing.entries import Listing
from annotator.errors import DataUnreadable
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


def describe(root: Path, named: Path | None, listing: Listing) -> Described:
    """Read the YAML file, or what other programs write in its place."""
    file = named or next((root / name for name in DATA_FILES if (root / name).is_file()), None)
    if file is None:
        others = [path for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]) if path.is_file()]
        if len(others) == 1:
            file = others[0]
            listing.warnings.append(f"{file.name} is taken for the description of the data set")
    if file is not None:
        return _from_yaml(file, root)
    names_file = next((place for place in _name_files(root) if place.is_file()), None)
    classes = _numbered(read_text(names_file).splitlines()) if names_file is not None else {}
    return Described(classes, {split: (place,) for split, place in _lists(root).items()}, is_darknet=_is_darknet(root))


def _name_files(root: Path) -> list[Path]:
    """Return where names of classes may stand; LabelImg puts them among the label files."""
    return [*(root / name for name in NAME_FILES), *sorted(root.glob("**/classes.txt"))]


def _is_darknet(root: Path) -> bool:
    return (root / "obj.data").is_file()


def _from_yaml(file: Path, root: Path) -> Described:
    try:
        # Names are text: YAML would make False of a class called "no".
        document = yaml.load(read_text(file), yaml.BaseLoader)
        found = document["names"]
        if isinstance(found, str):
            listed = next((place for place in (file.parent / found, root / found) if place.is_file()), None)
            if listed is None:
                raise DataUnreadable(f"{file}: `names` is {found!r}, and there is no such file beside it")
            classes = _numbered(read_text(listed).splitlines())
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
    except (yaml.YAMLError, ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
        raise DataUnreadable(f"{file}: expected `names`, a list of classes ({exc})") from exc
    return Described(classes, places, values)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and value.strip() not in ("~", "null") else ""


def _numbered(lines: Sequence[str]) -> dict[int, str]:
    """Number lines from 0; a blank one keeps its number, which then has no name."""
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def _lists(root: Path) -> dict[Split, str]:
    """Return the lists of images that darknet, CVAT and ultralytics' autosplit write."""
    lists = {
        Split.TRAIN: ("train.txt", "Train.txt", "autosplit_train.txt"),
        Split.VAL: ("valid.txt", "Validation.txt", "val.txt", "validation.txt", "autosplit_val.txt"),
        Split.TEST: ("test.txt", "Test.txt", "autosplit_test.txt"),
    }
    return {split: name for split, names in lists.items() for name in names if (root / name).is_file()}


def looks_like_labels(file: Path) -> bool:
    """Say whether a text file begins like a label file: a class and at least four numbers."""
    try:
        with file.open("rb") as stream:
            first = stream.read(4096).removeprefix(b"\xef\xbb\xbf").split(b"\n")[0].split()
        return len(first) >= 5 and all(math.isfinite(float(value)) for value in first)
    except (OSError, ValueError):
        return False
