import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import InvalidArgument
from db.records.asked import Part, Question
from learner.query.batch import Offer, Shares, make_batch, quotas

CONFIRM, DRAW, AUDIT = Part
PLENTY = dict.fromkeys(Part, 1000)


def offer(part, *images):
    return Offer(part, [Question(image, part, None, "why") for image in images])


def batch(offers, groups, budget, shares=None):
    return [(item.part, item.image) for item in make_batch(offers, groups, budget, shares or Shares())]


def test_a_budget_is_divided_by_the_shares():
    assert quotas(50, Shares(), PLENTY) == {CONFIRM: 30, DRAW: 15, AUDIT: 5}
    # 4.2, 2.1 and 0.7: what is left over goes to the largest rest.
    assert quotas(7, Shares(), PLENTY) == {CONFIRM: 4, DRAW: 2, AUDIT: 1}
    assert quotas(1, Shares(0.2, 0.2, 0.2), PLENTY) == {CONFIRM: 1, DRAW: 0, AUDIT: 0}


def test_shares_need_not_add_up_to_one():
    assert quotas(10, Shares(1, 1, 0), PLENTY) == {CONFIRM: 5, DRAW: 5, AUDIT: 0}


def test_what_a_part_has_no_images_for_is_drawn():
    assert quotas(50, Shares(), {CONFIRM: 0, DRAW: 1000, AUDIT: 2}) == {CONFIRM: 0, DRAW: 48, AUDIT: 2}
    assert quotas(50, Shares(), {CONFIRM: 1000, DRAW: 3, AUDIT: 0}) == {CONFIRM: 47, DRAW: 3, AUDIT: 0}


def test_a_part_with_no_share_gets_nothing_even_where_others_lack_images():
    assert quotas(10, Shares(1, 0, 0), {CONFIRM: 4, DRAW: 100, AUDIT: 100}) == {CONFIRM: 4, DRAW: 0, AUDIT: 0}


def test_no_two_images_of_a_group():
    groups = {1: "a", 2: "a", 3: "b", 4: "c", 5: "c"}
    found = batch([offer(CONFIRM, 1, 2, 3), offer(DRAW, 4, 5)], groups, 4, Shares(0.5, 0.5, 0))
    assert found == [(CONFIRM, 1), (CONFIRM, 3), (DRAW, 4)]


def test_the_audit_is_chosen_before_all_others():
    groups = {1: "a", 2: "b"}
    found = batch([offer(CONFIRM, 1, 2), offer(AUDIT, 1)], groups, 2, Shares(0.5, 0, 0.5))
    assert found == [(CONFIRM, 2), (AUDIT, 1)]


def test_what_another_part_has_taken_is_made_up_for():
    groups = {image: str(image) for image in range(10)}
    # Half of the images to draw are to be confirmed already.
    found = batch([offer(CONFIRM, 1, 2), offer(DRAW, 1, 2, 3, 4, 5, 6)], groups, 4, Shares(0.5, 0.5, 0))
    assert found == [(CONFIRM, 1), (CONFIRM, 2), (DRAW, 3), (DRAW, 4)]


@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=30),
    budget=st.integers(1, 40),
    shares=st.tuples(*[st.sampled_from([0.0, 0.1, 0.3, 0.6])] * 3).filter(any),
    data=st.data(),
)
def test_a_batch_is_as_large_as_can_be_and_of_different_groups(groups, budget, shares, data):
    images = list(range(len(groups)))
    named = {image: str(group) for image, group in zip(images, groups, strict=True)}
    offers = [offer(part, *data.draw(st.permutations(images))) for part in Part]
    found = make_batch(offers, named, budget, Shares(*shares))
    assert len({named[item.image] for item in found}) == len(found) == min(budget, len(set(groups)))
    wanted = dict(zip(Part, shares, strict=True))
    assert all(wanted[item.part] for item in found)


@pytest.mark.parametrize("shares", [(1.5, 0, 0), (0, -0.1, 0), (0, 0, float("nan"))])
def test_shares_out_of_range_are_refused(shares):
    with pytest.raises(InvalidArgument, match="-share must be between 0 and 1"):
        Shares(*shares)


def test_shares_of_nothing_are_refused():
    with pytest.raises(InvalidArgument, match="must be above 0"):
        Shares(0, 0, 0)


def test_shares_are_read_as_they_are_typed():
    assert Shares.parse("0/1/0") == Shares(0, 1, 0)
    assert Shares.parse(" .5/.25/.25 ") == Shares(0.5, 0.25, 0.25)
    assert Shares.parse(None) == Shares()
    for text in ("", "1", "1/0", "a/b/c", "1/0/0/0"):
        with pytest.raises(InvalidArgument, match=r"such as 0\.6/0\.3/0\.1; got"):
            Shares.parse(text)
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        Shares.parse("2/0/0")
