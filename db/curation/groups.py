"""Which images belong together: the same patient or video, the same content, the same picture; pure."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
DIGEST_BYTES = 16
"""What contents are told apart by: of a million, two are alike by chance once in 10^26."""


class _ByImage(Mapping[int, T]):
    """Something about every image, looked up in an array of numbers: a dictionary would take 100 bytes an image."""

    def __init__(self, ids_N: NDArray[np.int64], values_N: NDArray[np.int64]) -> None:
        """Keep a number for every image.

        Args:
            ids_N: image numbers, ascending.
            values_N: what is kept of each.
        """
        self._ids_N, self._values_N = ids_N, values_N

    def __getitem__(self, image_id: int) -> T:
        position = int(np.searchsorted(self._ids_N, image_id))
        if position == len(self._ids_N) or self._ids_N[position] != image_id:
            raise KeyError(image_id)
        return self._found(int(self._values_N[position]))

    def _found(self, value: int) -> T:
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids_N.tolist())

    def __len__(self) -> int:
        return len(self._ids_N)


class GroupNames(_ByImage[str]):
    """The name of every image's group: images of one patient, video or picture have the same."""

    def _found(self, value: int) -> str:
        return str(value)


class ImageGroups(_ByImage[list[int]]):
    """For every image its group's members in order of id."""

    def __init__(self, ids_N: NDArray[np.int64], group_N: NDArray[np.int64]) -> None:
        """Put groups together.

        Args:
            ids_N: image numbers, ascending.
            group_N: number of each image's group, from 0.
        """
        super().__init__(ids_N, group_N)
        # Within a group the images stay in order of id.
        self._order_N = np.argsort(group_N, kind="stable")
        self._starts_G = np.searchsorted(group_N[self._order_N], np.arange(int(group_N.max(initial=-1)) + 2))

    def _found(self, value: int) -> list[int]:
        members: list[int] = self._ids_N[self._order_N[self._starts_G[value] : self._starts_G[value + 1]]].tolist()
        return members

    def members_of(self, ids: Iterable[int]) -> set[int]:
        """Return all images of these images' groups; those that are not here have none."""
        wanted = np.fromiter(ids, dtype=np.int64)
        groups = self._values_N[np.isin(self._ids_N, wanted)]
        return set(self._ids_N[np.isin(self._values_N, groups)].tolist())

    def distinct(self) -> Iterator[list[int]]:
        """Yield each group once, in order of its first member."""
        _, firsts_G = np.unique(self._values_N, return_index=True)
        for first in np.sort(firsts_G).tolist():
            yield self._found(int(self._values_N[first]))

    def names(self) -> GroupNames:
        """Name the group of every image by the number of its first member."""
        _, firsts_G, group_N = np.unique(self._values_N, return_index=True, return_inverse=True)
        return GroupNames(self._ids_N, self._ids_N[firsts_G[group_N]])


def group_images(images: Iterable[tuple[int, str | None, str]], near: Iterable[tuple[int, int]]) -> ImageGroups:
    """Group images that must stay on the same side of a split.

    Args:
        images: id, group (patient, video) if known, and content hash of each.
        near: pairs of near-duplicates; those of other images are ignored.

    Returns:
        For every image its group's members in order of id.
    """
    ids, group_numbers, contents, names = array("q"), array("q"), bytearray(), dict[str, int]()
    for image_id, group, content in images:
        ids.append(image_id)
        group_numbers.append(names.setdefault(group, len(names)) if group else -1)
        contents += hashlib.blake2b(content.encode(), digest_size=DIGEST_BYTES).digest()
    ids_N, named_N = np.array(ids, dtype=np.int64), np.array(group_numbers, dtype=np.int64)
    order_N = np.argsort(ids_N)
    ids_N, named_N = ids_N[order_N], named_N[order_N]
    halves_N2 = np.frombuffer(contents, dtype=np.int64).reshape(-1, 2)[order_N]
    _, content_N = np.unique(halves_N2, axis=0, return_inverse=True)
    return ImageGroups(ids_N, _components(content_N.reshape(-1), named_N, _known(ids_N, near)))


def _known(ids_N: NDArray[np.int64], near: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the pairs of these images, as positions, M2."""
    pairs_M2 = np.array(list(near), dtype=np.int64).reshape(-1, 2)
    pairs_M2 = pairs_M2[np.isin(pairs_M2, ids_N).all(axis=1)]
    return np.searchsorted(ids_N, pairs_M2)


def _components(
    content_N: NDArray[np.int64], named_N: NDArray[np.int64], pairs_M2: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Number what is joined by a content, a name (-1: none) or a pair."""
    count, contents = len(content_N), int(content_N.max(initial=-1)) + 1
    if not len(pairs_M2) and not (named_N >= 0).any():
        return content_N
    # A content and a name are nodes too, so that images which share one are joined through it.
    rows_N, named = np.arange(count), np.flatnonzero(named_N >= 0)
    first = np.concatenate([rows_N, named, pairs_M2[:, 0]])
    second = np.concatenate([count + content_N, count + contents + named_N[named], pairs_M2[:, 1]])
    size = count + contents + int(named_N.max(initial=-1)) + 1
    # Loads slowly; where nothing is alike nothing is to be joined.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return np.asarray(components[:count], dtype=np.int64)
