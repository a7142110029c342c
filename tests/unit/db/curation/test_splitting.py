from collections import Counter

import pytest

from db.curation.splitting import split_images
from db.errors import InvalidArgument
from db.records import LocationSource, NewLabel, Split
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


@pytest.mark.parametrize(("val", "test", "expected"), [(0.2, 0.3, (50, 20, 30)), (0.1, 0.2, (70, 10, 20))])
def test_what_is_in_test_already_counts_towards_both_shares(registry, val, test, expected):
    images = [new_image(f"{n}.png", split=Split.TEST if n < 20 else None) for n in range(100)]
    add_images(registry, *images)
    counts = split_images(registry, val=val, test=test)
    assert (counts["train"], counts["val"], counts["test"]) == expected


def test_shares_that_leave_nothing_to_train_on_are_refused(registry):
    fill(registry, 10)
    with pytest.raises(InvalidArgument, match="add up to less than 1"):
        split_images(registry, val=0.5, test=0.5)


def test_a_split_says_what_it_got_instead_of_what_it_was_to_be_and_why(registry):
    from db.curation.splitting import explain_sizes

    add_images(registry, *(new_image(f"{n}.png", group="one") for n in range(12)))
    counts = split_images(registry, val=0.25, test=0.25)
    assert counts == {"train": 12, "val": 0, "test": 0}
    notes = explain_sizes(registry, counts, val=0.25, test=0.25)
    assert [note.partition(":")[0] for note in notes] == ["val", "test"]
    assert "0 of 12 images instead of about 3" in notes[0]
    assert "the largest has 12 images" in notes[0]


def test_a_split_as_asked_for_says_nothing(registry):
    from db.curation.splitting import explain_sizes

    add_images(registry, *(new_image(f"{n}.png") for n in range(40)))
    assert explain_sizes(registry, split_images(registry, val=0.25, test=0.25), val=0.25, test=0.25) == []
