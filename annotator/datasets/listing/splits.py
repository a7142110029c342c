"""What lists of images say about splits."""

from collections import defaultdict

from annotator.datasets.listing.entries import BadEntry
from db.records import Split


class SplitLists:
    """Which lists name an image."""

    def __init__(self) -> None:
        self._said: dict[str, list[Split]] = defaultdict(list)

    def add(self, image: str, split: Split) -> None:
        """Note a line that names an image."""
        self._said[image].append(split)

    def lines(self, image: str) -> int:
        """Count the lines that name an image."""
        return len(self._said.get(image, ()))

    def split_of(self, image: str) -> Split | None:
        """Return the split that lists give an image, None where no list names it.

        Raises:
            BadEntry: they give it several.
        """
        found = list(dict.fromkeys(self._said.get(image, ())))
        if len(found) > 1:
            raise BadEntry(f"it is listed for {' and for '.join(found)}; an image is in one split")
        return found[0] if found else None
