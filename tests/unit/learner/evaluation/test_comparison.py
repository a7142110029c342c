import numpy as np
import pytest

from learner.evaluation.comparison import (
    MethodRuns,
    adjust_table,
    against,
    compare_runs,
    images_of,
    interval,
    mean_statistic,
)
from learner.evaluation.per_image import ImageResult


def results(*values, key="right"):
    return [image_result(n, **{key: value}) for n, value in enumerate(values)]


def image_result(image, **values):
    return ImageResult.from_document({"image": image, **values})


def method_runs(*runs, key="right"):
    """Runs that are right, or have these IoUs, on images that are numbered from 0."""
    return MethodRuns([results(*values, key=key) for values in runs], ["a", "b"])


def test_what_counts_is_what_all_runs_answered():
    seeds = method_runs([1.0, 0.0, None, 1.0], [1.0, 1.0, 1.0, None])
    assert images_of(seeds, "accuracy") == {0, 1}
    measure = mean_statistic(seeds, "accuracy", [0, 1])
    assert measure(np.array([1.0, 1.0])) == pytest.approx(0.75)
    # One draw of images is the same for all seeds.
    assert measure(np.array([0.0, 1.0])) == pytest.approx(0.5)


def test_methods_are_tested_against_the_reference():
    groups = {n: str(n) for n in range(60)}
    ours = method_runs([0.9] * 60)
    elsewhere = MethodRuns([[image_result(n, right=0.5) for n in range(100, 110)]], ["a", "b"])
    methods = {
        "worse": method_runs([0.4 + 0.01 * (n % 7) for n in range(60)]),
        "same": ours,
        "elsewhere": elsewhere,
        "ours": ours,
    }
    found = against(methods, "ours", "accuracy", groups)
    assert found["ours"] is None
    assert found["elsewhere"] is None
    assert found["same"] == 1.0
    # The smallest p that 2,000 draws can give.
    assert found["worse"] == pytest.approx(1 / 2001)


def test_rank_metrics_of_tables_are_tested_too():
    """AUC, F1 and AP50 used to stand in the tables without a test."""
    box = [0.0, 0.0, 10.0, 10.0]

    def seed(sure):
        return [
            image_result(
                n, truth="ab"[n % 2], probability=[0.9, 0.1] if (n % 2 == 0) == sure else [0.2, 0.8], lesion=True,
                truth_boxes=[box], boxes=[box if sure else [50.0, 50.0, 5.0, 5.0]], score=0.5,
            )
            for n in range(40)
        ]  # fmt: skip

    groups = {n: str(n) for n in range(40)}
    methods = {"wrong": MethodRuns([seed(False)] * 2, ["a", "b"]), "right": MethodRuns([seed(True)] * 2, ["a", "b"])}
    for metric in ("auc", "f1", "ap50", "ap50_all"):
        assert against(methods, "right", metric, groups)["wrong"] == pytest.approx(1 / 2001), metric
        assert interval(methods["right"], metric, groups) == pytest.approx((0.025 ** (1 / 40), 1.0))


def test_more_seeds_are_no_more_images():
    """Three runs on the same images leave as much open as one: taken for images of their own they would halve it."""
    values = [float(n % 3 == 0) for n in range(30)]
    groups = {n: str(n) for n in range(30)}
    one, three = (interval(method_runs(*[values] * count), "accuracy", groups) for count in (1, 3))
    assert one == three


def test_an_interval_is_over_groups():
    alternating = method_runs([float(n % 2) for n in range(40)])
    alone = interval(alternating, "accuracy", {n: str(n) for n in range(40)})
    halves = interval(alternating, "accuracy", {n: str(n % 2) for n in range(40)})
    assert halves == (0.0, 1.0)
    assert alone[1] - alone[0] < 0.4


def test_two_runs_are_compared_on_what_both_answered_for():
    def rows(rights, ious):
        return [image_result(n, right=right, iou=iou) for n, (right, iou) in enumerate(zip(rights, ious, strict=True))]

    groups = {n: str(n) for n in range(6)}
    first = rows([1.0, 1.0, 1.0, 1.0, 1.0, 0.0], [0.9, 0.8, 0.9, 0.8, 0.9, None])
    second = rows([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.1, 0.2, 0.1, 0.3])
    names = ["a", "b"]
    accuracy, iou = compare_runs(first, second, groups, (names, names))
    assert (accuracy.metric, accuracy.n, accuracy.first) == ("accuracy", 6, pytest.approx(5 / 6))
    assert accuracy.p < 0.05
    assert (iou.n, iou.first, iou.second) == (5, pytest.approx(0.86), pytest.approx(0.14))
    assert iou.p < 0.01


def test_images_of_one_group_are_one_piece_of_evidence():
    def rows(right):
        return [image_result(n, right=right, iou=None) for n in range(12)]

    alone, together = ({n: str(n * size // 12) for n in range(12)} for size in (12, 2))
    ours, theirs = rows(1.0), [*rows(0.0)[:6], *rows(1.0)[6:]]
    found = [compare_runs(ours, theirs, groups, ([], []))[0].p for groups in (alone, together)]
    assert found[0] < 0.05 < found[1]


def test_a_table_is_adjusted_as_a_whole():
    adjusted = adjust_table({"iou": {"a": 0.01, "b": None}, "accuracy": {"a": 0.04, "b": 0.03}})
    assert adjusted == {"iou": {"a": pytest.approx(0.03), "b": None}, "accuracy": {"a": 0.06, "b": 0.06}}


def test_a_row_survives_its_document():
    document = {
        "image": 3, "truth": "a", "predicted": "b", "probability": [0.25, 0.75], "right": 0.0, "lesion": True,
        "lesion_share": 0.1, "truth_boxes": [[1.0, 2.0, 3.0, 4.0]], "boxes": [], "score": 0.75, "iou": 0.0, "dice": 0.0,
        "mask_iou": None, "mask_dice": None, "box_scores": None, "presence": 0.25, "position": 2,
        "withheld_boxes": [[1.0, 2.0, 3.0, 4.0]], "withheld_scores": (0.125,),
    }  # fmt: skip
    assert ImageResult.from_document(document).to_document() == {
        **document,
        "boxes": (),
        "probability": (0.25, 0.75),
    } | {"boxes": []}
