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

import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIDE = 32
NEAR_CORRELATION = 0.98
COEFFICIENTS = 16
SCALE = 127
FLAT = 2.0
"""Standard deviation in grey levels below which a thumbnail is too flat to compare."""

RADIUS = math.sqrt(2 * (1 - NEAR_CORRELATION)) + 2 * math.sqrt(COEFFICIENTS) / (2 * SCALE)
"""Distance of two near-duplicates' hashes at most, the rounding to bytes included."""

MATRIX_VALUES = 8_000_000
"""Distances computed at once: 32 MB."""

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


def near_candidates(new_NK: NDArray[np.float32], all_MK: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Find pairs that may be near-duplicates: every pair that is one, up to `NEIGHBOURS` an image, and some others.

    All pairs are looked at, as one matrix product a piece: |a - b|^2 < R^2 is a.b - |a|^2/2 - |b|^2/2 > -R^2/2.

    Returns:
        Pairs of row numbers (in `new_NK`, in `all_MK`), a point that is in both included.
    """
    count, total = len(new_NK), len(all_MK)
    if not count or not total:
        return []
    ones = np.ones(max(count, total), dtype=np.float32)
    left = np.column_stack([new_NK, -0.5 * (new_NK**2).sum(axis=1), ones[:count]])
    right = np.vstack([all_MK.T, ones[:total], -0.5 * (all_MK**2).sum(axis=1)])
    pairs: list[tuple[int, int]] = []
    step = max(1, MATRIX_VALUES // total)
    for start in range(0, count, step):
        nearness = left[start : start + step] @ right
        rows, columns = np.divmod(np.flatnonzero(nearness > -0.5 * RADIUS**2 - 1e-5), total)
        crowded = np.flatnonzero(np.bincount(rows, minlength=len(nearness)) > NEIGHBOURS + 1)
        few = ~np.isin(rows, crowded)
        pairs += zip((rows[few] + start).tolist(), columns[few].tolist(), strict=True)
        for row in crowded:
            nearest = np.argpartition(nearness[row], -NEIGHBOURS - 1)[-NEIGHBOURS - 1 :]
            pairs += [(start + int(row), int(column)) for column in nearest]
    return pairs
