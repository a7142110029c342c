"""Which images belong together: the same patient or video, the same content, the same picture; pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np


def group_images(
    images: Iterable[tuple[int, str | None, str]], near: Iterable[tuple[int, int]]
) -> dict[int, list[int]]:
    """Group images that must stay on the same side of a split.

    Args:
        images: id, group (patient, video) if known, and content hash of each.
        near: pairs of near-duplicates; those of other images are ignored.

    Returns:
        For every image its group's members in order of id; the images of one group share one list.
    """
    listed = list(images)
    index = {image_id: n for n, (image_id, _, _) in enumerate(listed)}
    # A group and a content are nodes too, so that images which share one are joined through it.
    shared: dict[tuple[str, str], int] = {}
    edges: list[tuple[int, int]] = [(index[a], index[b]) for a, b in near if a in index and b in index]
    for image_id, group, content in listed:
        for key in (("content", content), *([("group", group)] if group else [])):
            edges.append((index[image_id], shared.setdefault(key, len(listed) + len(shared))))
    size = len(listed) + len(shared)
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    # Loads slowly; where nothing is alike nothing is to be joined.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for image_id in sorted(index):
        members[int(components[index[image_id]])].append(image_id)
    return {image_id: members[int(components[index[image_id]])] for image_id, _, _ in listed}


def distinct_groups(groups: Mapping[int, list[int]]) -> list[list[int]]:
    """Return each group of `group_images` once, in order of its first member."""
    return [members for image_id, members in sorted(groups.items()) if image_id == members[0]]
