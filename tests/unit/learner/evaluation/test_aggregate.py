"""Rows become numbers: by hand, in all and by class and size."""

from dataclasses import asdict, replace

import pytest

from db.records import Box
from learner.evaluation.aggregate import Empty, Localization, summarize_results
from learner.evaluation.per_image import ImageResult

CLASSES = ["benign", "malignant"]


def row(truth="benign", probability=(0.9, 0.1), lesion=True, share=0.1, iou=0.6, **others):
    box = (Box(0.0, 0.0, 10.0, 10.0),)
    right = float(CLASSES[0 if probability[0] > probability[1] else 1] == truth)
    return ImageResult(
        **{
            "image": None,
            "predicted": CLASSES[0 if probability[0] > probability[1] else 1],
            "truth": truth,
            "probability": probability,
            "right": right,
            "lesion": lesion,
            "lesion_share": share if lesion else None,
            "truth_boxes": box if lesion else (),
            "boxes": box,
            "score": 0.5,
            "iou": iou if lesion else None,
            "dice": 2 * iou / (1 + iou) if lesion else None,
            "mask_iou": None,
            "mask_dice": None,
            **others,
        }
    )


def test_numbers_by_hand():
    rows = [
        row(iou=0.2, share=0.01),
        row("malignant", (0.8, 0.2), iou=0.8, share=0.3),
        row("malignant", (0.3, 0.7), iou=0.5, share=0.05),
        row(lesion=False),
        row(lesion=False, boxes=()),
        row(lesion=None, share=None, iou=0, boxes=()),
    ]
    found = summarize_results(rows, CLASSES)
    assert found.n == 6
    assert found.classification.accuracy == pytest.approx(5 / 6)
    assert found.localization.n == 3
    assert found.localization.iou == pytest.approx(0.5)
    assert found.localization.ap50 == pytest.approx(1)
    assert found.localization.mask_iou is None
    assert found.empty == Empty(2, 0.5, None, 0.5)
    by_class, by_size = found.strata["class"], found.strata["size"]
    assert (by_class["malignant"].n, by_class["malignant"].accuracy) == (2, 0.5)
    assert by_class["malignant"].iou == pytest.approx(0.65)
    assert {name: values.n for name, values in by_size.items()} == {"small": 1, "medium": 1, "large": 1}
    assert by_size["medium"].iou == 0.5


def test_what_a_method_does_not_answer_is_not_measured():
    silent = {"boxes": None, "dice": None}
    found = summarize_results([replace(row(), iou=None, **silent), row(lesion=False, **silent)], CLASSES)
    assert found.localization == Localization(1, None, None, None, None, None, None)
    assert found.empty == Empty(1, None, None, None)
    blind = {"probability": None, "right": None}
    found = summarize_results([replace(row(), **blind)], CLASSES)
    assert set(asdict(found.classification).values()) == {None}
    assert found.localization.iou == 0.6


def test_surer_boxes_on_empty_images_count():
    # Ten right boxes, and ninety that are surer on images known to be empty: precision is .1 at every recall.
    rows = [row(score=0.5) for _ in range(10)] + [row(lesion=False, score=0.9) for _ in range(90)]
    found = summarize_results(rows, CLASSES).localization
    assert (found.ap50, found.ap50_all) == (pytest.approx(1.0), pytest.approx(0.1))


def test_a_class_that_the_model_does_not_know_is_wrong():
    rows = [row() for _ in range(8)] + [replace(row(), truth="rare", right=0.0) for _ in range(8)]
    found = summarize_results(rows, CLASSES)
    assert (found.classification.accuracy, found.unknown_class) == (0.5, 8)
    # F1 of benign is 2 * 8 / (8 + 16), of the unknown class 0.
    assert found.classification.f1 == pytest.approx(1 / 3)
    assert found.classification.auc is None
    assert found.strata["class"]["rare"].accuracy == 0.0


def test_presence_is_told_apart_by_rank():
    rows = [row(presence=0.9), row(presence=0.4), row(lesion=False, presence=0.5), row(lesion=False, presence=0.1)]
    assert summarize_results(rows, CLASSES).empty.presence_auroc == pytest.approx(3 / 4)


def test_withheld_boxes_are_ranked_and_nothing_else():
    """A right box that presence rules out: AP at low precision counts it, the means and the empty images do not."""
    right, far = Box(0.0, 0.0, 10.0, 10.0), Box(50.0, 50.0, 5.0, 5.0)
    shown = row(boxes=(right,), box_scores=(0.9,))
    hidden = row(boxes=(), box_scores=(), iou=0.0, withheld_boxes=(right,), withheld_scores=(0.2,))
    empty = row(lesion=False, boxes=(), box_scores=(), withheld_boxes=(far,), withheld_scores=(0.3,))
    found = summarize_results([shown, hidden, empty], CLASSES)
    # Of 101 recalls, 51 lie within the first right box; the rest have a precision of 2 in 3.
    assert found.localization.ap50_all == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert found.localization.iou == pytest.approx((shown.iou + 0) / 2)
    assert found.empty.false_positive_rate == 0.0


def test_boxes_rank_by_their_own_scores():
    """One image with a right box and a surer wrong one, before images without anything."""
    far = Box(50.0, 50.0, 5.0, 5.0)
    both = row(boxes=(Box(0.0, 0.0, 10.0, 10.0), far), box_scores=(0.9, 0.2))
    wrong = row(lesion=False, boxes=(far,), box_scores=(0.5,))
    assert summarize_results([both, wrong], CLASSES).localization.ap50_all == pytest.approx(1)
    turned = replace(both, box_scores=(0.2, 0.9))
    assert summarize_results([turned, wrong], CLASSES).localization.ap50_all == pytest.approx(1 / 3)
