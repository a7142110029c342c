"""Which images belong together: the same patient or video, the same content, the same picture; pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence


def connected_sets(count: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """Number the connected components of an undirected graph.

    Args:
        count: number of nodes.
        links: pairs of node numbers, each from 0 to `count` - 1.

    Returns:
        The component of every node; two nodes have the same number if a chain of links joins them.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.array(links, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    component_of: list[int] = connected_components(graph, directed=False)[1].tolist()
    return component_of


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
    nodes: dict[Hashable, int] = {}
    links: list[tuple[int, int]] = []
    ids = []
    for image_id, group, content in images:
        ids.append(image_id)
        node = nodes.setdefault(image_id, len(nodes))
        links.append((node, nodes.setdefault(("content", content), len(nodes))))
        if group:
            links.append((node, nodes.setdefault(("group", group), len(nodes))))
    links += [(nodes[first], nodes[second]) for first, second in near if first in nodes and second in nodes]
    if not ids:
        return {}
    component_of = connected_sets(len(nodes), links)
    members: dict[int, list[int]] = defaultdict(list)
    for image_id in sorted(ids):
        members[component_of[nodes[image_id]]].append(image_id)
    return {image_id: members[component_of[nodes[image_id]]] for image_id in ids}


def distinct_groups(groups: Mapping[int, list[int]]) -> list[list[int]]:
    """Return each group of `group_images` once, in order of its first member."""
    return [members for image_id, members in sorted(groups.items()) if image_id == members[0]]
