"""Proposals in columns: nothing is lost in them, and they are ordered as the objects are."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.imaging.files import ImageFile
from db.records import Box, ImageRecord, NewProposal
from learner.inference.propose import ProposedItems, to_proposal
from learner.inference.scored import PackedProposals, Scored, most_confident

SHARE = st.floats(0, 1)
BOX = st.builds(Box, *[st.floats(0, 4000)] * 2, *[st.floats(0.5, 4000)] * 2)


@st.composite
def proposals(draw):
    boxes = tuple(draw(st.lists(BOX, max_size=3)))
    scored = draw(st.booleans())
    return NewProposal(
        image_id=draw(st.integers(1, 2**40)),
        class_name=draw(st.sampled_from(["benign", "malignant", "ö"])),
        class_probability=draw(SHARE),
        # Few values, so that scores are equal at times.
        score=draw(st.sampled_from([0.25, 0.5, 1.0])),
        boxes=boxes,
        box_scores=tuple(draw(SHARE) for _ in boxes) if scored else (),
        presence=draw(st.none() | SHARE),
        known_class_probability=draw(st.none() | SHARE),
    )


def pack(items):
    packed = PackedProposals()
    for n, item in enumerate(items):
        packed.add(item, f"/images/{n} \udce4.png")
    return packed


@given(st.lists(proposals(), max_size=8))
def test_what_is_packed_comes_out_as_it_was(items):
    packed = pack(items)
    assert list(packed) == items
    assert packed[1:3] == items[1:3]
    assert [packed.path(n) for n in range(len(packed))] == [f"/images/{n} \udce4.png" for n in range(len(items))]
    sent = copy.deepcopy(packed)
    assert list(sent) == items
    sent.extend(packed)
    assert list(sent) == [*items, *items]
    if items:
        assert packed[-1] == items[-1]
    with pytest.raises(IndexError):
        packed[len(items)]


@given(st.lists(proposals(), max_size=8, unique_by=lambda item: item.image_id), st.integers(1, 8))
def test_the_most_confident_are_those_of_the_objects(items, limit):
    scored = []
    for item in items:
        image = ImageRecord(item.image_id, ImageFile("/a.png"), "sha256:0", 1, 1, None, None, None)
        scored.append(
            Scored(image, item.boxes, item.class_name, item.class_probability, item.score, item.box_scores,
                   item.presence, item.known_class_probability)
        )  # fmt: skip
    expected = [to_proposal(item) for item in most_confident(scored)]
    assert list(pack(items).most_confident()) == expected
    assert list(pack(items).most_confident(limit)) == expected[:limit]


def test_listed_items_are_a_sequence_of_their_own():
    first = NewProposal(7, "benign", 0.9, 0.8, (Box(1.0, 2.0, 3.0, 4.0),), (0.7,), 0.95, 0.9)
    nothing = NewProposal(8, "normal", 0.6, 0.9, ())
    items = ProposedItems(pack([first, nothing]))
    assert [item.image for item in items] == [7, 8]
    assert (items[0].boxes, items[-1].presence, len(items[:1])) == (first.boxes, None, 1)
    assert items == tuple(items)
    assert items != tuple(items)[:1]
