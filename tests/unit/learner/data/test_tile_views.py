"""Views for training in tiles: a part holds what it says, and says no more than its part of the image."""

import torch

from learner.data.dataset import NO_CLASS
from learner.data.presence import EMPTY, PRESENT, UNKNOWN
from learner.data.random_draws import Chance
from learner.data.tile_views import tile_views

SIDE, SIZE, COUNT = 40, 10, 400


def views(*, known, presence, lesion=None, class_index=1, seed=0, rows=None):
    """COUNT times one image, 40 px a side, each pixel with a value of its own place."""
    image_3LL = (torch.arange(SIDE)[:, None] * 3 + torch.arange(SIDE)[None, :]).to(torch.uint8).expand(3, -1, -1)
    target_1LL = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    if lesion:
        top, left, height, width = lesion
        target_1LL[:, top : top + height, left : left + width] = 255
    count = COUNT if rows is None else len(rows)
    return tile_views(
        image_3LL.expand(count, -1, -1, -1),
        target_1LL.expand(count, -1, -1, -1),
        known_B=torch.full((count,), known),
        class_B=torch.full((count,), class_index),
        presence_B=torch.full((count,), presence, dtype=torch.int8),
        size=SIZE,
        chance=Chance(torch.Generator().manual_seed(seed), COUNT, rows),
    )


def are_parts(found):
    """A part keeps the step between two pixels of a row, which is 1; of the whole it is 4."""
    images_B3SS = found.images_B3SS.int()
    return (images_B3SS[:, 0, 0, 1] - images_B3SS[:, 0, 0, 0]) == 1


def test_half_are_parts_and_most_of_these_hold_the_lesion():
    found = views(known=True, presence=PRESENT, lesion=(30, 2, 2, 3))
    part_B = are_parts(found)
    holds_B = found.targets_B1SS.flatten(1).amax(dim=1) > 0
    assert 0.4 < part_B.float().mean() < 0.6
    # A part anywhere holds it by chance now and then.
    assert 0.7 < holds_B[part_B].float().mean() < 0.9
    assert bool(holds_B[~part_B].all())


def test_a_part_says_what_is_in_it():
    found = views(known=True, presence=PRESENT, lesion=(30, 2, 2, 3))
    part_B = are_parts(found)
    holds_B = found.targets_B1SS.flatten(1).amax(dim=1) > 0
    assert set(found.presence_B[holds_B].tolist()) == {PRESENT}
    assert set(found.presence_B[~holds_B].tolist()) == {EMPTY}
    assert set(found.class_B[holds_B | ~part_B].tolist()) == {1}
    assert set(found.class_B[part_B & ~holds_B].tolist()) == {NO_CLASS}


def test_of_an_unknown_location_a_part_says_nothing():
    found = views(known=False, presence=PRESENT)
    part_B = are_parts(found)
    assert set(found.presence_B[part_B].tolist()) == {UNKNOWN}
    assert set(found.class_B[part_B].tolist()) == {NO_CLASS}
    assert set(found.presence_B[~part_B].tolist()) == {PRESENT}
    assert set(found.class_B[~part_B].tolist()) == {1}


def test_a_part_of_an_empty_image_is_empty():
    for known in (True, False):
        found = views(known=known, presence=EMPTY)
        assert set(found.presence_B.tolist()) == {EMPTY}


def test_image_and_target_are_cut_alike_and_from_everywhere():
    found = views(known=True, presence=PRESENT, lesion=(30, 2, 2, 3))
    part_B = are_parts(found)
    inside = torch.nonzero(found.targets_B1SS[part_B][:, 0] > 0)
    values = found.images_B3SS[part_B][:, 0].int()[tuple(inside.T)]
    # The lesion's pixels have the values of rows 30 and 31, columns 2 to 4.
    assert set(values.tolist()) == {92, 93, 94, 95, 96, 97}
    corners = found.images_B3SS[part_B][:, 0, 0, 0].int()
    of_empty = views(known=True, presence=EMPTY)
    corners = of_empty.images_B3SS[are_parts(of_empty)][:, 0, 0, 0].int()
    assert corners.min() <= 8
    assert corners.max() >= 30 * 3 + 30 - 8


def test_the_lesion_lies_anywhere_in_its_parts():
    found = views(known=True, presence=PRESENT, lesion=(20, 20, 1, 1))
    part_B = are_parts(found)
    places = torch.nonzero(found.targets_B1SS[part_B][:, 0] > 0)[:, 1:]
    assert set(places[:, 0].tolist()) == set(range(SIZE))
    assert set(places[:, 1].tolist()) == set(range(SIZE))


def test_a_share_of_a_batch_gets_what_it_would_get_among_all():
    whole = views(known=True, presence=PRESENT, lesion=(5, 9, 4, 4))
    rows = torch.tensor([3, 17, 255])
    some = views(known=True, presence=PRESENT, lesion=(5, 9, 4, 4), rows=rows)
    assert torch.equal(some.images_B3SS, whole.images_B3SS[rows])
    assert torch.equal(some.targets_B1SS, whole.targets_B1SS[rows])
