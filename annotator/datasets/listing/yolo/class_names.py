"""What the numbers of a YOLO data set's classes are called, where one file says so or several do.

The file that describes the set rules. Without one, lists of names that agree count for all label files; where they
contradict each other, each counts for the label files that it is nearest to. No contradiction goes unsaid.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from annotator.datasets.listing.entries import BadEntry, Listing
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.yolo.data_file import NameFile, numbered
from annotator.datasets.listing.yolo.label_lines import looks_like_labels
from annotator.datasets.listing.yolo.tree import Tree
from annotator.errors import DataUnreadable

LISTS_OF_NAMES = ("classes.txt", "obj.names", "_darknet.labels")
"""As LabelImg and Label Studio, CVAT and darknet, and Roboflow call them; the first counts."""
NAMED = 3
"""How many files of which the same is to be said are named."""


class ClassNames:
    """What classes are called, by label file."""

    def __init__(self, ruling: NameFile | None, others: Sequence[NameFile]) -> None:
        """Take what files say.

        Args:
            ruling: what the description says, None where there is none.
            others: what other files say, the nearest to the data set's folder first.
        """
        self._ruling = ruling
        self._near: dict[str, NameFile] = {}
        for other in others:
            self._near.setdefault(other.file.rpartition("/")[0], other)
        self._differing: tuple[NameFile, NameFile] | None = None
        said: dict[int, tuple[str, NameFile]] = {}
        for one in self._near.values():
            for number, name in one.names.items():
                known, two = said.setdefault(number, (name, one))
                if known != name:
                    self._differing = self._differing or (two, one)
        first = next(iter(self._near.values()), NameFile(""))
        self._merged = NameFile(first.file, {number: name for number, (name, _) in said.items()})

    def of(self, label: str) -> NameFile:
        """Return what counts for a label file.

        Raises:
            BadEntry: files that contradict each other are equally far from it.
        """
        if self._ruling is not None:
            return self._ruling
        if self._differing is None:
            return self._merged
        for parent in PurePosixPath(label).parents:
            place = "" if str(parent) == "." else str(parent)
            if place in self._near:
                return self._near[place]
        one, two = (file.file for file in self._differing)
        raise BadEntry(
            f"{one} and {two} name classes differently, and neither is in a folder above its label file {label}; "
            "put the correct one beside it"
        )

    @property
    def numbers(self) -> NameFile:
        """All numbers that are listed, for where it does not matter what they are called."""
        one = self._ruling or self._merged
        return NameFile(one.file, {**dict.fromkeys(one.unnamed, ""), **one.names})

    @property
    def differing(self) -> tuple[NameFile, NameFile] | None:
        """Two files of different folders that contradict each other, where none rules."""
        return self._differing if self._ruling is None else None

    @property
    def has_none(self) -> bool:
        """Say whether no file calls any class anything."""
        files = [self._ruling] if self._ruling is not None else list(self._near.values())
        return not any(file.names or file.unnamed for file in files)


def class_names(folder: Folder, tree: Tree, ruling: NameFile | None, listing: Listing) -> ClassNames:
    """Read all lists of class names in a data set.

    Args:
        folder: the data set's.
        tree: the files in it.
        ruling: what its description says, None where there is none.
        listing: where contradictions are noted.

    Raises:
        DataUnreadable: a list that counts cannot be read.
    """
    others = []
    for file in _lists(folder, tree, has_ruling=ruling is not None):
        if ruling is not None and file == ruling.file:
            continue
        try:
            others.append(NameFile(file, numbered(folder.text(file))))
        except DataUnreadable as exc:
            if ruling is None:
                raise
            listing.warnings.append(f"{exc}; it was not compared with {ruling.file}, which names the classes")
    found = ClassNames(ruling, others)
    if ruling is not None:
        warn_of(others, ruling, listing)
        return found
    for one in others:
        # Of several in one folder the first counts.
        first = next(other for other in others if other.file.rpartition("/")[0] == one.file.rpartition("/")[0])
        warn_of([one], first, listing)
    if found.differing is not None:
        one, two = found.differing
        listing.warnings.append(
            f"{_difference(one, two)}; each of the two is used for the label files nearest to it. If one is wrong, "
            "remove it and import again"
        )
    return found


def warn_of(others: Sequence[NameFile], ruling: NameFile, listing: Listing) -> None:
    """Say which files call classes otherwise than the one that is used."""
    differing = [other for other in others if other.file != ruling.file and _differ(other, ruling)]
    for other in differing[:NAMED]:
        listing.warnings.append(
            f"{_difference(other, ruling)}; {ruling.file} was used. If it is wrong, correct it and import again"
        )
    if len(differing) > NAMED:
        listing.warnings.append(
            f"so do {len(differing) - NAMED} more files, such as {differing[NAMED].file}; {ruling.file} was used"
        )


def _differ(one: NameFile, two: NameFile) -> bool:
    return one.contradicts(two) is not None


def _difference(one: NameFile, two: NameFile) -> str:
    number = one.contradicts(two)
    assert number is not None
    return f"{one.file} calls class {number} {one.names[number]!r}, {two.file} calls it {two.names[number]!r}"


def _lists(folder: Folder, tree: Tree, *, has_ruling: bool) -> list[str]:
    """Return the files that list names of classes, the nearest to the data set's folder first."""
    found = [
        name
        for name in tree.names
        if name.rpartition("/")[2].lower() in LISTS_OF_NAMES
        # An image may be called classes.png.
        and not (name.lower().endswith(".txt") and looks_like_labels(folder, name))
    ]
    if not found and not has_ruling:
        found = [name for name in tree.names if name.lower().endswith(".names")]
        found = found if len(found) == 1 else []
    return sorted(
        found, key=lambda name: (name.count("/"), LISTS_OF_NAMES.index(_kind(name)), name.rpartition("/")[0], name)
    )


def _kind(name: str) -> str:
    last = name.rpartition("/")[2].lower()
    return last if last in LISTS_OF_NAMES else LISTS_OF_NAMES[1]
