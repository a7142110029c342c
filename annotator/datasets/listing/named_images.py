"""Finds the images that one file lists, in a folder that a person may have arranged otherwise."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from annotator.datasets.listing.companions import NameIndex
from annotator.datasets.listing.entries import BadEntry, Counts, Listing, Part
from annotator.datasets.listing.folder import Folder, images_beside
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile, is_uri


class NamedImages:
    """The images that a file lists."""

    def __init__(self, folder: Folder, wanted: Sequence[Sequence[str]]) -> None:
        """Find them.

        Args:
            folder: where they lie, or below.
            wanted: for each image the names it may have, the best first.
        """
        self.folder = folder
        names = [] if folder.is_remote else folder.names()
        index = NameIndex(name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES)
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
            BadEntry: it is not there, is listed twice, or nobody can say which it is.
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
