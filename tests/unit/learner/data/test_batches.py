import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.data.batches import Shares, plain_batches, stream_batches, two_stream_batches


def generator():
    return torch.Generator().manual_seed(0)


def test_every_batch_has_its_share_of_located_images():
    known = torch.arange(100) < 4
    batches = two_stream_batches(known, 16, 0.5, generator())
    assert all(int(known[batch].sum()) == 8 for batch in batches)
    shown = torch.cat(batches)
    assert set(shown[~known[shown]].tolist()) == set(range(4, 100))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 20), st.floats(0, 1))
def test_an_epoch_shows_every_image(known, batch_size, share):
    batches = two_stream_batches(torch.tensor(known), batch_size, share, generator())
    assert set(torch.cat(batches).tolist()) == set(range(len(known)))


@given(st.integers(2, 50), st.integers(2, 16))
def test_plain_batches_are_a_permutation_without_a_lone_image(count, size):
    batches = plain_batches(torch.arange(count), size, generator())
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    assert all(len(batch) > 1 for batch in batches)


def test_an_image_that_is_alone_is_shown_twice():
    assert [batch.tolist() for batch in plain_batches(torch.tensor([7]), 4, generator())] == [[7, 7]]


# --- three streams

USUAL = Shares(located=0.5, empty=0.25)


def kinds(present, empty, unknown):
    known = torch.arange(present + empty + unknown) < present + empty
    is_empty = known & (torch.arange(len(known)) >= present)
    return known, is_empty


def test_located_batches_are_not_half_empty_images():
    known, empty = kinds(50, 500, 1450)
    epoch = stream_batches(known, empty, 16, USUAL, generator())
    for batch in epoch.batches:
        assert (known & ~empty)[batch].sum() == 6
        assert empty[batch].sum() == 2
        assert (~known)[batch].sum() == 8
    # Drawn at random of all located images, boxes would be 4.7% of a batch instead of 37.5%.


def test_few_empty_images_come_as_they_are():
    known, empty = kinds(90, 10, 0)
    epoch = stream_batches(known, empty, 20, USUAL, generator())
    assert torch.bincount(torch.cat(epoch.batches)).tolist() == [1] * 100
    assert (epoch.draws_N == 1).all()


def test_a_tenth_of_the_boxes_is_trained_as_long_as_all_of_them():
    lengths = []
    for located in (1000, 100):
        known, empty = kinds(located, 0, 1000 - located)
        epoch = stream_batches(known, empty, 16, USUAL, generator(), located_only=True)
        assert known[torch.cat(epoch.batches)].all()
        lengths.append(len(epoch.batches))
    assert lengths == [63, 63]


@pytest.mark.parametrize("located", [1, 3, 8, 16, 200])
def test_few_boxes_are_not_trained_longer_than_many(located):
    known, empty = kinds(located, 0, 1000 - located)
    assert len(stream_batches(known, empty, 16, USUAL, generator(), located_only=True).batches) == 63


def test_a_stage_has_a_floor():
    known, empty = kinds(20, 0, 0)
    assert len(stream_batches(known, empty, 16, USUAL, generator(), min_batches=24).batches) == 24


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 200), st.integers(2, 20))
def test_draws_are_how_often_images_come(present, empty, unknown, batch_size):
    known, is_empty = kinds(present, empty, unknown)
    epoch = stream_batches(known, is_empty, batch_size, USUAL, generator())
    counted = torch.bincount(torch.cat(epoch.batches), minlength=len(known)).float()
    assert len({len(batch) for batch in epoch.batches}) == 1
    assert epoch.draws_N.sum().item() == pytest.approx(counted.sum().item(), rel=1e-4)
    assert (counted - epoch.draws_N).abs().max() <= 1
    shown = counted > 0
    assert shown[~known].all() and shown[known & ~is_empty].all()
