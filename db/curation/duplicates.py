"""Finds near-duplicates: compares every new image with every registered one.

Images are compared in chunks. Each chunk is stored and marked as compared in one short transaction, so an interrupted
search resumes where it stopped and finds nothing twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from db.errors import ImageUnreadable
from db.imaging.decode import read_facts
from db.imaging.fingerprints import (
    NEAR_CORRELATION,
    hash_thumbnails,
    hash_vectors,
    near_candidates,
    search_tree,
    unit_vectors,
)
from db.progress import Progress, SilentProgress
from db.records import ImageRecord
from db.registry import Registry

CHUNK = 4096


def find_near_duplicates(registry: Registry, *, progress: Progress | None = None) -> list[tuple[int, int, float]]:
    """Compare images not yet compared with all others, and store the near-duplicates found.

    Returns:
        Near-duplicates of the newly compared images, as (smaller id, larger id, correlation).
    """
    with registry.read() as tx:
        new = tx.duplicates.not_compared()
        hashes = tx.duplicates.hashes() if new else []
    if not new:
        return []
    found: list[tuple[int, int, float]] = []
    with (progress or SilentProgress()).task("looking for duplicates", len(new)) as task:
        for chunk, near in _search(registry, hashes, new, {}):
            with registry.begin() as tx:
                tx.duplicates.add(near, compared=chunk)
            found += near
            task.advance(len(chunk))
    return sorted(set(found))


def count_near_duplicates(registry: Registry, thumbnails: Sequence[bytes]) -> int:
    """Count the near-duplicates that `find_near_duplicates` would find once images are registered.

    Args:
        registry: where they would be registered.
        thumbnails: 32 x 32 grey values of each of them.
    """
    with registry.read() as tx:
        hashes, waiting = tx.duplicates.hashes(), tx.duplicates.not_compared()
    first = max((image_id for image_id, _ in hashes), default=0) + 1
    own = dict(enumerate(thumbnails, start=first))
    digests = dict(zip(own, hash_thumbnails(thumbnails), strict=True))
    new = [*waiting, *(image_id for image_id, digest in digests.items() if digest)]
    hashes += [(image_id, digest) for image_id, digest in digests.items() if digest]
    return len({pair for _, near in _search(registry, hashes, new, own) for pair in near})


def _search(
    registry: Registry, hashes: Sequence[tuple[int, bytes]], new: Sequence[int], own: Mapping[int, bytes]
) -> Iterator[tuple[Sequence[int], list[tuple[int, int, float]]]]:
    """Compare new images with all, a chunk at a time.

    Args:
        registry: where the thumbnails of registered images are.
        hashes: of all images, the new ones too.
        new: the images to compare with all others.
        own: thumbnails of images that are not registered.

    Yields:
        The images compared, and their near-duplicates.
    """
    ids = np.array([image_id for image_id, _ in hashes], dtype=np.int64)
    points_MK = hash_vectors([digest for _, digest in hashes])
    tree = search_tree(points_MK)
    rows = {image_id: row for row, (image_id, _) in enumerate(hashes)}
    for start in range(0, len(new), CHUNK):
        chunk = new[start : start + CHUNK]
        candidates = near_candidates(points_MK[[rows[image_id] for image_id in chunk]], tree)
        pairs = sorted({_ordered(chunk[row], int(ids[other])) for row, other in candidates})
        yield chunk, _verified(registry, [pair for pair in pairs if pair[0] != pair[1]], own)


def _ordered(first: int, second: int) -> tuple[int, int]:
    return (first, second) if first < second else (second, first)


def _verified(
    registry: Registry, pairs: Sequence[tuple[int, int]], own: Mapping[int, bytes]
) -> list[tuple[int, int, float]]:
    wanted = sorted({image_id for pair in pairs for image_id in pair})
    with registry.read() as tx:
        thumbnails = tx.duplicates.thumbnails([image_id for image_id in wanted if image_id not in own])
    thumbnails |= {image_id: own[image_id] for image_id in wanted if image_id in own}
    order = {image_id: row for row, image_id in enumerate(thumbnails)}
    if not order:
        return []
    unit_NP = unit_vectors(list(thumbnails.values()))
    near: list[tuple[int, int, float]] = []
    for start in range(0, len(pairs), CHUNK):
        chunk = pairs[start : start + CHUNK]
        first, second = ([order[pair[side]] for pair in chunk] for side in (0, 1))
        correlations = np.einsum("np,np->n", unit_NP[first], unit_NP[second])
        near += [
            (*pair, min(1.0, float(value)))
            for pair, value in zip(chunk, correlations, strict=True)
            if value > NEAR_CORRELATION
        ]
    return near


def add_missing_fingerprints(registry: Registry, *, progress: Progress | None = None) -> int:
    """Add the fingerprints of images that an older version registered without one, and return how many were added."""
    with registry.read() as tx:
        images = tx.images.select(ids=tx.duplicates.without_fingerprint())
    done = 0
    with (progress or SilentProgress()).task("reading images", len(images)) as task, ThreadPoolExecutor() as pool:
        for start in range(0, len(images), 256):
            chunk = images[start : start + 256]
            read = zip(chunk, pool.map(_thumbnail, chunk), strict=True)
            thumbnails = [(image.id, thumbnail) for image, thumbnail in read if thumbnail is not None]
            with registry.begin() as tx:
                missing = set(tx.duplicates.without_fingerprint())
                tx.images.add_fingerprints([item for item in thumbnails if item[0] in missing])
            done += len(thumbnails)
            task.advance(len(chunk))
    return done


def _thumbnail(image: ImageRecord) -> bytes | None:
    try:
        facts = read_facts(image.path)[0]
    except ImageUnreadable:
        return None
    return facts.thumbnail if facts.content_hash == image.content_hash else None
