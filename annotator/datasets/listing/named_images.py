"""Finds the images that a file or a table lists, in a folder that a person may have arranged otherwise."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from annotator.datasets.listing.companions import NameIndex, masks_in_folders
from annotator.datasets.listing.entries import BadEntry, Counts, Listing, Part
from annotator.datasets.listing.folder import Folder, images_beside, missing_files, spellings
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile, is_uri
from db.plain_text import counted

FoundImages = dict[str, ImageFile | BadEntry | None]
"""Images by their name in a table; why one cannot be used, or None where its name leads out of the folder."""


class NamedImages:
    """The images that a file lists."""

    def __init__(self, folder: Folder, wanted: Sequence[Sequence[str]]) -> None:
        """Find them.

        Args:
            folder: where they lie, or below.
            wanted: for each image the names it may have, the best first.
        """
        self.folder = folder
        index = NameIndex(_pictures_in(folder))
        self._found = [self._find(index, names) for names in wanted]
        owners: dict[ImageFile, list[int]] = defaultdict(list)
        for place, file in enumerate(self._found):
            if isinstance(file, ImageFile):
                owners[file].append(place)
        self._owners = owners
        self._again = {place for places in owners.values() for place in places[1:]}
        for file, places in owners.items():
            for place in places if len(places) > 1 else ():
                said = " and ".join(dict.fromkeys(wanted[other][0] for other in places))
                self._found[place] = BadEntry(f"it is listed {len(places)} times as {file.name} ({said}); keep one")

    def _find(self, index: NameIndex, names: Sequence[str]) -> ImageFile | BadEntry:
        try:
            for name in self._remote_names(names) if self.folder.is_remote else names:
                known = name if self.folder.is_remote else index.find(name)
                file = self.folder.file(known) if known else None
                if file is not None:
                    return file
        except BadEntry as exc:
            return exc
        return BadEntry(f"there is no such image in {self.folder}; name the folder of the images: --images DIR")

    def _remote_names(self, names: Sequence[str]) -> list[str]:
        """Return what an image may be called in a remote folder: below its own URI, or by the path of its own."""
        prefix = f"{self.folder}/"
        below = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        return [*below, *(name.lstrip("/") for name in names if not is_uri(name))]

    def images_at(self, place: int) -> int:
        """Count the image that is listed at this place: 0 where it was listed before, else 1."""
        return int(place not in self._again)

    def of(self, place: int) -> ImageFile:
        """Return the image that is listed at this place, from 0.

        Raises:
            BadEntry: it is not there, is listed twice, or it is unclear which it is.
        """
        found = self._found[place]
        if isinstance(found, BadEntry):
            raise found
        return found

    def leave_unlisted(self, listing: Listing, by: str) -> None:
        """Note the images that lie beside the listed ones and are not listed."""
        unlisted = images_beside(self.folder, self._owners)
        listing.found(Counts(images=len(unlisted)))
        for name in unlisted:
            listing.leave(Part.IMAGES, name, f"not listed in {by}")


def find_images(folder: Folder, names: Collection[str], *, elsewhere: bool = False) -> tuple[FoundImages, list[str]]:
    """Find images, also where a table has their names in another spelling, or without a folder or an ending.

    Args:
        folder: what the names are relative to.
        names: as a table has them; one may end with the number of a frame, as in scan.dcm#frame=3.
        elsewhere: a person named the folder, so that folders in a name may be those of another machine.

    Returns:
        The images, also those that are not there, and what somebody should know.
    """
    files: FoundImages = {name: _file(folder, name) for name in names}
    missing = missing_files(file for file in files.values() if isinstance(file, ImageFile))
    lost = []
    for name, file in files.items():
        if isinstance(file, ImageFile) and file.location not in missing:
            continue
        others = spellings(name)[1:]
        if elsewhere:
            others += [other.replace("\\", "/").rpartition("/")[2] for other in (name, *others)]
        found = [image for other in others if (image := _file(folder, other)) is not None]
        there = next((image for image in found if image.is_remote or image.exists()), None)
        if there is not None:
            files[name] = there
        elif file is not None:
            lost.append(name)
    called = {}
    if lost:
        pictures = _pictures_in(folder)
        masks = masks_in_folders(pictures).owners
        called = _called(folder, [picture for picture in pictures if picture not in masks], lost)
    return files | called, _found_by_less(folder, called, "image was", "images were")


def find_masks(folder: Folder, names: Collection[str], images: FoundImages) -> tuple[FoundImages, list[str]]:
    """Find the masks of a table's images, also by names in another spelling, or without a folder or an ending.

    Args:
        folder: what the names are relative to.
        names: as the table has them.
        images: those of the table, none of which is a mask.

    Returns:
        The masks, also those that are not there, and what somebody should know.
    """
    taken = {image for image in images.values() if isinstance(image, ImageFile)}
    files: FoundImages = {}
    lost = []
    for name in names:
        spelled = [file for other in spellings(name) if (file := folder.file(other)) is not None]
        there = [file for file in spelled if file.is_remote or file.exists()]
        free = [file for file in there if file not in taken]
        files[name] = next(iter(free or there or spelled), None)
        if spelled and not free:
            lost.append(name)
    called = {}
    if lost:
        used = _names_below(folder, images)
        called = _called(folder, [picture for picture in _pictures_in(folder) if picture not in used], lost)
        # In another folder than the one that is named lies another file, such as an image that is not listed.
        called = {
            name: file
            for name, file in called.items()
            if isinstance(file, BadEntry) or _folder_of(name) in ("", _folder_of(str(file)))
        }
    return files | called, _found_by_less(folder, called, "mask was", "masks were")


def _folder_of(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).parent.name


def _found_by_less(folder: Folder, called: FoundImages, one: str, several: str) -> list[str]:
    examples = [
        f"{_name_below(folder, file)} for {name!r}" for name, file in called.items() if isinstance(file, ImageFile)
    ]
    if not examples:
        return []
    return [f"{counted(len(examples), one, several)} found by only part of the path, such as {min(examples)}"]


def unused_masks(folder: Folder, files: FoundImages) -> list[str]:
    """List what lies in folders of masks and belongs to some images, of a table that names no masks."""
    images = _names_below(folder, files)
    owners = masks_in_folders(_pictures_in(folder)).owners
    return sorted(mask for mask, (image, _) in owners.items() if image in images and mask not in images)


def _names_below(folder: Folder, files: FoundImages) -> set[str]:
    return {_name_below(folder, file) for file in files.values() if isinstance(file, ImageFile)}


def _name_below(folder: Folder, file: ImageFile) -> str:
    return str(file).removeprefix(f"{folder}/")


def _file(folder: Folder, name: str) -> ImageFile | None:
    exact = folder.file(name)
    if "#frame=" not in name:
        return exact
    plain, _, frame = name.rpartition("#frame=")
    if plain and frame.isdigit() and len(frame) < 7 and (exact is None or exact.is_remote or not exact.exists()):
        file = folder.file(plain)
        return file.with_frame(int(frame)) if file is not None else None
    return exact


def _called(folder: Folder, pictures: Iterable[str], names: Iterable[str]) -> FoundImages:
    """Find pictures by names that lack their folder, their ending, or both: ISIC_7 is images/ISIC_7.jpg."""
    by_whole, by_stem = dict[str, list[str]](), dict[str, list[str]]()
    for picture in pictures:
        by_whole[picture] = [picture]
        by_stem.setdefault(str(PurePosixPath(picture).with_suffix("")), []).append(picture)
    indices = [(NameIndex(by_name), by_name) for by_name in (by_whole, by_stem)]
    found: FoundImages = {}
    claims: dict[str, list[str]] = defaultdict(list)
    for name in names:
        try:
            meant = next((by_name[known] for index, by_name in indices if (known := index.find(name))), [])
        except BadEntry as exc:
            found[name] = exc
            continue
        if len(meant) > 1:
            found[name] = BadEntry(f"{name} may be {' or '.join(meant[:5])}; it is unclear which")
        elif meant:
            found[name] = folder.file(meant[0])
            claims[meant[0]].append(name)
    for picture, claiming in claims.items():
        if len(claiming) > 1:
            several = BadEntry(f"{picture} may be {' or '.join(claiming[:5])}; it is unclear which")
            found |= dict.fromkeys(claiming, several)
    return found


def _pictures_in(folder: Folder) -> list[str]:
    """List the images below a folder; one that is remote is not searched."""
    names = [] if folder.is_remote else folder.names()
    return [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
