"""Which images must not be learned from, since they show what a held-back image shows."""

from collections.abc import Iterable

from db.groups import group_images
from db.records import Split
from db.registry import Transaction


def relatives(tx: Transaction, ids: Iterable[int]) -> set[int]:
    """Return these images and all that belong to one of their groups: same patient, same content, same picture."""
    wanted = set(ids)
    if not wanted:
        return set()
    pairs = [(first, second) for first, second, _ in tx.duplicates.pairs()]
    groups = group_images(tx.images.group_facts(), pairs)
    return {member for image_id in wanted & set(groups) for member in groups[image_id]}


def leaking_images(tx: Transaction) -> tuple[set[int], set[int]]:
    """Find images outside test and validation that belong to a group of an image in there.

    Returns:
        Images outside test that are related to a test image; images without a split that are related to a
        validation image.
    """
    splits = tx.images.splits()
    of_test = relatives(tx, (key for key, split in splits.items() if split is Split.TEST))
    of_val = relatives(tx, (key for key, split in splits.items() if split is Split.VAL))
    return (
        {key for key in of_test if splits[key] is not Split.TEST},
        {key for key in of_val if splits[key] is None},
    )
