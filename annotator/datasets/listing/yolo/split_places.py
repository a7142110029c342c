"""Which split the images of a YOLO data set are in: by lists, by folders that its description names, or by their names.

What the description names comes first. A folder that is only called train, val or test counts for a split of which
nothing else speaks, and for none where a list cannot be found: nobody knows then which images it held.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from annotator.datasets.listing.companions import NameIndex
from annotator.datasets.listing.entries import BadEntry, Counts, Listing, Part
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.splits import SPLITS, SplitLists
from annotator.datasets.listing.yolo.data_file import DataFile
from annotator.datasets.listing.yolo.label_lines import looks_like_labels
from annotator.datasets.listing.yolo.tree import Found, Tree
from db.records import Split

LISTS = {
    **{"train.txt": Split.TRAIN, "test.txt": Split.TEST},
    **{"val.txt": Split.VAL, "valid.txt": Split.VAL, "validation.txt": Split.VAL},
}
"""Lists of images that count without being named, as darknet and CVAT write them, by their names in lower case."""
AUTOSPLIT = {f"autosplit_{split}.txt": split for split in Split}
"""Those that ultralytics writes; they count where there are no others."""


@dataclass(frozen=True, slots=True)
class _Place:
    split: Split
    written: str
    found: Found | None


class _AnyCase(NameIndex):
    """Finds images by their names, and where there is none by names that differ in case only."""

    def __init__(self, names: Iterable[str]) -> None:
        self._spelled: dict[str, list[str]] = defaultdict(list)
        names = list(names)
        for name in names:
            self._spelled[name.lower()].append(name)
        super().__init__(names)
        self._lower = NameIndex(self._spelled)

    def find(self, name: str) -> str | None:
        found = super().find(name)
        spelled = self._spelled.get(self._lower.find(name.lower()) or "", []) if found is None else [found]
        if len(spelled) > 1:
            raise BadEntry(f"{name} may be {' or '.join(spelled)}; it is unclear which")
        return spelled[0] if spelled else None


class SplitPlaces:
    """What a data set says about the splits of its images."""

    def __init__(self, folder: Folder, tree: Tree, data: DataFile | None, wanted: Sequence[str]) -> None:
        """Find the lists and folders.

        Args:
            folder: the data set's.
            tree: the files in it.
            data: its description, None where there is none.
            wanted: its images.
        """
        self._folder, self._data = folder, data
        self._index = _AnyCase(wanted)
        self._lists = SplitLists()
        self._places = _known_places(tree, data, wanted) if data is not None else []
        named = {place.split for place in self._places}
        beside = data.file.rpartition("/")[0] if data is not None else ""
        self._folders: dict[str, set[Split]] = defaultdict(set)
        self._files: dict[str, set[Split]] = defaultdict(set)
        for place in self._places:
            if place.found is not None:
                (self._files if place.found.is_file else self._folders)[place.found.name].add(place.split)
        there = _loose_lists(folder, tree, beside, wanted)
        loose = {name: split for name, split in there.items() if name not in self._files and split not in named}
        self._unread = sorted(set(there) - set(loose) - set(self._files))
        for name, split in loose.items():
            self._files[name].add(split)
        self._spoken_of = named | set(loose.values())
        self._lacks_list = any(place.found is None and self._is_list(place.written) for place in self._places)

    @property
    def lists(self) -> frozenset[str]:
        """The files that list images."""
        return frozenset(self._files)

    def read(self, listing: Listing) -> None:
        """Read the lists, and note what is missing.

        Raises:
            DataUnreadable: a list cannot be read.
        """
        file = self._data.file if self._data is not None else ""
        for place in self._places:
            if place.found is None:
                what = "list" if self._is_list(place.written) else "list, and no such folder with images,"
                listing.warnings.append(
                    f"{file}: `{place.split}` is {place.written!r}, and there is no such {what} in the data set, so "
                    f"it assigns no image to {place.split}. Correct it or add what is missing, and import again"
                )
            elif not place.found.is_certain:
                listing.warnings.append(
                    f"{file}: `{place.split}` is {place.written!r}, and {place.found.name}, which is there, was used"
                )
        for name in self._unread:
            listing.warnings.append(f"{name} was not read, since {file} says which images are in its split")
        for name, splits in self._files.items():
            text = self._folder.text(name)
            if len(splits) == 1:
                self._lists.read(text, next(iter(splits)), self._index, name, listing)
                continue
            lines = sum(bool(line.strip()) for line in text.splitlines())
            listing.found(Counts(splits=lines))
            reason = f"{file} names it for {' and for '.join(sorted(splits))}, so its images are in none"
            listing.leave(Part.SPLITS, name, reason, lines)

    def check(self, image: str) -> None:
        """Refuse an image that lists name for several splits.

        Raises:
            BadEntry: they do.
        """
        self._lists.split_of(image)

    def listed(self, image: str) -> int:
        """Count the lines that name an image."""
        return self._lists.lines(image)

    def of(self, image: str, listing: Listing) -> tuple[Split | None, int]:
        """Return the split of an image that is in one list at most, and how many statements say so.

        Statements that cannot be used are noted.
        """
        lines = self._lists.lines(image)
        listed = self._lists.split_of(image)
        parents = ["" if str(parent) == "." else str(parent) for parent in PurePosixPath(image).parents]
        places = {split for parent in parents for split in self._folders.get(parent, ())}
        said = places | ({listed} if listed is not None else set())
        if len(said) > 1:
            reason = f"it is named for {' and for '.join(sorted(said))}, so it is in none"
            if places == said:
                reason = f"its folder is named for {' and for '.join(sorted(said))}, so it is in none"
            listing.found(Counts(splits=1))
            listing.leave(Part.SPLITS, image, reason, lines + 1)
            return None, 0
        if said:
            return next(iter(said)), lines or self._found(listing)
        return self._by_name(image, listing)

    def _by_name(self, image: str, listing: Listing) -> tuple[Split | None, int]:
        """Return the split that a folder around the image is called after, where that counts."""
        parts = [(part, part.lower().removeprefix("obj_").removesuffix("_data")) for part in PurePosixPath(image).parts]
        part, split = next(((part, SPLITS[key]) for part, key in parts[:-1] if key in SPLITS), ("", None))
        if split is None:
            return None, 0
        if not self._lacks_list and split not in self._spoken_of:
            return split, self._found(listing)
        file = self._data.file if self._data is not None else ""
        written = [place.written for place in self._places if place.split == split]
        if self._lacks_list:
            why = f"a list that {file} names is missing"
        elif written:
            why = f"{file} names {', '.join(written)} for {split}, which it is not in"
        else:
            why = f"{', '.join(name for name, splits in self._files.items() if split in splits)} does not list it"
        self._found(listing)
        listing.leave(Part.SPLITS, image, f"its folder is called {part}, but {why}, so it is in no split")
        return None, 0

    def _is_list(self, written: str) -> bool:
        return _is_text(written) or (self._data is not None and self._data.is_darknet)

    @staticmethod
    def _found(listing: Listing) -> int:
        """Count a folder that says something of an image."""
        listing.found(Counts(splits=1))
        return 1


def _is_text(written: str) -> bool:
    return written.strip().lower().endswith(".txt")


def _known_places(tree: Tree, data: DataFile, wanted: Sequence[str]) -> list[_Place]:
    """Find the lists and folders that a description names."""
    beside = data.file.rpartition("/")[0]
    places = [
        _Place(split, written, tree.find(written, beside=beside, path=data.path, is_moved=data.is_darknet))
        for split, several in data.places.items()
        for written in several
    ]
    holding = {""}
    for image in wanted:
        while (image := image.rpartition("/")[0]) not in holding:
            holding.add(image)
    return [
        place
        if place.found and _is_there(place.found, holding) and not _is_shared(place, places)
        else _Place(place.split, place.written, None)
        for place in places
    ]


def _is_there(found: Found, holding: Collection[str]) -> bool:
    """Say whether something is a list, or a folder with images."""
    return found.is_file or found.name in holding


def _is_shared(place: _Place, places: Iterable[_Place]) -> bool:
    """Say whether folders had to be left out, and the path of another split became the same by it."""
    found = place.found
    if found is None or found.is_certain:
        return False
    return any(other.split != place.split and other.found and other.found.name == found.name for other in places)


def _loose_lists(folder: Folder, tree: Tree, beside: str, wanted: Sequence[str]) -> dict[str, Split]:
    """Return the lists of images that lie where nobody needs to name them."""
    stems = {str(PurePosixPath(image).with_suffix("")) for image in wanted}
    here = [name for name in sorted(tree.names) if name.rpartition("/")[0] == beside and _is_text(name)]
    for known in (LISTS, AUTOSPLIT):
        found = {name: known[last] for name in here if (last := name.rpartition("/")[2].lower()) in known}
        # An image may be called train.png, and have its label file beside it.
        found = {
            name: split
            for name, split in found.items()
            if name.rpartition(".")[0] not in stems or not looks_like_labels(folder, name)
        }
        if found:
            return found
    return {}
