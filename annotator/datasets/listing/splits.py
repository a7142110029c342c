"""What lists of images say about splits."""

from collections import defaultdict

from annotator.datasets.listing.companions import NameIndex
from annotator.datasets.listing.entries import BadEntry, Counts, Listing, Part
from db.records import Split


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
                reason = f"{place} lists it, and no image has this name"
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
            raise BadEntry(f"it is listed for {' and for '.join(found)}; an image is in one split")
        return found[0] if found else None
