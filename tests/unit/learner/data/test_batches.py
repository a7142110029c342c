import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.data.batches import plain_batches, two_stream_batches


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
