"""What the folders around images say: class, split, patient, or nothing but the name of the set; pure.

One folder for each class, with images in it, leaves nothing open. Everything else does: the set may lie in a folder of
its own name, classes may lie in splits or splits in classes, and patients, sites or sorts of a lesion may lie in
classes or around them. What can be known is used and said; where several folders could be the classes, the listing is
doubted, and nothing is guessed in silence.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from annotator.datasets.listing.image_class import class_of_folder
from annotator.datasets.listing.splits import split_named
from db.plain_text import counted
from db.records import Split

CONTAINERS = frozenset({"image", "images", "img", "imgs", "jpegimages", "photos", "pictures"}) | frozenset(
    {"png", "pngs", "jpg", "jpgs", "jpeg", "dcm", "dicom"}
)
"""Folders that say what is in them."""
CLASSES = frozenset({"abnormal", "benign", "healthy", "malignant", "negative", "normal", "positive"})
"""Words that are classes wherever they stand."""
PATIENT = re.compile(
    r"(?:(?:patient|pat|pt|case|subject|subj|sub|person|pid|p)[_\- .]?\d+|(?!(?:19|20)\d\d$)\d{3,})", re.IGNORECASE
)
"""How folders of patients are called: p1, patient_007, 10253; not 2019, which is a year."""
NAMED = 4
"""How many folders a message names."""


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What the folders of an image say."""

    class_name: str | None = None
    split: Split | None = None
    group: str | None = None
    """The patient, where folders are called like patients."""
    problem: str | None = None
    """Why the image cannot be used."""


@dataclass(frozen=True, slots=True)
class FolderReading:
    """What the folders of a data set say."""

    facts: dict[str, FolderFacts]
    """By image."""
    remarks: list[str] = field(default_factory=list)
    """What the folders were taken for, where that is not plain."""
    doubts: list[str] = field(default_factory=list)
    """What speaks against it."""


def read_folders(names: Sequence[str], *, innermost: bool = False) -> FolderReading:
    """Find out what the folders around images say.

    Args:
        names: of images, relative to the data set; each lies in a folder.
        innermost: the innermost folder that can be a class is one, as a person has said.
    """
    images = Counter(name.rpartition("/")[0] for name in names)
    parents = {folder: PurePosixPath(folder).parts for folder in images}
    if not parents:
        return FolderReading({})
    splits = _split_places(parents)
    if all(len(places) == len(parents[folder]) for folder, places in splits.items()):
        # Folders called train and test with images in them and nothing else: what their class is, nobody says.
        splits = dict.fromkeys(splits, ())
    rests = {folder: _without(parts, splits[folder]) for folder, parts in parents.items()}
    level, doubts = _class_level({rest for rest in rests.values() if rest})
    doubts = [] if innermost else doubts
    facts: dict[str, FolderFacts] = {}
    for folder, rest in rests.items():
        group = next((part for place, part in enumerate(rest) if place != level and PATIENT.fullmatch(part)), None)
        class_name = class_of_folder(f"{folder}/image") if innermost else rest[level] if rest else None
        said = {split for place in splits[folder] if (split := split_named(parents[folder][place])) is not None}
        problem = f"its folders name several splits ({', '.join(sorted(said))})" if len(said) > 1 else None
        group = group if group != class_name else None
        facts[folder] = FolderFacts(class_name, said.pop() if len(said) == 1 else None, group, problem)
    doubts += _strays(parents, splits, facts)
    by_image = {name: facts[name.rpartition("/")[0]] for name in names}
    return FolderReading(by_image, _remarks(parents, splits, facts, images), doubts)


def _split_places(parents: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[int, ...]]:
    """Return which folders of each image are splits; one around all of them is none where others lie in it."""
    found = {
        folder: tuple(place for place, part in enumerate(parts) if split_named(part) is not None)
        for folder, parts in parents.items()
    }
    shared = len(_shared(parents.values()))
    if any(place >= shared for places in found.values() for place in places):
        return {folder: tuple(place for place in places if place >= shared) for folder, places in found.items()}
    return found


def _shared(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the folders that all paths begin with."""
    first, *others = set(paths)
    length = len(first)
    for path in others:
        length = min(length, len(path))
        while path[:length] != first[:length]:
            length -= 1
    return first[:length]


def _without(parts: tuple[str, ...], splits: Sequence[int]) -> tuple[str, ...]:
    """Return the folders that may say what the class is."""
    rest = tuple(part for place, part in enumerate(parts) if place not in splits)
    return tuple(part for part in rest if part.lower() not in CONTAINERS) or rest


def _class_level(rests: Collection[tuple[str, ...]]) -> tuple[int, list[str]]:
    """Choose which folders are classes, counted from the outermost, and say what speaks against it."""
    if not rests:
        return 0, []
    depth = min(map(len, rests))
    columns = [{rest[level] for rest in rests} for level in range(depth)]
    known = [level for level, names in enumerate(columns) if all(name.lower() in CLASSES for name in names)]
    if len(known) == 1:
        return known[0], []
    possible = [level for level, names in enumerate(columns) if not all(map(PATIENT.fullmatch, names))]
    varied = [level for level in possible if len(columns[level]) > 1]
    level = varied[0] if varied else possible[-1] if possible else 0
    names = columns[level]
    inner = {part for rest in rests for part in rest[level + 1 :] if not PATIENT.fullmatch(part)}
    if not possible and not all(name.isdigit() for name in names):
        return level, [f"its classes would be {_listed(names)}: that is what folders of patients are called"]
    crossed = set()
    for deeper in varied[1:]:
        outer: dict[str, set[str]] = defaultdict(set)
        for rest in rests:
            outer[rest[deeper]].add(rest[level])
        crossed |= {name for name, around in outer.items() if len(around) > 1}
    classes = {part for part in inner if part.lower() in CLASSES}
    if crossed or classes or (len(names) == 1 and inner):
        return level, [
            f"its classes could be the outer folders ({_listed(names)}) or the inner ones "
            f"({_listed(classes or inner)}): --class-from folder takes the inner, --force the outer"
        ]
    return level, []


def _strays(
    parents: Mapping[str, tuple[str, ...]], splits: Mapping[str, Sequence[int]], facts: Mapping[str, FolderFacts]
) -> list[str]:
    """Doubt folders beside those of splits that are neither a split nor a class in one."""
    around = {parents[folder][:place] for folder, places in splits.items() for place in places}
    named = {parents[folder][place] for folder, places in splits.items() for place in places}
    known = {facts[folder].class_name for folder, places in splits.items() if places}
    strays = {
        parts[place]
        for folder, parts in parents.items()
        if not splits[folder] and facts[folder].class_name not in known
        for place in range(len(parts))
        if parts[:place] in around
    }
    if not strays:
        return []
    return [
        f"the folders {_listed(named)} are called like splits, and beside them {_listed(strays)} would be a class; "
        "move it into a split, or elsewhere"
    ]


def _remarks(
    parents: Mapping[str, tuple[str, ...]],
    splits: Mapping[str, Sequence[int]],
    facts: Mapping[str, FolderFacts],
    images: Mapping[str, int],
) -> list[str]:
    """Say what folders were taken for, where that is not plain.

    Args:
        parents: the folders around and in each, by its place; so are all others.
        splits: which of them are splits.
        facts: what they say.
        images: how many images lie in each.
    """
    classes = {said.class_name for said in facts.values() if said.class_name is not None}
    named = {parents[folder][place] for folder, places in splits.items() for place in places}
    groups = {said.group for said in facts.values() if said.group is not None}
    others = {part for parts in parents.values() for part in parts} - classes - named - groups
    remarks = []
    if named or groups or others - CONTAINERS:
        remarks.append(
            f"taken for classes: the folder{'s' * (len(classes) > 1)} {_listed(classes)}"
            + (f"; for splits: {_listed(named)}" if named else "")
            + (f"; for patients, each of whom stays in one split: {_listed(groups)}" if groups else "")
            + (f"; not looked at: {_listed(others)}" if others else "")
        )
    if others - CONTAINERS:
        remarks[-1] += (
            "; for other classes import the folder that holds them, or add --class-from folder (the inner ones)"
        )
    spellings: dict[str, set[str]] = defaultdict(set)
    for name in classes:
        spellings[unicodedata.normalize("NFC", name).strip().casefold()].add(name)
    for same in spellings.values():
        if len(same) > 1:
            listed = " and ".join(map(repr, sorted(same)))
            remarks.append(f"the folders {listed} differ in their spelling alone, and are classes of their own")
    with_class = sum(images[folder] for folder, said in facts.items() if said.class_name is not None)
    if len(classes) == 1 and with_class > 1:
        remarks.append(
            f"all {counted(with_class, 'image')} have the class {next(iter(classes))!r}, as the folder around them is "
            "called; if it is no class, import the folder that holds one folder for each class"
        )
    return remarks


def _listed(names: Iterable[str | None]) -> str:
    known = sorted(name for name in names if name is not None)
    if len(known) > NAMED:
        return f"{', '.join(known[:NAMED])} and {counted(len(known) - NAMED, 'other')}"
    return " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
