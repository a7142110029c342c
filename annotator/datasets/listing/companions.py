"""Which files of a data set belong to which image: labels, masks, lines of image sets.

A file belongs to the image of the same name in the same folder, where folders that only say what is in them
(JPEGImages, Annotations, images, labels, masks) do not count. Where no such image is there, the name alone decides, if
it occurs once among the images and once among the files, and the folders of one are the last of the other's; in any
other folders only if the file itself names the image, too.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from annotator.datasets.listing.entries import BadEntry

KINDS = frozenset(
    {"jpegimages", "annotations", "segmentationclass", "segmentationclasspng", "segmentationobject"}
    | {"images", "image", "imgs", "img", "labels", "label", "masks", "mask", "xml", "xmls"}
)
"""Folders that say what is in them, not which part of the data it is."""
MASK_WORDS = r"(?:mask|seg|segmentation|gt|groundtruth|ground_truth|label)s?"
MASK_WORD = re.compile(rf"[_\- .]{MASK_WORDS}[_\- .]?(?P<number>\d*)$", re.IGNORECASE)
"""How the name of a mask file goes on after the name of its image, and that of a folder after the one of its images."""
MASK_WORD_BEFORE = re.compile(rf"^{MASK_WORDS}[_\- .]", re.IGNORECASE)
MASK_ALONE = re.compile(MASK_WORDS, re.IGNORECASE)
"""What a mask may be called that lies in one folder with its image, as in p1/image.png and p1/mask.png."""
MASK_FOLDERS = frozenset(
    {"mask", "masks", "gt", "groundtruth", "ground_truth", "annotations", "segmentation", "segmentations"}
    | {"segmentationclass", "segmentationobject"}
)
"""What folders of masks are called, in lower case."""

NUMBER = re.compile(r"\d+")
SPLIT_WORD = re.compile(r"(?<![a-z])(?:train|val|test|dev)(?:ing|id|idation)?(?![a-z])")
"""Words of splits in names of folders, in lower case."""


def composed(name: str) -> str:
    """Write a letter with an accent as one character; on a Mac it is two, in most programs one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _stem(name: str) -> str:
    return PurePosixPath(composed(name)).stem


def place_of(name: str) -> str:
    """Return where a file belongs: its folders but for those of `KINDS`, and its name without the ending."""
    pure = PurePosixPath(composed(name))
    return "/".join([*(part for part in pure.parts[:-1] if part.lower() not in KINDS), pure.stem])


def _fit(file: str, image: str) -> bool:
    """Say whether a file and an image of one name may lie apart: the folders of one are the last of the other's.

    Annotations/1.xml and JPEGImages/s1/1.png do, p2/1.xml and p1/1.png are of two patients.
    """
    ours, theirs = place_of(file).split("/"), place_of(image).split("/")
    shorter = min(len(ours), len(theirs))
    return ours[-shorter:] == theirs[-shorter:]


def _of_other_parts(ours: str, theirs: str) -> bool:
    """Say whether two folders are of different patients, sites or splits: a number or the word of a split differs."""
    splits = SPLIT_WORD.findall(ours.lower()), SPLIT_WORD.findall(theirs.lower())
    return NUMBER.findall(ours) != NUMBER.findall(theirs) or (all(splits) and splits[0] != splits[1])


class Companions:
    """Files that belong to images."""

    def __init__(self, images: Sequence[str], names: Sequence[str]) -> None:
        """Match files with images.

        Args:
            images: names of all images, relative to the data set.
            names: names of the files.
        """
        self.names = list(names)
        self.images = list(images)
        self._used: set[str] = set()
        self._claims: dict[str, list[str]] = {}
        self._assigned: dict[str, str] = {}
        self._by_place: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_place[place_of(name)].append(name)
            self._by_stem[_stem(name)].append(name)
        self._image_places: dict[str, list[str]] = defaultdict(list)
        for image in images:
            self._image_places[place_of(image)].append(image)
        self._image_stems: dict[str, int] = defaultdict(int)
        for image in images:
            self._image_stems[_stem(image)] += 1

    def of(self, image: str) -> str | None:
        """Return the file that belongs to an image, None where there is none.

        Raises:
            BadEntry: several do, or it may belong to another image as well.
        """
        found = self._by_place.get(place_of(image), [])
        owners = self._image_places[place_of(image)] if found else []
        if len(owners) > 1:
            self._claim(image, found)
            raise BadEntry(f"{', '.join(found)} may belong to {' or '.join(owners)}; it is unclear which")
        if not found and image in self._assigned:
            found = [self._assigned[image]]
        if not found:
            stem = _stem(image)
            alone = self._by_stem.get(stem, [])
            lonely = [name for name in alone if place_of(name) not in self._image_places]
            if len(alone) == 1 and len(lonely) == 1 and self._image_stems[stem] == 1 and _fit(lonely[0], image):
                found = lonely
        if len(found) > 1:
            self._claim(image, found)
            raise BadEntry(f"several files belong to it: {', '.join(found)}; keep one")
        self._claim(image, found)
        return found[0] if found else None

    def assign_by_content(self, said: Mapping[str, str]) -> list[str]:
        """Give files that are called like no image to the images that they name; an image's own file goes first.

        Args:
            said: the image that each file names, "" for none.

        Returns:
            A sentence for each that was given away.
        """
        index = NameIndex(self.images)
        remarks = []
        for name in self.names:
            if place_of(name) in self._image_places or self._image_stems.get(_stem(name)):
                continue
            with suppress(BadEntry):
                image = index.find(said.get(name, ""))
                if image is None or place_of(image) in self._by_place or image in self._assigned:
                    continue
                if _fit(str(PurePosixPath(name).with_name(PurePosixPath(image).name)), image):
                    self._assigned[image] = name
                    remarks.append(f"{name} is used for {image}, which it names")
        return remarks

    def assign_alone(self, said: Mapping[str, str]) -> None:
        """Give files to images of the same name in unlike folders: train_xml/a.xml to train_img/a.png, which it names.

        The name occurs once among the images and once among the files, and the folders are of different kinds: there is
        no image in the file's and no file in the image's. Folders that differ by a number or a split (p1 and p2, train
        and test) are of different parts of the data.

        Args:
            said: the image that each file names, "" for none.
        """
        files_in = {name.rpartition("/")[0] for name in self.names}
        images_in = {image.rpartition("/")[0] for image in self.images}
        for image in self.images:
            stem = _stem(image)
            alone = self._by_stem.get(stem, [])
            if len(alone) != 1 or self._image_stems[stem] != 1 or place_of(image) in self._by_place:
                continue
            named = PurePosixPath(composed(said.get(alone[0], "")).replace("\\", "/"))
            if stem not in (named.name, named.stem) or image in self._assigned:
                continue
            ours, theirs = alone[0].rpartition("/")[0], image.rpartition("/")[0]
            if ours not in images_in and theirs not in files_in and not _of_other_parts(ours, theirs):
                self._assigned[image] = alone[0]

    def check(self, image: str, file: str, said: str) -> str | None:
        """Compare the image that a file names with the one that it was taken for.

        Args:
            image: what it was taken for.
            file: its name.
            said: the image that it names itself, "" for none.

        Returns:
            What somebody should know; None where both are the same, or the named one is not in the set.

        Raises:
            BadEntry: it names another image of the set, which has no file of its own.
        """
        named = PurePosixPath(composed(said).replace("\\", "/"))
        if not named.name or named.stem == _stem(image):
            return None
        others = [other for other in self.images if PurePosixPath(composed(other)).name == named.name]
        if not others or image in others:
            return None
        if not all(place_of(other) in self._by_place for other in others):
            raise BadEntry(f"its annotation file {file} says that it belongs to {named.name}")
        return f"{file} says that it belongs to {named.name}; by its own name it was assigned to {image}"

    def claimed_for(self, image: str) -> list[str]:
        """Return the files that an image was the first to be asked for."""
        return self._claims.get(image, [])

    def _claim(self, image: str, files: Iterable[str]) -> None:
        new = [name for name in files if name not in self._used]
        self._used.update(new)
        if new:
            self._claims[image] = new

    def unused(self) -> list[str]:
        """Return the files that no image was asked for, in their order."""
        return [name for name in self.names if name not in self._used]


class NameIndex:
    """Finds the images that a file names, wherever the names in it count from."""

    def __init__(self, names: Iterable[str]) -> None:
        """Index names that are relative to a data set."""
        self._by_last: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self._written: dict[str, str] = {}
        for name in names:
            parts = PurePosixPath(composed(name)).parts
            self._by_last[parts[-1]].append(parts)
            if not name.isascii():
                self._written["/".join(parts)] = name

    def find(self, name: str) -> str | None:
        """Return the image that is meant by a name, which may have fewer folders before it, or more.

        `/home/me/set/images/a.png` is images/a.png, and so is `a.png` if no other folder has one; `other/a.png` is not
        (but if the set has an a.png that lies in no folder, it is that one).

        Raises:
            BadEntry: several images may be meant.
        """
        found = self._find(composed(name))
        return found if found is None else self._written.get(found, found)

    def _find(self, name: str) -> str | None:
        pieces = name.strip().replace("\\", "/").split("/")
        wanted = tuple(part for part in pieces if part not in ("", ".", ".."))
        if not wanted:
            return None
        candidates = self._by_last.get(wanted[-1], [])
        if wanted in candidates:
            return "/".join(wanted)
        shorter = ["/".join(parts) for parts in candidates if wanted[-len(parts) :] == parts]
        if shorter:
            return max(shorter, key=len)
        longer = ["/".join(parts) for parts in candidates if parts[-len(wanted) :] == wanted]
        if len(longer) > 1:
            raise BadEntry(f"{name} may be {' or '.join(longer[:5])}; it is unclear which")
        return longer[0] if longer else None


@dataclass(frozen=True, slots=True)
class FolderMasks:
    """Masks that lie in folders of their own, called as their images."""

    owners: dict[str, tuple[str, int]] = field(default_factory=dict)
    """The image of a mask, and the mask's number, 0 where it has none."""
    lost: dict[str, str] = field(default_factory=dict)
    """Masks that belong to no image, and why."""
    folders: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """Folders that are called like those of masks, and hold none."""


def masks_in_folders(names: Sequence[str], never_images: Collection[str] = ()) -> FolderMasks:
    """Find masks that lie in folders of masks: benign_mask/1.png of benign/1.png, masks/1.png, benign/masks/1.png.

    A folder is one of masks if it is called so and one of its files is called like an image.

    Args:
        names: of pictures, relative to the data set.
        never_images: those of them that are masks by their own names.
    """
    inside: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    siblings = _subfolders(names)
    images = []
    parents = {folder: PurePosixPath(folder).parts for folder in {name.rpartition("/")[0] for name in names}}
    found_at = {folder: _mask_folder(parts, siblings) for folder, parts in parents.items()}
    for name in names:
        folder, _, last = name.rpartition("/")
        found = found_at[folder]
        if found is not None:
            inside[parents[folder][: found[0] + 1]].append((name, "/".join((*found[1], last))))
        elif name not in never_images:
            images.append(name)
    if not inside:
        return FolderMasks()
    by_place: dict[str, list[str]] = defaultdict(list)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for image in images:
        by_place[place_of(image)].append(image)
        by_stem[_stem(image)].append(image)
    masks = FolderMasks()
    for parts, files in inside.items():
        owners = {name: _owner(wanted, by_place, by_stem) for name, wanted in files}
        if not any(isinstance(owner, tuple) for owner in owners.values()):
            masks.doubts.append(
                f"the folder {'/'.join(parts)} is named like a mask folder, and none of its files is named like an "
                "image; move it elsewhere"
            )
            continue
        masks.folders.append("/".join(parts))
        for name, owner in owners.items():
            if isinstance(owner, tuple):
                masks.owners[name] = owner
            else:
                masks.lost[name] = owner
    return masks


def _subfolders(names: Iterable[str]) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the folders in each folder, as they are called, by their names in lower case."""
    found: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for parts in (PurePosixPath(folder).parts for folder in {name.rpartition("/")[0] for name in names}):
        for place, part in enumerate(parts):
            found[parts[:place]][part.lower()] = part
    return found


def _mask_folder(
    parts: tuple[str, ...], siblings: Mapping[tuple[str, ...], Mapping[str, str]]
) -> tuple[int, tuple[str, ...]] | None:
    """Return which of the folders around a picture is one of masks, and where its images would lie instead."""
    for place in range(len(parts) - 1, -1, -1):
        beside = siblings[parts[:place]]
        for word in (MASK_WORD, MASK_WORD_BEFORE):
            base = beside.get(word.sub("", parts[place]).lower(), parts[place])
            if base.lower() != parts[place].lower():
                return place, (*parts[:place], base, *parts[place + 1 :])
        if parts[place].lower().replace(" ", "_") not in MASK_FOLDERS:
            continue
        # Where folders are called mask and no_mask, they are what is in the images.
        if all((base := MASK_WORD.sub("", name)) == name or base in beside for name in beside):
            return place, parts[:place] + parts[place + 1 :]
    return None


def _owner(
    wanted: str, by_place: Mapping[str, Sequence[str]], by_stem: Mapping[str, Sequence[str]]
) -> tuple[str, int] | str:
    """Return the image of a mask with the mask's number, or why it has none."""
    pure = PurePosixPath(composed(wanted))
    number = MASK_WORD.search(pure.stem)
    for stem in dict.fromkeys((pure.stem, MASK_WORD.sub("", pure.stem))):
        meant = str(pure.with_name(f"{stem}.png"))
        owners = by_place.get(place_of(meant)) or [image for image in by_stem.get(stem, ()) if _fit(meant, image)]
        if len(owners) > 1:
            return f"it may belong to {' or '.join(owners[:5])}, and it is unclear which; it was not used"
        if owners:
            return owners[0], int(number["number"] or 0) if number is not None and stem != pure.stem else 0
    return "no image belongs to this mask; it was not used"


def masks_beside(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Find masks that are called only so and lie beside one image: p1/mask.png of p1/image.png.

    Args:
        names: of pictures, relative to the data set, without masks that are known already.

    Returns:
        The image of each mask, and those that are called so beside no image, several, or another mask.
    """
    images: dict[str, list[str]] = defaultdict(list)
    masks: dict[str, list[str]] = defaultdict(list)
    for name in names:
        is_mask = "/" in name and MASK_ALONE.fullmatch(PurePosixPath(name).stem) is not None
        (masks if is_mask else images)[name.rpartition("/")[0]].append(name)
    owners: dict[str, str] = {}
    doubtful: list[str] = []
    for folder, found in masks.items():
        if len(found) == len(images[folder]) == 1:
            owners[found[0]] = images[folder][0]
        else:
            doubtful += found
    return owners, doubtful
