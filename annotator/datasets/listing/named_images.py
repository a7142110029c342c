"""Finds the images that one file lists, in a folder that a person may have arranged otherwise."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from annotator.datasets.listing.companions import NameIndex
from annotator.datasets.listing.entries import BadEntry, Counts, Listing, Part
from annotator.datasets.listing.folder import Folder, images_beside
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile


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
        for file, places in owners.items():
            for place in places if len(places) > 1 else ():
                said = " and ".join(dict.fromkeys(wanted[other][0] for other in places))
                self._found[place] = BadEntry(f"it is listed {len(places)} times as {file.name} ({said}); keep one")

    def _find(self, index: NameIndex, names: Sequence[str]) -> ImageFile | BadEntry:
        try:
            for name in names:
                known = name if self.folder.is_remote else index.find(name)
                file = self.folder.file(known) if known else None
                if file is not None:
                    return file
        except BadEntry as exc:
            return exc
        return BadEntry(f"there is no such image in {self.folder}; name the folder of the images: --images DIR")

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
        files = [file for file in self._found if isinstance(file, ImageFile)]
        unlisted = images_beside(self.folder, files)
        listing.found(Counts(images=len(unlisted)))
        for name in unlisted:
            listing.leave(Part.IMAGES, name, f"not listed in {by}")
