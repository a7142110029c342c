"""Divides images into train, validation and test: by group, stratified by class and supervision, seeded.

Images of one group (a patient, a video), byte-identical images and near-duplicates stay together. A test image
never moves again.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from db.curation.groups import group_images
from db.errors import InvalidArgument
from db.plain_text import counted
from db.records import ImageRecord, OperationKind, Split
from db.registry import Registry, Transaction


def split_images(
    registry: Registry,
    *,
    val: float = 0.15,
    test: float = 0.0,
    seed: int = 0,
    author: str = "unknown",
    dry_run: bool = False,
) -> dict[str, int]:
    """Assign every image outside test to train, val or test, and return the sizes of the splits.

    Args:
        registry: the registry.
        val: share of all images for validation, 0 to 1.
        test: share of all images for test, 0 to 1; images already in test count towards it.
        seed: the same seed and images give the same splits.
        author: the person who splits, for the history.
        dry_run: return the sizes without storing anything.

    Raises:
        InvalidArgument: a share is out of range.
    """
    with registry.begin(rehearsal=dry_run) as tx:
        return assign_splits(tx, val=val, test=test, seed=seed, author=author)


def assign_splits(
    tx: Transaction, *, val: float = 0.15, test: float = 0.0, seed: int = 0, author: str = "unknown"
) -> dict[str, int]:
    """Assign every image outside test to train, val or test in a writing transaction; see `split_images`."""
    if not (0 <= val < 1 and 0 <= test < 1 and val + test < 1):
        raise InvalidArgument(f"val and test must be between 0 and 1 and add up to less than 1, got {val} and {test}")
    images = tx.images.select()
    near = [(first, second) for first, second, _ in tx.duplicates.pairs()]
    splits = plan_splits(images, near, val=val, test=test, seed=seed)
    detail = f"split of {val:g} val, {test:g} test, seed {seed}"
    if any(image.split is not splits[image.id] for image in images):
        operation = tx.operations.begin(OperationKind.SPLIT, detail, author=author)
        tx.images.set_splits(splits, origin=detail, operation_id=operation)
    counts = Counter(splits.values())
    return {str(split): counts[split] for split in Split}


def explain_sizes(registry: Registry, counts: Mapping[str, int], *, val: float, test: float) -> list[str]:
    """Say where a split is not of the size that was asked for, and why.

    Args:
        registry: which was split, or would be.
        counts: the sizes of the splits.
        val: share that was asked for.
        test: share that was asked for.

    Returns:
        One sentence for each split whose size differs by more than a tenth and more than one image.
    """
    with registry.read() as tx:
        near = [(first, second) for first, second, _ in tx.duplicates.pairs()]
        groups = list(group_images(tx.images.group_facts(), near).distinct())
    total, largest = sum(counts.values()), max(map(len, groups), default=0)
    found = []
    for split, share in ((Split.VAL, val), (Split.TEST, test)):
        wanted, got = share * total, counts.get(str(split), 0)
        if abs(got - wanted) > max(1.0, 0.1 * wanted):
            found.append(
                f"{split}: {got} of {total} images instead of about {wanted:.0f}; "
                f"{counted(len(groups), 'group')} (patients, "
                f"videos, look-alikes) stay whole, and the largest has {counted(largest, 'image')}"
            )
    return found


def plan_splits(
    images: Sequence[ImageRecord],
    near: Iterable[tuple[int, int]] = (),
    *,
    val: float,
    test: float,
    seed: int,
) -> dict[int, Split]:
    """Choose a split for every image; pure. Groups that hold a test image go to test as a whole.

    Args:
        images: all of them.
        near: pairs of near-duplicates, by image id.
        val: share for validation.
        test: share for test.
        seed: the same seed and images give the same splits.
    """
    by_id = {image.id: image for image in images}
    groups = group_images([(image.id, image.group, image.content_hash) for image in images], near)
    splits: dict[int, Split] = {}
    strata: dict[tuple[str, str], list[list[ImageRecord]]] = defaultdict(list)
    # In order of content, so that the choice does not depend on the order of registration.
    for ids in sorted(groups.distinct(), key=lambda ids: _name(by_id, ids)):
        members = [by_id[image_id] for image_id in ids]
        if any(image.split is Split.TEST for image in members):
            splits.update((image.id, Split.TEST) for image in members)
            continue
        strata[_stratum(members)].append(members)
    frozen = Counter(image.class_name for image in images if splits.get(image.id) is Split.TEST)
    for (class_name, supervision), stratum in sorted(strata.items()):
        rng = random.Random(f"{seed}/{class_name}/{supervision}")
        rng.shuffle(stratum)
        size = sum(map(len, stratum))
        of_class = sum(1 for image in images if (image.class_name or "") == class_name)
        # What is in test already counts towards its share, in proportion to this stratum's part of the class.
        open_in_class = of_class - frozen[class_name or None]
        already = frozen[class_name or None] * size / open_in_class if open_in_class else 0.0
        wanted = {Split.TEST: max(0.0, test * (size + already) - already), Split.VAL: val * (size + already)}
        for members in stratum:
            for split in (Split.TEST, Split.VAL):
                if wanted[split] >= len(members) / 2 and wanted[split] > 0:
                    wanted[split] -= len(members)
                    break
            else:
                split = Split.TRAIN
            splits.update((image.id, split) for image in members)
    return splits


def _name(by_id: Mapping[int, ImageRecord], ids: Sequence[int]) -> str:
    return min(by_id[image_id].group or by_id[image_id].content_hash for image_id in ids)


def _stratum(members: Sequence[ImageRecord]) -> tuple[str, str]:
    # A group counts as its first member's class, and as located if any of its images is.
    located = sum(image.label is not None and bool(image.boxes) for image in members)
    empty = sum(image.supervision == "fully" and not image.boxes for image in members)
    return members[0].class_name or "", "present" if located else "empty" if empty else "unknown"
