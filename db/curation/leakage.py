"""Finds images that would leak test or validation data into training: same patient, content or picture."""

from collections.abc import Iterable, Mapping, Sequence

from db.curation.groups import ImageGroups, group_images
from db.imaging.fingerprints import NEAR_CORRELATION, unit_vectors
from db.records import NewImage, Split
from db.registry import Transaction

CHUNK = 1024


def relatives(tx: Transaction, ids: Iterable[int]) -> set[int]:
    """Return these images and all that belong to one of their groups: same patient, same content, same picture."""
    wanted = set(ids)
    return _groups(tx).members_of(wanted) if wanted else set()


def _groups(tx: Transaction) -> ImageGroups:
    return group_images(tx.images.group_facts(), [(first, second) for first, second, _ in tx.duplicates.pairs()])


def group_names(tx: Transaction) -> Mapping[int, str]:
    """Name the group of every image: images of one patient, video or picture have the same name."""
    return _groups(tx).names()


def leaking_images(tx: Transaction) -> tuple[set[int], set[int]]:
    """Find images outside test and validation that share a group with an image in one of them.

    Returns:
        Images outside test that are related to a test image; images without a split that are related to a
        validation image.
    """
    groups = _groups(tx)
    test, val = (set(tx.images.ids(splits=[split])) for split in (Split.TEST, Split.VAL))
    of_test, of_val = groups.members_of(test) - test, groups.members_of(val) - val
    return of_test, of_val.intersection(tx.images.ids(splits=[None])) if of_val else of_val


def already_seen(tx: Transaction, images: Sequence[NewImage], seen: Iterable[int]) -> list[int]:
    """Find unregistered images that are copies or near-duplicates of registered ones.

    Args:
        tx: an open transaction.
        images: images that are not registered.
        seen: ids of registered images, such as those a run was trained on.

    Returns:
        Positions among `images`, ascending.
    """
    ids = sorted(seen)
    contents = {image.content_hash for image in tx.images.select(ids=ids)} if ids else set()
    found = {position for position, image in enumerate(images) if image.content_hash in contents}
    thumbnails = list(tx.duplicates.thumbnails(ids).values())
    asked = [position for position, image in enumerate(images) if image.thumbnail is not None]
    if thumbnails and asked:
        known_MP = unit_vectors(thumbnails)
        for start in range(0, len(asked), CHUNK):
            chunk = asked[start : start + CHUNK]
            new_NP = unit_vectors([images[position].thumbnail or b"" for position in chunk])
            alike_N = (new_NP @ known_MP.T).max(axis=1) > NEAR_CORRELATION
            found |= {position for position, alike in zip(chunk, alike_N.tolist(), strict=True) if alike}
    return sorted(found)
