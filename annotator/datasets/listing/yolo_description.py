"""What a YOLO data set says of itself: names of classes, splits, key points; in YAML, or as darknet and others do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annotator.datasets.listing.entries import Listing
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.yolo.class_names import ClassNames, class_names, warn_of
from annotator.datasets.listing.yolo.data_file import DataFile, darknet_options, read_darknet, read_yaml, top_level
from annotator.datasets.listing.yolo.split_places import SplitPlaces
from annotator.datasets.listing.yolo.tree import Tree
from annotator.errors import DataUnreadable

DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
DARKNET_FILE = "obj.data"
YAML = (".yaml", ".yml")
NAMED = 3
"""How many classes of which the same is to be said are named."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a data set says of itself."""

    classes: ClassNames
    splits: SplitPlaces
    file: str | None
    """The file that describes it, relative to the data set; None where there is none."""
    keypoint_values: int = 0
    """Numbers that follow a box for its key points; 0 where lines are boxes or polygons."""
    is_darknet: bool = False
    """It is described as darknet does, and CVAT, which writes an empty label file for every image that has none."""


def description_among(names: Iterable[str]) -> str | None:
    """Return the file of a folder's that describes a YOLO data set by its name, in whatever case."""
    here = sorted(name for name in names if "/" not in name)
    wanted = (*DATA_FILES, DARKNET_FILE)
    return next((name for want in wanted for name in (want, *here) if name in here and name.lower() == want), None)


def describe(folder: Folder, tree: Tree, named: str | None, wanted: Sequence[str], listing: Listing) -> Described:
    """Read the YAML file, or what other programs write in its place.

    Args:
        folder: the data set's.
        tree: the files in it and below.
        named: the YAML file that a person named.
        wanted: the images.
        listing: where remarks go.

    Raises:
        DataUnreadable: a file cannot be read, or does not say what it should; or several files could be meant.
    """
    data = _data_file(folder, tree, named, wanted, listing)
    ruling = data.classes if data is not None else None
    for number, what in sorted(ruling.unnamed.items())[:NAMED] if ruling is not None else ():
        listing.warnings.append(f"class {number}, {what}: images of it are refused; give it one name, as text")
    classes = class_names(folder, tree, ruling, listing)
    if data is None:
        _check_deeper(folder, tree, classes, listing)
        return Described(classes, SplitPlaces(folder, tree, None, wanted), None)
    if named is None:
        _compare(folder, tree, data, listing)
    splits = data
    if not data.places and not data.is_darknet and (darknet := _at_root(folder, tree, (DARKNET_FILE,))) is not None:
        try:
            splits = read_darknet(folder, darknet, tree)
        except DataUnreadable as exc:
            listing.warnings.append(f"{exc}; it was not used")
    return Described(
        classes, SplitPlaces(folder, tree, splits, wanted), data.file, data.keypoint_values, data.is_darknet
    )


def _data_file(
    folder: Folder, tree: Tree, named: str | None, wanted: Sequence[str], listing: Listing
) -> DataFile | None:
    """Find the file that describes the data set, and read it."""
    if (file := named or _at_root(folder, tree, DATA_FILES)) is not None:
        return read_yaml(folder, file, tree)
    if (file := _other_yaml(folder, tree, listing)) is not None:
        return read_yaml(folder, file, tree)
    if (file := _at_root(folder, tree, (DARKNET_FILE,)) or _other_darknet(folder, tree)) is not None:
        return read_darknet(folder, file, tree)
    deeper = _deeper(tree, (DARKNET_FILE,))
    if len(deeper) == 1:
        # Darknet is run in the folder around data/obj.data, and paths count from there.
        return read_darknet(folder, deeper[0], tree)
    deeper = _deeper(tree, DATA_FILES)
    if len(deeper) == 1 and all(name.startswith(f"{deeper[0].rpartition('/')[0]}/") for name in wanted):
        listing.warnings.append(f"{deeper[0]} is used as the description of the data set")
        return read_yaml(folder, deeper[0], tree)
    return None


def _at_root(folder: Folder, tree: Tree, wanted: Sequence[str]) -> str | None:
    """Return the first of some files that is there, in whatever case.

    Raises:
        DataUnreadable: several are called so, but for the case.
    """
    for name in wanted:
        spelled = tree.spellings(name)
        if len(spelled) > 1:
            raise DataUnreadable(f"{folder}: {' and '.join(spelled)} may describe the data set; keep one")
        if spelled:
            return spelled[0]
    return None


def _other_yaml(folder: Folder, tree: Tree, listing: Listing) -> str | None:
    """Return the one YAML file beside the images that names classes, whatever it is called.

    Raises:
        DataUnreadable: there are several.
    """
    others = sorted(name for name in tree.names if "/" not in name and name.lower().endswith(YAML))
    naming = []
    for name in others:
        try:
            if top_level(folder, name).get("names") is not None:
                naming.append(name)
        except DataUnreadable as exc:
            listing.warnings.append(f"{exc}; it was not used")
    if len(naming) > 1:
        raise DataUnreadable(
            f"{folder}: {', '.join(naming)} may describe the data set; name one of them, such as {folder}/{naming[0]}"
        )
    if naming:
        listing.warnings.append(f"{naming[0]} is used as the description of the data set")
    return naming[0] if naming else None


def _other_darknet(folder: Folder, tree: Tree) -> str | None:
    """Return the one file beside the images that is darknet's, whatever it is called."""
    found = []
    for name in sorted(name for name in tree.names if "/" not in name and name.lower().endswith(".data")):
        try:
            said = darknet_options(folder, name)
        except DataUnreadable:
            continue
        if "names" in said and {"train", "valid", "test"} & set(said):
            found.append(name)
    return found[0] if len(found) == 1 else None


def _deeper(tree: Tree, wanted: Sequence[str]) -> list[str]:
    return sorted(name for name in tree.names if "/" in name and name.rpartition("/")[2].lower() in wanted)


def _check_deeper(folder: Folder, tree: Tree, classes: ClassNames, listing: Listing) -> None:
    """Say that descriptions lie in folders below, where none lies here.

    Raises:
        DataUnreadable: nothing else names the classes, and the numbers of several sets are not one another's.
    """
    deeper = _deeper(tree, (*DATA_FILES, DARKNET_FILE))
    if not deeper:
        return
    named = ", ".join(deeper[:3])
    if len(deeper) > 1 and classes.has_none:
        raise DataUnreadable(
            f"{folder}: it holds several data sets, described in {named}; import each folder by itself, such as "
            f"{folder}/{deeper[0].rpartition('/')[0]}"
        )
    verb = "was" if len(deeper) == 1 else "were"
    listing.warnings.append(f"{named} {verb} not read, since not all images lie in the folder of one description")


def _compare(folder: Folder, tree: Tree, data: DataFile, listing: Listing) -> None:
    """Say which other descriptions contradict the one that is used."""
    for name in sorted(name for name in tree.names if name.rpartition("/")[2].lower() in DATA_FILES):
        if name == data.file:
            continue
        try:
            other = read_yaml(folder, name, tree)
        except DataUnreadable as exc:
            listing.warnings.append(f"{exc}; it was not compared with {data.file}, which was used")
            continue
        if other.classes is not None and data.classes is not None:
            warn_of([other.classes], data.classes, listing)
        if "/" not in name and other.places and (other.places, other.path) != (data.places, data.path):
            listing.warnings.append(
                f"{name} and {data.file} name different lists or folders for splits; {data.file} was used. To use the "
                f"other, name it: {folder}/{name}"
            )
