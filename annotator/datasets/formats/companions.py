"""Which files of a data set belong to which image: labels, masks, lines of image sets.

A file belongs to the image of the same name in the same folder, where folders that only say what is in them
(JPEGImages, Annotations, images, labels, masks) do not count. Where no such image is there, the name alone decides, if
it occurs once among the images and once among the files.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from annotator.datasets.formats.entries import BadEntry
from annotator.errors import DataUnreadable

KINDS = frozenset(
    {"jpegimages", "annotations", "segmentationclass", "segmentationclasspng", "segmentationobject"}
    | {"images", "image", "labels", "label", "masks", "mask", "xml", "xmls"}
)
"""Folders that say what is in them, not which part of the data it is."""


def place_of(name: str) -> str:
    """Return where a file belongs: its folders but for those of `KINDS`, and its name without the ending."""
    pure = PurePosixPath(name)
    return "/".join([*(part for part in pure.parts[:-1] if part.lower() not in KINDS), pure.stem])


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
        self._by_place: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_place[place_of(name)].append(name)
            self._by_stem[PurePosixPath(name).stem].append(name)
        self._image_places = {place_of(image) for image in images}
        self._image_stems: dict[str, int] = defaultdict(int)
        for image in images:
            self._image_stems[PurePosixPath(image).stem] += 1

    def of(self, image: str) -> str | None:
        """Return the file that belongs to an image, None where there is none.

        Raises:
            BadEntry: several do.
        """
        found = self._by_place.get(place_of(image), [])
        if not found:
            stem = PurePosixPath(image).stem
            alone = self._by_stem.get(stem, [])
            lonely = [name for name in alone if place_of(name) not in self._image_places]
            if len(alone) == 1 and len(lonely) == 1 and self._image_stems[stem] == 1:
                found = lonely
        if len(found) > 1:
            self._used.update(found)
            raise BadEntry(f"several files belong to it: {', '.join(found)}; keep one")
        self._used.update(found)
        return found[0] if found else None

    def has_own(self, image: str) -> bool:
        """Say whether a file lies where the image's own is expected."""
        return place_of(image) in self._by_place

    def unused(self) -> list[str]:
        """Return the files that no image was asked for, in their order."""
        return [name for name in self.names if name not in self._used]


def read_text(file: Path) -> str:
    """Read a file of names, without the mark that Windows programs put before it.

    Raises:
        DataUnreadable: it is not UTF-8, or cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DataUnreadable(f"{file}: it is not UTF-8 ({exc.reason} at byte {exc.start}); save it as UTF-8") from exc
    except OSError as exc:
        raise DataUnreadable(f"{file}: it cannot be read ({exc.strerror or exc})") from exc
