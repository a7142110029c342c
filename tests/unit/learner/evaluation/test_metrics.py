"""Eq. 8, AUC and AP50 against numbers worked out by hand, and against other implementations on random input."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score, jaccard_score

from db.imaging.geometry import boxes_iou, mask_dice, mask_iou
from db.records import Box
from learner.evaluation.metrics import (
    average_precision,
    classification_metrics,
    false_positives_at,
    presence_auroc,
    roc_auc,
)
from learner.inference.gate import pairwise_dice


def one_hot(predicted, classes=2):
    return np.eye(classes)[predicted] * 0.8 + 0.1


def test_eq_8_classification_by_hand():
    # Truth 0 0 0 1 1, predicted 0 0 1 1 0.
    found = classification_metrics(np.array([0, 0, 0, 1, 1]), one_hot([0, 0, 1, 1, 0]))
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["recall"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_recall_equals_accuracy_on_a_balanced_set():
    found = classification_metrics(np.array([0, 0, 1, 1]), one_hot([0, 1, 1, 1]))
    assert found["recall"] == found["accuracy"] == 0.75


def test_auc_by_hand():
    # Of the four pairs of a positive and a negative, three are in order.
    probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])
    assert roc_auc(np.array([0, 0, 1, 1]), probability) == pytest.approx(3 / 4)
    assert roc_auc(np.array([1, 1]), probability[:2]) is None


def test_auc_beyond_two_classes_is_the_mean_of_one_against_the_rest():
    truth = np.array([0, 1, 2, 0])
    probability = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.4, 0.5, 0.1]])
    # Class 0: pairs (.6,.5) (.6,.2) (.4,.5) (.4,.2): 3/4; class 1: .4 against .3 .2 .5: 2/3; class 2: 1.
    assert roc_auc(truth, probability) == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)


def test_nothing_to_score_gives_none():
    assert set(classification_metrics(np.array([], dtype=int), np.zeros((0, 2))).values()) == {None}


def test_eq_8_masks_by_hand():
    a = np.array([[1, 1, 0, 0]], dtype=bool)
    b = np.array([[0, 1, 1, 1]], dtype=bool)
    assert mask_iou(a, b) == pytest.approx(1 / 4)
    assert mask_dice(a, b) == pytest.approx(2 / 5)
    assert mask_iou(a, np.zeros_like(a)) == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_dice_and_iou_agree(pixels):
    a, b = (np.array(values)[None] for values in zip(*pixels, strict=True))
    iou = mask_iou(a, b)
    assert mask_dice(a, b) == pytest.approx(2 * iou / (1 + iou))


T, FAR = Box(0, 0, 10, 10), Box(50, 50, 10, 10)


def test_ap50_by_hand():
    assert average_precision([[T]], [[T]], [[0.9]]) == pytest.approx(1)
    assert average_precision([[T]], [[FAR]], [[0.9]]) == 0
    assert average_precision([[T]], [[]], [[]]) == 0
    assert average_precision([[]], [[]], [[]]) is None
    # Right at .9, wrong at .8, right at .7: precision 1 up to recall 1/2, then 2/3. Recalls 0 ... .50 are 51 steps.
    ap = average_precision([[T], [T], []], [[T], [T], [FAR]], [[0.9], [0.7], [0.8]])
    assert ap == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_ap50_threshold_on_both_sides():
    half = Box(0, 0, 10, 5)  # IoU exactly .5
    less = Box(0, 0, 10, 4.9)
    assert average_precision([[T]], [[half]], [[1]]) == pytest.approx(1)
    assert average_precision([[T]], [[less]], [[1]]) == 0


def test_one_truth_is_found_only_once():
    # The second box on the same lesion is wrong: precision at full recall stays 1 because it comes after.
    assert average_precision([[T]], [[T, T]], [[0.9, 0.9]]) == pytest.approx(1)
    assert average_precision([[T], [T]], [[T, T], []], [[0.9, 0.9], []]) == pytest.approx(51 / 101)


def test_views_agree_by_their_mean_dice():
    a = np.array([[1, 1, 0, 0]], dtype=bool)
    b = np.array([[1, 0, 0, 0]], dtype=bool)
    assert pairwise_dice(np.stack([a, a, b])) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert pairwise_dice(np.stack([a & False, a])) == 0


def boxes():
    # Numbers that hardly ever give two overlaps alike: with ties the answer depends on who is asked first.
    sides = st.floats(1, 12, allow_subnormal=False).map(lambda side: round(side + 0.137 * side**0.5, 3))
    corner = st.floats(0, 12).map(lambda place: round(place, 3))
    return st.lists(st.builds(Box, corner, corner, sides, sides), max_size=3)


def ap_in_plain_python(truths, predictions, scores, iou):
    total = sum(map(len, truths))
    hits = []
    for image in sorted(range(len(truths)), key=lambda n: -scores[n]):
        free = list(truths[image])
        for box in predictions[image]:
            overlaps = [boxes_iou([box], [truth]) for truth in free]
            best = int(np.argmax(overlaps)) if overlaps else -1
            hits.append(best >= 0 and overlaps[best] >= iou)
            if hits[-1]:
                free.pop(best)
    if not hits:
        return 0.0
    found = np.cumsum(hits)
    precision = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    first = np.searchsorted(found / total, np.linspace(0, 1, 101) - 1e-12)
    return float(np.mean(np.append(precision, 0.0)[np.minimum(first, len(precision))]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(boxes(), boxes()), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_ap50_agrees_with_a_plain_implementation(images, random):
    truths, predictions = zip(*images, strict=True)
    scores = random.sample([n / 10 for n in range(10)], len(images))
    found = average_precision(
        truths,
        predictions,
        [[score] * len(boxes) for score, boxes in zip(scores, predictions, strict=True)],
        iou=0.4987,
    )
    overlaps = [boxes_iou([a], [b]) for first, second in images for a in first for b in second]
    above = [overlap for overlap in overlaps if overlap]
    assume(len(set(above)) == len(above))
    if not any(truths):
        assert found is None
    else:
        assert found == pytest.approx(ap_in_plain_python(truths, predictions, scores, 0.4987), abs=1e-6)


def ap_by_coco(truths, predictions, scores):
    """What pycocotools' own evaluation says."""
    known, found = COCO(), COCO()
    images = [{"id": n + 1} for n in range(len(truths))]
    category = {"images": images, "categories": [{"id": 1}]}

    def rows(of_images):
        listed = [(n, box) for n, of_image in enumerate(of_images) for box in of_image]
        return [
            {"id": k + 1, "image_id": n + 1, "category_id": 1, "iscrowd": 0, "area": box.width * box.height,
             "bbox": [box.x, box.y, box.width, box.height]}
            for k, (n, box) in enumerate(listed)
        ]  # fmt: skip

    detections = rows(predictions)
    for row, score in zip(detections, (score for of_image in scores for score in of_image), strict=True):
        row["score"] = score
    known.dataset, found.dataset = category | {"annotations": rows(truths)}, category | {"annotations": detections}
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        found.createIndex()
        judged = COCOeval(known, found, "bbox")
        judged.params.iouThrs = np.array([0.5])
        judged.evaluate()
        judged.accumulate()
    return float(judged.eval["precision"][0, :, 0, 0, 2].mean())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(boxes(), boxes()), min_size=1, max_size=12), st.data())
def test_ap50_is_that_of_coco(images, data):
    """Scores may be equal, within an image and between images."""
    truths, predictions = zip(*images, strict=True)
    assume(any(truths))
    scores = [[data.draw(st.integers(0, 6)) / 7 for _ in of_image] for of_image in predictions]
    found = average_precision(truths, predictions, scores)
    assert found == pytest.approx(ap_by_coco(truths, predictions, scores), abs=1e-9)


def test_ap50_counts_a_hundred_boxes_an_image():
    many = [FAR] * 100 + [T]
    for scores in ([0.9] * 100 + [0.1], [0.1] * 100 + [0.9]):
        assert average_precision([[T]], [many], [scores]) == pytest.approx(ap_by_coco([[T]], [many], [scores]))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_classification_agrees_with_a_plain_implementation(pairs):
    truth, said = (np.array(values) for values in zip(*pairs, strict=True))
    found = classification_metrics(truth, one_hot(said, 3))
    present = sorted(set(truth.tolist()))
    right = {k: int(((truth == k) & (said == k)).sum()) for k in present}
    recall = [right[k] / (truth == k).sum() for k in present]
    precision = [right[k] / max(1, (said == k).sum()) for k in present]
    f1 = [2 * right[k] / ((truth == k).sum() + (said == k).sum()) for k in present]
    assert found["accuracy"] == pytest.approx((truth == said).mean())
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(
        [np.mean(values) for values in (precision, recall, f1)]
    )


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30))
def test_auc_agrees_with_counting_pairs(pairs):
    truth, score = (np.array(values) for values in zip(*pairs, strict=True))
    found = roc_auc(truth.astype(int), np.stack([1 - score / 4, score / 4], axis=1))
    above, below = score[truth], score[~truth]
    if not len(above) or not len(below):
        assert found is None
        return
    order = above[:, None] - below[None, :]
    assert found == pytest.approx(((order > 0).sum() + 0.5 * (order == 0).sum()) / order.size)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_masks_agree_with_scikit_learn(pixels):
    a, b = (np.array(values)[None] for values in zip(*pixels, strict=True))
    assert mask_iou(a, b) == pytest.approx(jaccard_score(a[0], b[0], zero_division=1.0))
    assert mask_dice(a, b) == pytest.approx(f1_score(a[0], b[0], zero_division=1.0))


def test_boxes_on_empty_images_at_the_threshold_that_keeps_95_percent():
    found = [n / 20 for n in range(1, 21)]  # 20 found lesions: the threshold keeps 19 of them, from .1 on.
    assert false_positives_at(found, [0.0, 0.05, 0.09, 0.1, 0.5]) == pytest.approx(2 / 5)
    assert false_positives_at(found, [0.0, 0.0]) == 0
    assert false_positives_at([], [0.5]) is None
    assert false_positives_at(found, []) is None


def test_presence_auroc_by_hand():
    present = np.array([True, True, False, False])
    assert presence_auroc(present, np.array([0.9, 0.4, 0.5, 0.1])) == pytest.approx(3 / 4)
    assert presence_auroc(present[:2], np.array([0.9, 0.4])) is None
