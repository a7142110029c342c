"""What lists of images, and names of folders, say about splits."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from annotator.datasets.listing.companions import NameIndex, place_of
from annotator.datasets.listing.entries import BadEntry, Counts, Listing, Part
from annotator.datasets.listing.folder import Folder
from db.imaging.decode import SUFFIXES
from db.imaging.files import is_uri
from db.plain_text import counted
from db.records import Split

SPLITS = {
    f"{word}{end}": split
    for split, words in (
        (Split.TRAIN, ("train", "training")),
        (Split.VAL, ("val", "valid", "validation", "dev")),
        (Split.TEST, ("test", "testing")),
    )
    for word in words
    for end in ("", "set", "_set", "-set", " set", "_data", "-data", " data", "_images", "-images", " images")
}
"""What splits are called, in lower case."""
LIST = re.compile(r"[_\- ]?(?:list|ids|files|names)$")
"""How names of lists may end."""
BOTH = "trainval"
YEAR = re.compile(r"[_\- ]?(?:19|20)\d\d$")
SETS = "imagesets"
"""The folder of VOC that lists of images lie in, in lower case."""
KINDS_OF_SETS = ("main", "", "segmentation", "layout", "action")
"""Folders in it; the first that has a list counts, since one image may be for training in one and not in another."""


def split_named(name: str) -> Split | None:
    """Return the split that a folder is called like, such as train, Test_Set or val2017."""
    return SPLITS.get(YEAR.sub("", name.strip().lower()))


def split_of_folders(folders: Iterable[str]) -> Split | None:
    """Return the split that the first of these folders is called like which is called like one."""
    return next((split for folder in folders if (split := split_named(folder)) is not None), None)


def split_beside_others(file: PurePosixPath) -> Split | None:
    """Return the split that the folder of a file is called like, where a folder for another split lies beside it.

    A folder may be called "test" for other reasons.
    """
    own = split_named(file.parent.name)
    if own is None or is_uri(str(file)):
        return None
    try:
        others = {split_named(other.name) for other in Path(file.parent.parent).iterdir()} - {None, own}
    except OSError:
        return None
    return own if others else None


def note_split(file: PurePosixPath, split: Split | None, listing: Listing, by: str = "its folder's name") -> None:
    """Say that all images of a data file count as of one split, where they do."""
    if split is not None:
        listing.warnings.append(f"{file.parent.name}/{file.name} was taken as the {split} split because of {by}")


def splits_by_folder(names: Sequence[str]) -> dict[str, Split]:
    """Return the splits of images by the folders around them; none at all where only one split is among these.

    A folder may be called "test" for other reasons.
    """
    folders = {name.rpartition("/")[0] for name in names}
    named = {folder: split_of_folders(PurePosixPath(folder).parts) for folder in folders}
    if len({*named.values()} - {None}) < 2:
        return {}
    return {name: split for name in names if (split := named[name.rpartition("/")[0]]) is not None}


class SplitLists:
    """Which lists name an image."""

    def __init__(self) -> None:
        self._said: dict[str, list[Split]] = defaultdict(list)

    def add(self, image: str, split: Split) -> None:
        """Note a line that names an image."""
        self._said[image].append(split)

    def read(self, text: str, split: Split, index: NameIndex, place: str, listing: Listing) -> None:
        """Read a list of images, one path a line.

        Args:
            text: the list.
            split: the one that it is for.
            index: the images.
            place: its name, for messages.
            listing: where lines that name no image are noted.
        """
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        listing.found(Counts(splits=len(lines)))
        for line in lines:
            try:
                known = index.find(line)
                reason = f"{place} lists it, but no image has this name"
            except BadEntry as exc:
                known, reason = None, f"{place} lists it: {exc}"
            if known is None:
                listing.leave(Part.SPLITS, line, reason)
            else:
                self.add(known, split)

    def lines(self, image: str) -> int:
        """Count the lines that name an image."""
        return len(self._said.get(image, ()))

    def split_of(self, image: str) -> Split | None:
        """Return the split that lists give an image, None where no list names it.

        Raises:
            BadEntry: they give it several.
        """
        found = [split for split in Split if split in self._said.get(image, ())]
        if len(found) > 1:
            raise BadEntry(f"it is listed for {' and for '.join(found)}; an image can be in only one split")
        return found[0] if found else None


def read_image_sets(folder: Folder, names: Sequence[str], images: Sequence[str], listing: Listing) -> SplitLists:
    """Read the lists of images of a VOC data set: in ImageSets/Main, or in another place where people put them.

    A line is an image's name with or without its folder and ending, and may go on with more, such as 1 or -1.

    Args:
        folder: the data set, or one around several.
        names: the files in it, without those that are labels of another format.
        images: those of them that are images of the set.
        listing: where lines that name no image are noted.

    Raises:
        DataUnreadable: a list cannot be read.
    """
    lists = SplitLists()
    for base, kinds in _image_sets(names, images).items():
        index = _ImageLines([image for image in images if image.startswith(base)] or images)
        in_use = None
        for kind in sorted(kinds, key=lambda kind: (_rank(kind), kind)):
            place = f"{base}{kind}".rstrip("/") or "the folder itself"
            if in_use is not None:
                listing.warnings.append(f"{place}: its lists of images are not read; those of {in_use} are used")
                continue
            read = [_read_set(folder, item, index, lists, listing) for item in _in_use(kinds[kind])]
            in_use = place if any(read) else None
    return lists


@dataclass(frozen=True, slots=True)
class _ImageSet:
    """A file that may list images."""

    place: str
    split: Split | None
    """None for a list of training and validation together."""
    is_of_a_class: bool
    """It is called CLASS_train.txt."""
    is_certain: bool
    """It lies where lists lie; another file is one if it names an image."""


def _image_sets(names: Sequence[str], images: Sequence[str]) -> dict[str, dict[str, list[_ImageSet]]]:
    """Return the lists below each data set's own folder, by the folder that they lie in."""
    found: dict[str, dict[str, list[_ImageSet]]] = defaultdict(lambda: defaultdict(list))
    parents = {PurePosixPath(image).parent for image in images}
    holding = {_folder(parent.parts[:end]) for parent in parents for end in range(len(parent.parts) + 1)}
    for name in names:
        if not name.lower().endswith(".txt"):
            continue
        pure = PurePosixPath(name)
        stem = LIST.sub("", pure.stem.lower())
        split, of_class = split_named(stem), split_named(stem.rpartition("_")[2])
        if split is None and of_class is None and stem != BOTH:
            continue
        parts = pure.parts[:-1]
        depth = next((place for place, part in enumerate(parts) if part.lower() == SETS), None)
        is_certain = depth is not None
        if depth is None:
            depth = next(at for at in range(len(parts), -1, -1) if _folder(parts[:at]) in holding)
        item = _ImageSet(name, split or of_class, split is None and of_class is not None, is_certain)
        found[_folder(parts[:depth])][_folder(parts[depth:])].append(item)
    return found


def _folder(parts: Sequence[str]) -> str:
    return "".join(f"{part}/" for part in parts)


def _rank(kind: str) -> int:
    """Order folders of lists: those of VOC first."""
    head, _, rest = kind.lower().partition("/")
    if head != SETS:
        return len(KINDS_OF_SETS) + 1
    known = rest.rstrip("/")
    return KINDS_OF_SETS.index(known) if known in KINDS_OF_SETS else len(KINDS_OF_SETS)


def _in_use(items: Sequence[_ImageSet]) -> list[_ImageSet]:
    """Leave out lists of classes where whole ones are there; what leaves a split open comes last."""
    whole = [item for item in items if item.split is not None and not item.is_of_a_class]
    return [*(whole or [item for item in items if item.is_of_a_class]), *(i for i in items if i.split is None)]


def _read_set(folder: Folder, item: _ImageSet, index: "_ImageLines", lists: SplitLists, listing: Listing) -> bool:
    """Read a list, and say whether it is one."""
    lines = [line.strip() for line in folder.text(item.place).splitlines() if line.strip()]
    found = [(line, *index.find(line)) for line in lines]
    if not lines or not (item.is_certain or any(image is not None for _, image, _ in found)):
        return False
    if item.split is None:
        unsaid = {image for _, image, _ in found if image is not None and not lists.lines(image)}
        if unsaid:
            listing.warnings.append(
                f"{item.place}: it leaves open which images are for training and which for validation; "
                f"{counted(len(unsaid), 'image')} that no other list names {'have' if len(unsaid) > 1 else 'has'} no "
                "split"
            )
        return True
    listing.found(Counts(splits=len(lines)))
    for line, image, problem in found:
        if image is not None:
            lists.add(image, item.split)
        else:
            reason = f"{item.place} lists it" + (f": {problem}" if problem else ", and no image has this name")
            listing.leave(Part.SPLITS, line, reason)
    return True


class _ImageLines:
    """Finds the image that a line of a list means."""

    def __init__(self, images: Sequence[str]) -> None:
        self._names = NameIndex(images)
        self._at: dict[str, list[str]] = defaultdict(list)
        for image in images:
            self._at[place_of(image)].append(image)
        self._places = NameIndex(self._at)

    def find(self, line: str) -> tuple[str | None, str]:
        """Return the image, or None and, where several may be meant, which."""
        problem = ""
        # Names may hold blanks; after a name may stand whether a class is there, a box, or another file.
        for name in dict.fromkeys((line, line.rpartition(" ")[0].rstrip(), line.split()[0])):
            try:
                if name and (found := self._image(name.replace("\\", "/"))) is not None:
                    return found, ""
            except BadEntry as exc:
                problem = problem or str(exc)
        return None, problem

    def _image(self, name: str) -> str | None:
        stem, dot, end = name.rpartition(".")
        is_file = f"{dot}{end}".lower() in (*SUFFIXES, ".xml")
        if is_file and (found := self._names.find(name)) is not None:
            return found
        place = self._places.find(place_of(f"{stem if is_file else name}.txt"))
        images = self._at[place] if place is not None else []
        if len(images) > 1:
            raise BadEntry(f"{name} may be {' or '.join(images[:5])}; it is unclear which")
        return images[0] if images else None
