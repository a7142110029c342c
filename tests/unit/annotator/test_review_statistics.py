from dataclasses import replace
from datetime import UTC, datetime

import pytest

from annotator.review_statistics import agreements, influences, reviewer_summaries, score_bins
from db.records import Box, LocationLabel, LocationSource, LocationStatus, ReviewOutcome, ReviewRecord
from tests.builders import proposal_record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def review(number, outcome="accepted", *, image=1, by="ann", seconds=30.0, iou=None, score=0.85):
    return ReviewRecord(number, image, ReviewOutcome(outcome), by, seconds, iou, score, 1, NOW)


def label(number, *boxes):
    status = LocationStatus.PRESENT if boxes else LocationStatus.EMPTY
    return LocationLabel(number, 1, 1, status, boxes, False, LocationSource.DRAWN, "x", None, NOW, review_id=number)


def test_bins_of_scores_by_hand():
    reviews = [
        review(1, "accepted", score=0.9, iou=1.0),
        review(2, "edited", score=0.95, iou=0.6),
        review(3, "rejected", score=1.0),
        review(4, "drawn", score=0.3, iou=0.0),
        review(5, "drawn", score=None),
    ]
    low, high = score_bins(reviews)
    assert (low.low, low.high, low.n, low.rejected, low.iou) == (0.3, 0.4, 1, 1, 0.0)
    assert (high.low, high.high, high.n, high.accepted, high.edited, high.rejected) == (0.9, 1.0, 3, 1, 1, 1)
    assert high.accept_rate == pytest.approx(1 / 3)
    assert high.iou == pytest.approx(1.6 / 3)
    assert score_bins([]) == []


@pytest.mark.parametrize("tenth", range(10))
def test_a_score_on_the_edge_belongs_to_the_bin_above(tenth):
    (found,) = score_bins([review(1, score=tenth / 10)])
    assert found.low == pytest.approx(tenth / 10)


def test_people_and_their_minutes():
    reviews = [review(1), review(2, "edited"), review(3, by="bob", seconds=None), review(4, "edited", seconds=90)]
    ann, bob = reviewer_summaries(reviews)
    assert (ann.reviewer, ann.reviews, ann.minutes) == ("ann", 3, 2.5)
    assert ann.outcomes == {"accepted": 1, "edited": 2}
    assert (bob.reviewer, bob.minutes) == ("bob", 0)


def test_what_a_proposal_does_to_people_by_hand():
    reviews = [
        review(1, "accepted", iou=1.0, seconds=10),
        review(2, "edited", image=2, iou=0.4, seconds=20),
        review(3, "rejected", image=3, iou=None, seconds=None),
        review(4, "drawn", image=4, score=None, seconds=60),
        review(5, "empty", image=5, score=None, seconds=40),
        review(6, "drawn", image=6, score=None),
    ]
    said = {4: label(4, Box(0, 0, 10, 10)), 5: label(5), 6: label(6, Box(0, 0, 1, 1))}
    held_back = {key: proposal_record(image_id=key, boxes=(Box(0, 0, 10, 5),)) for key in (4, 5)}
    proposed, control = influences(reviews, said, held_back)
    assert (proposed.group, proposed.reviews, proposed.agreed, proposed.seconds) == ("proposed", 3, 1, 15)
    assert proposed.iou == pytest.approx(1.4 / 3)
    # IoU .5 for the one who drew, 0 for the one who saw nothing; image 6 is no control.
    assert (control.group, control.reviews, control.iou, control.agreed, control.seconds) == ("control", 2, 0.25, 1, 50)
    assert influences(reviews[:3], said, held_back) == []


def test_agreement_of_the_last_words_by_hand():
    reviews = [
        review(1, "drawn", image=1, by="ann"),
        review(2, "drawn", image=1, by="ann"),
        review(3, "drawn", image=1, by="bob"),
        review(4, "empty", image=2, by="ann"),
        review(5, "empty", image=2, by="bob"),
        review(6, "empty", image=3, by="ann"),
        review(7, "drawn", image=3, by="bob"),
        review(8, "rejected", image=4, by="ann"),
        review(9, "drawn", image=4, by="bob"),
    ]
    said = {
        1: label(1, Box(90, 90, 5, 5)),
        2: label(2, Box(0, 0, 10, 10)),
        3: label(3, Box(0, 0, 10, 5)),
        4: label(4),
        5: label(5),
        6: label(6),
        7: label(7, Box(0, 0, 10, 10)),
        9: label(9, Box(0, 0, 10, 10)),
    }
    (pair,) = agreements(reviews, said)
    # Image 1: IoU .5, agreed. Image 2: both empty, agreed. Image 3: not. Image 4: only one of them says where.
    assert (pair.first, pair.second, pair.images, pair.agreed, pair.iou) == ("ann", "bob", 3, 2, 0.5)
    assert agreements(reviews[:2], said) == []


def nothing(number, outcome, **fields):
    return replace(review(number, outcome, **fields), of_nothing=True)


def test_proposals_of_nothing_are_counted_apart_without_an_iou():
    reviews = [
        nothing(1, "accepted", score=0.95),
        nothing(2, "drawn", score=0.97),
        nothing(3, "rejected", score=0.91),
        review(4, "accepted", score=0.9, iou=1.0),
    ]
    (boxes,) = score_bins(reviews)
    assert (boxes.n, boxes.accepted, boxes.iou) == (1, 1, 1.0)
    (found,) = score_bins(reviews, of_nothing=True)
    assert (found.n, found.accepted, found.edited, found.rejected, found.iou) == (3, 1, 0, 2, None)


def test_to_agree_that_there_is_nothing_counts_as_one():
    reviews = [
        nothing(1, "accepted"),
        nothing(2, "drawn", image=2),
        review(3, "empty", image=3, score=None),
        review(4, "drawn", image=4, score=None),
    ]
    said = {3: label(3), 4: label(4, Box(0, 0, 10, 10))}
    held_back = {key: proposal_record(image_id=key, boxes=()) for key in (3, 4)}
    proposed, control = influences(reviews, said, held_back)
    assert (proposed.iou, proposed.agreed, control.iou, control.agreed) == (0.5, 1, 0.5, 1)
