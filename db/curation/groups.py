"""Which images belong together: the same patient or video, the same content, the same picture; pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping


class Groups:
    """Disjoint sets of things, joined pair by pair (union-find with path halving)."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def find(self, item: Hashable) -> Hashable:
        """Return the representative of the set that holds `item`."""
        parent = self._parent
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(self, first: Hashable, second: Hashable) -> None:
        """Put two items, and all that are with them, into one set."""
        self._parent[self.find(first)] = self.find(second)


def group_images(
    images: Iterable[tuple[int, str | None, str]], near: Iterable[tuple[int, int]]
) -> dict[int, list[int]]:
    """Group images that must stay on the same side of a split.

    Args:
        images: id, group (patient, video) if known, and content hash of each.
        near: pairs of near-duplicates.

    Returns:
        For every image its group's members in order of id; the images of one group share one list.
    """
    groups = Groups()
    ids = []
    for image_id, group, content in images:
        ids.append(image_id)
        groups.join(image_id, ("content", content))
        if group:
            groups.join(image_id, ("group", group))
    known = set(ids)
    for first, second in near:
        if first in known and second in known:
            groups.join(first, second)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for image_id in sorted(ids):
        members[groups.find(image_id)].append(image_id)
    return {image_id: members[groups.find(image_id)] for image_id in ids}


def distinct_groups(groups: Mapping[int, list[int]]) -> list[list[int]]:
    """Return each group of `group_images` once, in order of its first member."""
    return [members for image_id, members in sorted(groups.items()) if image_id == members[0]]
