from datetime import UTC, datetime

import pytest

from annotator.review_summary import agreements, reviewer_summaries, score_bins
from db.records import Box, LocationLabel, LocationSource, LocationStatus, ReviewOutcome, ReviewRecord

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
