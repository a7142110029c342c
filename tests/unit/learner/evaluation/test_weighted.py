"""Metrics of weighted images are those of images that are there as often as their weight says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.records import Box
from learner.evaluation.metrics import average_precision, classification_metrics
from learner.evaluation.per_image import ImageResult
from learner.evaluation.weighted import statistic, weighted_auc, weighted_f1

NAMES = ["a", "b", "c"]


@st.composite
def classified(draw):
    count = draw(st.integers(2, 12))
    classes = draw(st.integers(2, 3))
    truth = np.array(draw(st.lists(st.integers(0, classes), min_size=count, max_size=count)))
    # Few different scores, so that there are ties.
    scores = np.array(draw(st.lists(st.lists(st.integers(1, 4), min_size=classes, max_size=classes), min_size=count,
                                    max_size=count)), dtype=float)  # fmt: skip
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)), dtype=float)
    return truth, scores / scores.sum(axis=1, keepdims=True), weights


@given(classified())
def test_f1_and_auc(given_images):
    truth, probability, weights = given_images
    often = np.repeat(np.arange(len(truth)), weights.astype(int))
    expected = classification_metrics(truth[often], probability[often])
    for name, made in (("f1", weighted_f1), ("auc", weighted_auc)):
        found = made(truth, probability)(weights)
        assert found == (None if expected[name] is None else pytest.approx(expected[name])), name


boxes = st.lists(
    st.builds(Box, *[st.integers(0, 12).map(float)] * 2, *[st.integers(4, 12).map(float)] * 2), max_size=2, unique=True
)


@settings(max_examples=40)
@given(st.lists(st.tuples(boxes, boxes, st.integers(1, 20), st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_ap(given_images):
    # Different scores: how ties are ordered is nobody's promise.
    rows = [
        ImageResult.from_document(
            {"image": n, "truth_boxes": [], "boxes": [], "lesion": bool(truth), "score": score + n / 100}
        )
        for n, (truth, _, score, _, _) in enumerate(given_images)
    ]
    import dataclasses

    rows = [
        dataclasses.replace(
            row,
            truth_boxes=tuple(truth),
            **dict(
                zip(
                    ("withheld_boxes", "withheld_scores") if withheld else ("boxes", "box_scores"),
                    (tuple(predicted), tuple(row.score + (7 * k % 5) / 1000 for k in range(len(predicted)))),
                    strict=True,
                )
            ),
        )
        for row, (truth, predicted, _, _, withheld) in zip(rows, given_images, strict=True)
    ]
    weights = np.array([weight for *_, weight, _ in given_images], dtype=float)
    often = [row for row, weight in zip(rows, weights, strict=True) for _ in range(int(weight))]
    expected = average_precision(
        [row.truth_boxes for row in often],
        [[box for box, _ in row.detections] for row in often],
        [[rank for _, rank in row.detections] for row in often],
    )
    found = statistic("ap50_all", rows, NAMES)(weights)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))
