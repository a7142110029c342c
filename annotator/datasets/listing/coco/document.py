"""The lists of a COCO file: whose the annotations are, what categories are called, and where the images lie."""

import json
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from annotator.datasets.listing.companions import NameIndex
from annotator.datasets.listing.entries import BadEntry
from annotator.datasets.listing.folder import Folder, missing_files, parent_of, read_json, spellings
from annotator.datasets.listing.splits import split_beside_others, split_named
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile
from db.records import Split

IMAGES = "images"
ANNOTATIONS = "annotations"
PARTS = (IMAGES, ANNOTATIONS, "categories")
SAMPLE = 1000
"""Images that are looked for to find out which folder their names count from."""

INSTANCES = frozenset({"instances", "annotations"})
"""What COCO and CVAT call their files before the name of the split."""
MASK_FOLDERS = frozenset({"mask", "masks", "segmentationclass", "segmentationobject", "annotations", "labels"})
"""Folders in which a file that is called like an image is none."""

Item = Mapping[str, Any]


def parse_coco(file: str | Path) -> dict[str, Any]:
    """Read a COCO file.

    Raises:
        DataUnreadable: no such file, or it is not COCO.
    """
    document = read_json(file)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(part), list)
        and (not document[part] or any(isinstance(item, dict) for item in document[part]))
        for part in PARTS
    ):
        raise DataUnreadable(f"{file}: expected a COCO file, an object with the lists {', '.join(PARTS)}")
    return document


def id_of(value: Any) -> Any:
    """Return an id as something that can be looked up."""
    return value if isinstance(value, str | int | float | None) else json.dumps(value, sort_keys=True)


def known_id(value: Any, known: Container[Any]) -> Any:
    """Return the known id that a value stands for, since programs write 1 and "1" for one another; else the value."""
    found = id_of(value)
    if found in known:
        return found
    other = _other_spelling(found)
    return other if other is not None and other in known else found


def _other_spelling(value: Any) -> Any:
    if isinstance(value, str):
        with suppress(ValueError):
            return int(value.strip())
        return None
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    return str(int(value)) if whole else None


class Categories:
    """What categories are called, by their ids."""

    def __init__(self, listed: Sequence[Any]) -> None:
        self.names: dict[Any, str] = {}
        self._unusable: dict[Any, str] = {}
        said: dict[Any, set[str]] = defaultdict(set)
        for item in listed:
            if not isinstance(item, dict) or "id" not in item:
                continue
            number, name = id_of(item["id"]), item.get("name")
            if isinstance(name, str | int | float) and not isinstance(name, bool) and str(name).strip():
                said[number].add(str(name).strip())
            else:
                self._unusable[number] = f"category {item['id']!r} has no name, but {name!r}"
        for number, names in said.items():
            if len(names) > 1:
                self._unusable[number] = f"several categories have the id {number!r}: {', '.join(sorted(names))}"
            else:
                (self.names[number],) = names

    def of(self, annotations: Sequence[Item]) -> set[str]:
        """Return what the annotations of an image are called.

        Raises:
            BadEntry: a category is not listed, has no name, or shares its id with another.
        """
        ids = {known_id(annotation.get("category_id"), self._known) for annotation in annotations}
        for number in ids:
            if number in self._unusable:
                raise BadEntry(self._unusable[number])
            if number not in self.names:
                raise BadEntry(f"an annotation has category_id {number!r}, which is not in the list of categories")
        return {self.names[number] for number in ids}

    @property
    def _known(self) -> set[Any]:
        return self.names.keys() | self._unusable.keys()


class CocoImages:
    """Finds the images of a COCO file, beside it or where its program puts them, or in a folder that a person names."""

    def __init__(self, file: str | Path, items: Sequence[Item], named: Folder | None) -> None:
        """Find them.

        Args:
            file: the COCO file.
            items: the file's images.
            named: the folder that a person named; an image may lie in it under the end of its file_name alone.
        """
        place = parent_of(file)
        self.split = _split_of(PurePosixPath(str(file)))
        """The split that the file is for, as its folder or its own name says."""
        names = [_name(item) for item in items]
        self._named = named
        self.folder = named or _folder_of(place, names)
        self._found = {name: image for name in names if (image := self.folder.file(name)) is not None}
        missing = missing_files(self._found.values())
        self._missing = {name for name, image in self._found.items() if image.location in missing}
        # A name that leads elsewhere is followed by its end alone where a person says where to.
        elsewhere = [name for name in names if name not in self._found] if named is not None else []
        if self.folder.is_remote:
            self._look_below_its_end(names if named is not None else [])
        elif self._missing or elsewhere:
            self._look_around(named or Folder(_root_of(place)), sorted({*self._missing, *elsewhere}))

    def _look_below_its_end(self, names: Sequence[str]) -> None:
        """Take a remote file that is called like the end of a name, where the name itself leads nowhere."""
        for name in names:
            last, file = self.folder.file(_last(name)), self._found.get(name)
            if last is not None and last != file and (file is None or not file.exists()) and last.exists():
                self._found[name] = last

    def _look_around(self, root: Folder, lost: Sequence[str]) -> None:
        """Look for what is not where its name says: below another folder, as in CVAT's images/Train, or spelled so."""
        wanted = {_last(other) for name in lost for other in spellings(name)}
        try:
            there = root.names()
        except DataUnreadable:
            return
        index = NameIndex(name for name in there if _last(name) in wanted and _may_be_image(PurePosixPath(name)))
        for name in lost:
            for other in spellings(name):
                with suppress(BadEntry):
                    known = index.find(other) or (index.find(_last(other)) if self._named is not None else None)
                    file = root.file(known) if known is not None else None
                    if file is not None:
                        self._found[name] = file
                        self._missing.discard(name)
                        break

    def of(self, item: Item) -> ImageFile:
        """Return an image's file.

        Raises:
            BadEntry: it is not there, or its name leads out of the folder.
        """
        name = _name(item)
        file = self._found.get(name)
        if file is None:
            raise BadEntry(
                f"its file_name {name!r} points outside the data set's folder; name the folder of the images: "
                "--images DIR"
                if name
                else "it has no file_name"
            )
        if name in self._missing:
            hint = "" if self._named is not None else "; name the folder of the images: --images DIR"
            raise BadEntry(f"there is no such image in {self.folder}{hint}")
        return file

    def files(self) -> list[ImageFile]:
        """Return all that were named, found or not."""
        return list(self._found.values())


def _split_of(file: PurePosixPath) -> Split | None:
    """Return the split of Roboflow's train/_annotations.coco.json, or of COCO's and CVAT's instances_train2017.json."""
    kind, _, rest = file.stem.partition("_")
    return split_beside_others(file) or (split_named(rest) if kind.lower() in INSTANCES else None)


def _may_be_image(path: PurePosixPath) -> bool:
    return path.suffix.lower() in SUFFIXES and MASK_FOLDERS.isdisjoint(part.lower() for part in path.parts[:-1])


def _name(item: Item) -> str:
    return str(item.get("file_name") or "")


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _root_of(place: str | Path) -> str | Path:
    """Return the data set's folder; COCO's own tree has the file in `annotations`, beside the images' folders."""
    return place.parent if isinstance(place, Path) and place.name.lower() == ANNOTATIONS else place


def _folder_of(place: str | Path, names: Sequence[str]) -> Folder:
    beside = Folder(place)
    if isinstance(place, Path):
        # Evenly over the list, since the first ones may well be missing.
        sample = names[:: max(1, len(names) // SAMPLE)]
        candidates = [Folder(place / inner) for inner in (".", IMAGES, f"../{IMAGES}")]
        hits = [
            sum((file := inner.file(name)) is not None and file.exists() for name in sample) for inner in candidates
        ]
        if max(hits, default=0):
            return candidates[hits.index(max(hits))]
    return beside
