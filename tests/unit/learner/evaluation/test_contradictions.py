import sys

import numpy as np
import pytest

from db.records import Box
from learner.errors import CheckUnavailable
from learner.evaluation.contradictions import Contradicted, box_contradictions, class_contradictions
from learner.evaluation.per_image import ImageResult

HERE, NEAR, FAR = Box(10, 10, 20, 20), Box(12, 10, 20, 20), Box(60, 60, 20, 20)
CLASSES = ["benign", "malignant", "normal"]


def row(
    image,
    truth="benign",
    probability=(0.8, 0.1, 0.1),
    *,
    known=(HERE,),
    boxes=(HERE,),
    iou=1.0,
    score=0.9,
    presence=0.9,
):
    return ImageResult(
        image=image, truth=truth, predicted=None, probability=probability, right=None, lesion=bool(known),
        lesion_share=None, truth_boxes=tuple(known), boxes=tuple(boxes), score=score, iou=iou if known else None,
        dice=None, mask_iou=None, mask_dice=None, presence=presence,
    )  # fmt: skip


def clear(count, start=100):
    """Images whose class nobody doubts."""
    sure = {"benign": (0.9, 0.05, 0.05), "malignant": (0.05, 0.9, 0.05), "normal": (0.05, 0.05, 0.9)}
    return [row(start + n, name, sure[name]) for n, name in enumerate(CLASSES * count)]


def test_a_class_that_the_model_is_sure_is_wrong():
    rows = [*clear(10), row(1, "benign", (0.02, 0.97, 0.01)), row(2, "normal", (0.85, 0.1, 0.05))]
    first, second = class_contradictions(rows, CLASSES)
    assert (first.image, first.what) == (1, Contradicted.CLASS)
    assert first.score == pytest.approx(0.98)
    assert first.detail == "class 'benign': a model that has not seen it says 'malignant' (0.97; 'benign' 0.02)"
    assert second.image == 2


def test_classes_that_nobody_doubts_are_left_alone():
    assert class_contradictions(clear(10), CLASSES) == []


def test_images_without_a_class_and_classes_without_an_image_do_no_harm():
    rows = [item for item in clear(10) if item.truth != "normal"]
    rows += [row(1, "benign", (0.03, 0.95, 0.02)), row(2, None), row(3, "unheard of")]
    assert [found.image for found in class_contradictions(rows, CLASSES)] == [1]
    assert class_contradictions(rows[:1], CLASSES) == []
    assert class_contradictions([], CLASSES) == []


def test_swapped_classes_are_found_among_many():
    chance = np.random.default_rng(0)
    rows, swapped = [], set()
    for n in range(300):
        truth = n % 3
        probability = chance.dirichlet(np.where(np.arange(3) == truth, 8, 1))
        label = truth
        if n % 20 == 0:
            label = (truth + 1) % 3
            swapped.add(n)
        rows.append(row(n, CLASSES[label], tuple(probability.tolist())))
    found = {item.image for item in class_contradictions(rows, CLASSES)}
    assert len(found & swapped) >= 13, "nearly all of the 15 are found"
    assert len(found - swapped) <= 6, "and few others"


def test_without_cleanlab_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(CheckUnavailable, match=r"pip install 'partly\[labels\]'"):
        class_contradictions(clear(3), CLASSES)


def test_boxes_elsewhere_nothing_found_and_something_where_there_is_nothing():
    rows = [
        row(1, boxes=(FAR,), iou=0.0, score=0.85),
        row(2, boxes=(), iou=0.0, presence=0.04),
        row(3, known=(), score=0.95),
        row(4, boxes=(NEAR,), iou=0.8),
        row(5, boxes=(FAR,), iou=0.0, score=0.5),
        row(6, boxes=(), iou=0.0, presence=0.3),
        row(7, known=(), boxes=(), presence=0.1),
        row(8, known=(), score=0.4),
    ]
    found = box_contradictions(rows, 0.8)
    assert [(item.image, item.score) for item in found] == [(2, 0.96), (3, 0.95), (1, 0.85)]
    assert {item.what for item in found} == {Contradicted.BOX}
    assert found[0].detail == "box: a model that has not seen it finds nothing (0.96)"
    assert found[1].detail == "known to be empty: a model that has not seen it finds something (0.95)"
    assert found[2].detail == "box: a model that has not seen it finds something elsewhere (0.85, IoU 0.00)"
