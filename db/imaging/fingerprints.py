"""Near-duplicates: a perceptual hash that finds candidates, and a distance that decides; pure.

Two images are near-duplicates if the normalised correlation of their 32 x 32 grey thumbnails is above .98: the same
picture scaled, recompressed, brightened, with a caliper or a text burnt in.

The hash is the 16 lowest-frequency coefficients of the DCT of the thumbnail (mean removed, length 1), one signed byte
each. For unit vectors correlation = 1 - distance^2 / 2, and leaving coefficients out can only shorten a distance, so
every pair above the threshold lies within `RADIUS` of each other in the hash: no near-duplicate is missed by it.

Shape legend: N images, P pixels of a thumbnail, K coefficients of a hash.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import KDTree

THUMBNAIL_SIDE = 32
NEAR_CORRELATION = 0.98
COEFFICIENTS = 16
SCALE = 127
FLAT = 2.0
"""Standard deviation in grey levels below which a thumbnail is too flat to compare."""

RADIUS = math.sqrt(2 * (1 - NEAR_CORRELATION)) + 2 * math.sqrt(COEFFICIENTS) / (2 * SCALE)
"""Distance of two near-duplicates' hashes at most, the rounding to bytes included."""

NEIGHBOURS = 32
"""Most candidates per image, nearest first: frames of a video are all alike, and a few links join them."""


def unit_vectors(thumbnails: Sequence[bytes]) -> NDArray[np.float32]:
    """Turn thumbnails into vectors whose dot product is the normalised correlation.

    Returns:
        float32 NP of length 1, zeros for thumbnails that are flat.
    """
    pixels_NP = np.frombuffer(b"".join(thumbnails), dtype=np.uint8).reshape(len(thumbnails), -1).astype(np.float32)
    pixels_NP -= pixels_NP.mean(axis=1, keepdims=True)
    length_N1 = np.linalg.norm(pixels_NP, axis=1, keepdims=True)
    flat_N1 = length_N1 < FLAT * THUMBNAIL_SIDE
    return np.where(flat_N1, 0, pixels_NP / np.where(flat_N1, 1, length_N1)).astype(np.float32)


def hash_thumbnails(thumbnails: Sequence[bytes]) -> list[bytes]:
    """Compute the perceptual hashes of thumbnails; empty bytes for flat ones, which are never compared."""
    from scipy.fft import dctn

    if not thumbnails:
        return []
    unit_NP = unit_vectors(thumbnails)
    square = unit_NP.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    frequencies: NDArray[np.float32] = dctn(square, axes=(1, 2), norm="ortho")
    rows, columns = zip(*_low_frequencies(), strict=True)
    hashes_NK = np.rint(frequencies[:, rows, columns] * SCALE).astype(np.int8)
    shows_something: list[bool] = np.any(unit_NP, axis=1).tolist()
    return [row.tobytes() if shows else b"" for row, shows in zip(hashes_NK, shows_something, strict=True)]


def _low_frequencies() -> list[tuple[int, int]]:
    places = [(i, j) for i in range(8) for j in range(8) if i + j > 0]
    return sorted(places, key=lambda place: (place[0] + place[1], place))[:COEFFICIENTS]


def hash_vectors(hashes: Sequence[bytes]) -> NDArray[np.float32]:
    """Turn hashes (none of them empty) into points.

    Returns:
        float32 NK.
    """
    return np.frombuffer(b"".join(hashes), dtype=np.int8).reshape(-1, COEFFICIENTS).astype(np.float32) / np.float32(
        SCALE
    )


def search_tree(points_MK: NDArray[np.float32]) -> "KDTree":
    """Arrange the points that others are compared with; a second for a million of them.

    Not balanced, which takes half the time and changes no answer.
    """
    from scipy.spatial import KDTree

    return KDTree(points_MK, leafsize=32, balanced_tree=False)


def near_candidates(new_NK: NDArray[np.float32], tree: "KDTree") -> list[tuple[int, int]]:
    """Find pairs that may be near-duplicates: every pair that is one, up to `NEIGHBOURS` an image, and some others.

    Args:
        new_NK: points that are looked up.
        tree: all M points, from `search_tree`.

    Returns:
        Pairs of row numbers (in `new_NK`, in the points of the tree), a point that is in both included.
    """
    if not len(new_NK) or not tree.n:
        return []
    # The point itself is among them; what is further than the bound has the number M. The little more is for rounding.
    _, found_NJ = tree.query(new_NK, k=range(1, NEIGHBOURS + 2), distance_upper_bound=RADIUS + 1e-5, workers=-1)
    rows, places = np.nonzero(found_NJ < tree.n)
    return list(zip(rows.tolist(), found_NJ[rows, places].tolist(), strict=True))
