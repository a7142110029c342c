import pytest

from learner.evaluation.comparison import adjust_table, against, compare_runs, interval, values_by_image
from learner.evaluation.per_image import ImageResult


def results(*values, key="right"):
    return [image_result(n, **{key: value}) for n, value in enumerate(values)]


def image_result(image, **values):
    return ImageResult.from_document({"image": image, **values})


def test_values_are_means_over_seeds_of_what_all_seeds_answered():
    runs = [results(1.0, 0.0, None, 1.0), results(1.0, 1.0, 1.0, None)]
    assert values_by_image(runs, "accuracy") == {0: 1.0, 1: 0.5}
    assert values_by_image([results(0.25, None, key="iou")], "iou") == {0: 0.25}


def test_methods_are_tested_against_the_reference():
    groups = {n: str(n) for n in range(60)}
    ours = dict.fromkeys(range(60), 0.9)
    same = dict(ours)
    worse = {n: 0.4 + 0.01 * (n % 7) for n in range(60)}
    other_images = dict.fromkeys(range(100, 110), 0.5)
    found = against({"worse": worse, "same": same, "elsewhere": other_images, "ours": ours}, "ours", groups)
    assert found["ours"] is None
    assert found["elsewhere"] is None
    assert found["same"] == 1.0
    # The smallest p that 2,000 draws can give.
    assert found["worse"] == pytest.approx(1 / 2001)


def test_an_interval_is_over_groups():
    values = {n: float(n % 2) for n in range(40)}
    alone = interval(values, {n: str(n) for n in values})
    halves = interval(values, {n: str(n % 2) for n in values})
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
        "mask_iou": None, "mask_dice": None, "position": 2,
    }  # fmt: skip
    assert ImageResult.from_document(document).to_document() == {
        **document,
        "boxes": (),
        "probability": (0.25, 0.75),
    } | {"boxes": []}
