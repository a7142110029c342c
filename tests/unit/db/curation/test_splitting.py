from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.curation.splitting import plan_splits, split_images
from db.errors import InvalidArgument
from db.imaging.files import ImageFile
from db.records import Box, ImageRecord, LocationLabel, LocationSource, LocationStatus, NewLabel, Split
from tests.builders import add_images, new_image, present


def fill(registry, count=100):
    images = [new_image(f"{n}.png", class_name="benign" if n % 4 else "malignant") for n in range(count)]
    ids = add_images(registry, *images)
    with registry.begin() as tx:
        for image_id in ids[::3]:
            tx.labels.append(NewLabel(image_id, present(), source=LocationSource.IMPORTED))
    return ids


def splits_of(registry):
    with registry.read() as tx:
        return {image.id: image.split for image in tx.images.select()}


def test_shares_hold_within_each_class(registry):
    fill(registry)
    assert split_images(registry, val=0.2, test=0.2) == {"train": 60, "val": 20, "test": 20}
    with registry.read() as tx:
        counts = Counter((image.class_name, image.split) for image in tx.images.select())
    assert counts["malignant", Split.VAL] == 5
    assert counts["malignant", Split.TEST] == 5


def test_the_same_seed_gives_the_same_splits_and_another_does_not(registry):
    fill(registry)
    split_images(registry, seed=1)
    first = splits_of(registry)
    split_images(registry, seed=1)
    assert splits_of(registry) == first
    split_images(registry, seed=2)
    assert splits_of(registry) != first


def test_a_group_is_never_divided(registry):
    add_images(registry, *(new_image(f"{n}.png", group=f"patient {n % 10}") for n in range(100)))
    split_images(registry, val=0.3, test=0.2)
    with registry.read() as tx:
        seen = {(image.group, image.split) for image in tx.images.select()}
    assert len(seen) == 10


def test_identical_files_stay_together(registry):
    add_images(registry, *(new_image(f"{n}.png", content_hash=f"sha256:{n // 2:064d}") for n in range(60)))
    split_images(registry, val=0.3, test=0.2)
    with registry.read() as tx:
        seen = {(image.content_hash, image.split) for image in tx.images.select()}
    assert len(seen) == 30


def test_a_test_image_never_moves_again(registry):
    fill(registry)
    split_images(registry, test=0.2, seed=1)
    frozen = {key for key, split in splits_of(registry).items() if split is Split.TEST}
    split_images(registry, test=0.0, seed=9)
    split_images(registry, test=0.2, seed=5)
    now = {key for key, split in splits_of(registry).items() if split is Split.TEST}
    assert frozen == now


def test_a_dry_run_changes_nothing(registry):
    fill(registry)
    assert split_images(registry, val=0.2, dry_run=True)["val"] == 20
    assert set(splits_of(registry).values()) == {None}


@pytest.mark.parametrize("shares", [{"val": -0.1}, {"val": 0.6, "test": 0.4}, {"test": 1.0}])
def test_shares_that_leave_nothing_are_refused(registry, shares):
    with pytest.raises(InvalidArgument):
        split_images(registry, **shares)


# --- the sizes of the splits, worked out by hand


def record(number, class_name="a", *, located=False, split=None):
    label = LocationLabel(
        id=number,
        image_id=number,
        revision=1,
        status=LocationStatus.PRESENT,
        boxes=(Box(1, 1, 5, 5),),
        has_mask=False,
        source=LocationSource.IMPORTED,
        reviewer=None,
        run_id=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    path = ImageFile.at(Path(f"/images/{number}.png"))
    return ImageRecord(
        number, path, f"sha256:{number:064d}", 64, 64, class_name, None, split, label if located else None
    )


def sizes(images, splits):
    """Count images by class, whether they are located, and split."""
    return Counter((image.class_name, image.label is not None, splits[image.id].value) for image in images)


def test_shares_count_from_the_whole_class_with_what_is_in_test_already():
    # 40 images, 10 of them in test. Half of 40 in test is 10 more, a quarter of 40 for validation is 10.
    images = [record(n, split=Split.TEST if n < 10 else None) for n in range(40)]
    splits = plan_splits(images, val=0.25, test=0.5, seed=0)
    assert sizes(images, splits) == {("a", False, "test"): 20, ("a", False, "val"): 10, ("a", False, "train"): 10}


def test_what_is_in_test_already_is_shared_out_between_the_strata_of_its_class_alone():
    # Class a: 60 images, 12 in test; 32 located and 16 unlocated ones are open, so 8 of the 12 count for the first
    # stratum (40 images) and 4 for the second (20). Class b (40 images) has none in test and is not touched by them.
    frozen = [record(n, split=Split.TEST) for n in range(12)]
    located = [record(100 + n, located=True) for n in range(32)]
    unlocated = [record(200 + n) for n in range(16)]
    other = [record(300 + n, "b") for n in range(40)]
    splits = plan_splits([*frozen, *located, *unlocated, *other], val=0.25, test=0.5, seed=0)
    assert {splits[image.id] for image in frozen} == {Split.TEST}
    assert sizes(located, splits) == {("a", True, "test"): 12, ("a", True, "val"): 10, ("a", True, "train"): 10}
    assert sizes(unlocated, splits) == {("a", False, "test"): 6, ("a", False, "val"): 5, ("a", False, "train"): 5}
    assert sizes(other, splits) == {("b", False, "test"): 20, ("b", False, "val"): 10, ("b", False, "train"): 10}


def test_images_without_a_class_are_a_class_of_their_own():
    images = [record(n, None, split=Split.TEST if n < 10 else None) for n in range(40)]
    images += [record(100 + n, "b") for n in range(20)]
    splits = plan_splits(images, val=0.25, test=0.5, seed=0)
    assert Counter(splits[image.id].value for image in images[:40]) == {"test": 20, "val": 10, "train": 10}
    assert Counter(splits[image.id].value for image in images[40:]) == {"test": 10, "val": 5, "train": 5}


def test_more_in_test_than_its_share_takes_nothing_from_the_other_splits():
    images = [record(n, split=Split.TEST if n < 20 else None) for n in range(40)]
    splits = plan_splits(images, val=0.25, test=0.1, seed=0)
    assert Counter(split.value for split in splits.values()) == {"test": 20, "val": 10, "train": 10}
