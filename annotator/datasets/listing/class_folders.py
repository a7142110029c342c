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
from db.imaging.dicom import SUFFIXES as DICOM
from db.plain_text import counted
from db.records import Split

CONTAINERS = frozenset({"image", "images", "img", "imgs", "jpegimages", "photos", "pictures"}) | frozenset(
    {"png", "pngs", "jpg", "jpgs", "jpeg", "dcm", "dicom"}
)
"""Folders that say what is in them."""
PART_OF_SET = re.compile(r"(?:.*[_\- .])?(?:images?|imgs?|pictures|parts?|batch|chunk)[_\- .]?\d+", re.IGNORECASE)
"""Folders that a set was too large for one of: images_001, HAM10000_images_part_1."""
CLASSES = frozenset({"abnormal", "benign", "healthy", "malignant", "negative", "normal", "positive"})
"""Words that are classes wherever they stand."""
UNSAID = frozenset({"unclassified", "unknown", "unlabeled", "unlabelled"})
"""Folders of images of which nobody has said what they are."""
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
    is_unsaid: bool = False
    """It is an image of the data set all the same: its folders say that it has no class, or say nothing."""


@dataclass(frozen=True, slots=True)
class FolderReading:
    """What the folders of a data set say."""

    facts: dict[str, FolderFacts]
    """By image."""
    remarks: list[str] = field(default_factory=list)
    """What the folders were taken for, where that is not plain."""
    doubts: list[str] = field(default_factory=list)
    """What speaks against it."""
    has_no_class: bool = False
    """All folders only say what is in them."""


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
    nowhere = not innermost and all(rest and all(_is_container(part) for part in rest) for rest in rests.values())
    level, doubts = _class_level({rest for rest in rests.values() if rest and rest[0].lower() not in UNSAID})
    doubts = [] if innermost or nowhere else doubts
    facts: dict[str, FolderFacts] = {}
    for folder, rest in rests.items():
        place = 0 if rest and rest[0].lower() in UNSAID else level
        class_name = class_of_folder(f"{folder}/image") if innermost else rest[place] if rest else None
        is_unsaid = nowhere or (class_name or "").lower() in UNSAID
        group = next((part for other, part in enumerate(rest) if other != place and PATIENT.fullmatch(part)), None)
        said = {split for place in splits[folder] if (split := split_named(parents[folder][place])) is not None}
        problem = f"its folders name several splits ({', '.join(sorted(said))})" if len(said) > 1 else None
        facts[folder] = FolderFacts(
            class_name=None if is_unsaid else class_name,
            split=said.pop() if len(said) == 1 else None,
            group=group if group != class_name else None,
            problem=problem,
            is_unsaid=is_unsaid,
        )
    doubts += _strays(parents, splits, facts)
    by_image = {name: facts[name.rpartition("/")[0]] for name in names}
    torn = _torn(by_image)
    remarks = _remarks(parents, splits, facts, images, promised=not torn)
    return FolderReading(by_image, [*remarks, *_unsaid(facts, images, nowhere=nowhere), *torn], doubts, nowhere)


def _is_container(part: str) -> bool:
    return part.lower() in CONTAINERS or PART_OF_SET.fullmatch(part) is not None


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
    return tuple(part for part in rest if not _is_container(part)) or rest


def _class_level(rests: Collection[tuple[str, ...]]) -> tuple[int, list[str]]:
    """Choose which folders are classes, counted from the outermost, and say what speaks against it."""
    if not rests:
        return 0, []
    depth = min(map(len, rests))
    columns = [{rest[level] for rest in rests} for level in range(depth)]
    said = [{name.lower() for name in names} - UNSAID for names in columns]
    known = [level for level, names in enumerate(said) if names and names <= CLASSES]
    if len(known) == 1:
        return known[0], []
    possible = [level for level, names in enumerate(columns) if not all(map(PATIENT.fullmatch, names))]
    varied = [level for level in possible if len(columns[level]) > 1]
    level = varied[0] if varied else possible[-1] if possible else 0
    names = columns[level]
    inner = {part for rest in rests for part in rest[level + 1 :] if not PATIENT.fullmatch(part)}
    if not possible and not all(name.isdigit() for name in names):
        return level, [f"its classes would be {_listed(names)}: those look like the names of patient folders"]
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
        if not splits[folder] and facts[folder].class_name not in known and not facts[folder].is_unsaid
        for place in range(len(parts))
        if parts[:place] in around
    }
    if not strays:
        return []
    return [
        f"the folders {_listed(named)} are named like splits, and beside them {_listed(strays)} would be a class; "
        "move it into a split, or elsewhere"
    ]


def _remarks(
    parents: Mapping[str, tuple[str, ...]],
    splits: Mapping[str, Sequence[int]],
    facts: Mapping[str, FolderFacts],
    images: Mapping[str, int],
    *,
    promised: bool,
) -> list[str]:
    """Say what folders were taken for, where that is not plain.

    Args:
        parents: the folders around and in each, by its place; so are all others.
        splits: which of them are splits.
        facts: what they say.
        images: how many images lie in each.
        promised: the data set does not put a patient into several splits itself.
    """
    classes = {said.class_name for said in facts.values() if said.class_name is not None}
    named = {parents[folder][place] for folder, places in splits.items() for place in places}
    groups = {said.group for said in facts.values() if said.group is not None}
    others = {part for parts in parents.values() for part in parts} - classes - named - groups
    others = {part for part in others if part.lower() not in UNSAID}
    strange = {part for part in others if not _is_container(part)}
    remarks = []
    if named or groups or strange:
        taken = [f"classes: the folder{'s' * (len(classes) > 1)} {_listed(classes)}"] if classes else []
        taken += [f"splits: {_listed(named)}"] if named else []
        patients = "patients, each of whom stays in one split" if promised else "patients"
        taken += [f"{patients}: {_listed(groups)}"] if groups else []
        left = [f"ignored: {_listed(others)}"] if others else []
        remarks.append("; ".join([*([f"taken as {'; for '.join(taken)}"] if taken else []), *left]))
    if strange:
        remarks[-1] += (
            "; for other classes import the folder that holds them, or add --class-from folder (the inner ones)"
        )
    spellings: dict[str, set[str]] = defaultdict(set)
    for name in classes:
        spellings[unicodedata.normalize("NFC", name).strip().casefold()].add(name)
    for same in spellings.values():
        if len(same) > 1:
            listed = " and ".join(map(repr, sorted(same)))
            remarks.append(f"the folders {listed} differ only in spelling, and count as separate classes")
    with_class = sum(images[folder] for folder, said in facts.items() if said.class_name is not None)
    if len(classes) == 1 and with_class > 1:
        remarks.append(
            f"all {counted(with_class, 'image')} have the class {next(iter(classes))!r}, the name of the folder "
            "around them; if that is not a class, import the folder that holds one folder for each class"
        )
    return remarks


def _unsaid(facts: Mapping[str, FolderFacts], images: Mapping[str, int], *, nowhere: bool) -> list[str]:
    """Say which images have no class, as their folders say or since these say nothing."""
    folders = [folder for folder, said in facts.items() if said.is_unsaid]
    if not folders:
        return []
    give = "give one with partly set IMAGE... --class NAME, or in a table (--layout csv, --class-from COLUMN)"
    if nowhere:
        return [f"the folders only say what is in them ({_listed(folders)}), so no image has a class; {give}"]
    count = counted(sum(images[folder] for folder in folders), "image")
    return [f"{count} in {_listed(folders)}: registered without a class, as the folder says; {give}"]


def _torn(facts: Mapping[str, FolderFacts]) -> list[str]:
    """Say which patients the data set itself puts into several splits.

    Args:
        facts: by image. Of a DICOM file its own patient counts, not the folder.
    """
    splits: dict[str, set[Split]] = defaultdict(set)
    for name, said in facts.items():
        if said.group is not None and said.split is not None and PurePosixPath(name).suffix.lower() not in DICOM:
            splits[said.group].add(said.split)
    torn = {group: found for group, found in splits.items() if len(found) > 1}
    if not torn:
        return []
    have = "has" if len(torn) == 1 else "have"
    return [
        f"{counted(len(torn), 'patient')} {have} images in several splits of this data set: {_listed(torn, 3)} "
        f"({_listed(set().union(*torn.values()))}), so results for one split are partly about patients of another; "
        "partly doctor lists them, partly split gives each patient one split"
    ]


def _listed(names: Iterable[str | None], most: int = NAMED) -> str:
    known = sorted(name for name in names if name is not None)
    if len(known) > most:
        return f"{', '.join(known[:most])} and {counted(len(known) - most, 'other')}"
    return " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
