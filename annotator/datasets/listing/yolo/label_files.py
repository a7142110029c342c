"""The label files of a YOLO data set, and whose they are."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from annotator.datasets.listing.entries import BadEntry
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.yolo.label_lines import looks_like_labels
from annotator.datasets.listing.yolo.tree import Tree

NO_LABELS = frozenset(
    {"classes.txt", "train.txt", "val.txt", "valid.txt", "validation.txt", "test.txt", "readme.txt"}
    | {"readme.roboflow.txt", "readme.dataset.txt", "requirements.txt"}
    | {"autosplit_train.txt", "autosplit_val.txt", "autosplit_test.txt"}
)
"""Text files that lie among label files and are none."""


class LabelFiles:
    """The label files of a data set: below `labels` or beside the image, as LabelImg and CVAT put them."""

    def __init__(self, folder: Folder, tree: Tree, wanted: Sequence[str], lists: Collection[str]) -> None:
        """Match label files with images: by the very name first, then by one that differs in case only.

        Args:
            folder: the data set's.
            tree: the files in it.
            wanted: its images.
            lists: files that list images, which are no labels.
        """
        self._owners: dict[str, list[str]] = defaultdict(list)
        self._label: dict[str, str] = {}
        self._several: dict[str, list[str]] = {}
        for image in wanted:
            exact = next((name for name in _expected(image) if name in tree.names and name not in lists), None)
            if exact is not None:
                self._give(image, exact)
        taken = frozenset(self._owners) | frozenset(lists)
        for image in wanted:
            if image not in self._label:
                self._look_again(image, tree, taken)
        folders = {str(PurePosixPath(label).parent) for label in self._owners}
        folders |= {str(PurePosixPath(_expected(image)[0]).parent) for image in wanted}
        self.there = {
            name
            for name in tree.names
            if PurePosixPath(name).suffix.lower() == ".txt"
            and (name in self._owners or PurePosixPath(name).name.lower() not in NO_LABELS)
            and name not in lists
            and (str(PurePosixPath(name).parent) in folders or looks_like_labels(folder, name))
        }

    def _give(self, image: str, label: str) -> None:
        self._label[image] = label
        self._owners[label].append(image)

    def _look_again(self, image: str, tree: Tree, taken: Collection[str]) -> None:
        """Look for a label file whose name differs in case only, and that is not the very one of another image."""
        for name in _expected(image):
            found = [label for label in tree.spellings(name) if label not in taken]
            for label in found:
                self._give(image, label)
            if len(found) > 1:
                self._several[image] = found
            if found:
                return

    def of(self, image: str) -> str | None:
        """Return the label file of an image, None where there is none.

        Raises:
            BadEntry: several may be meant, or it may belong to other images as well.
        """
        if image in self._several:
            raise BadEntry(f"{' and '.join(self._several[image])} may be its label file; keep one")
        label = self._label.get(image)
        if label is None:
            return None
        owners = self._owners[label]
        if len(owners) > 1:
            raise BadEntry(f"{label} may belong to {' or '.join(owners)}; it is unclear which")
        return label

    def count(self, image: str) -> int:
        """Count the label files that go with an image: none where an earlier image may own it too."""
        own = [self._label[image]] if image in self._label else []
        return sum(label in self.there and self._owners[label][0] == image for label in self._several.get(image, own))

    def unused(self) -> list[str]:
        """Return the label files of no image, in order."""
        return sorted(self.there - set(self._owners))


def _expected(image: str) -> list[str]:
    """Return where the label file of an image would lie: below labels, and beside it."""
    pure = PurePosixPath(image).with_suffix(".txt")
    apart = []
    for spelled in (str, str.lower):
        parts = list(pure.parts)
        for place in range(len(parts) - 2, -1, -1):
            if spelled(parts[place]) == "images":
                parts[place] = "labels"
                apart.append("/".join(parts))
                break
    return [*dict.fromkeys(apart), str(pure)]
