"""Measures on few images: how far off they may be, and that it is said."""

from dataclasses import replace

import pytest

from learner.evaluation.aggregate import summarize_results
from learner.evaluation.few import FEW, metric_intervals, warn_of_few
from learner.evaluation.per_image import ImageResult

ROW = ImageResult(
    image=0, truth="a", predicted="a", probability=(0.9, 0.1), right=1.0, lesion=True, lesion_share=0.1, truth_boxes=(),
    boxes=(), score=0.9, iou=0.5, dice=0.6, mask_iou=None, mask_dice=None,
)  # fmt: skip


def rows(count, **values):
    """Rows with the numbers 0, 1, ..., of which every second one is wrong."""
    return [replace(ROW, image=n, right=float(n % 2), iou=0.2 + 0.6 * (n % 2), **values) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "located", "said"),
    [
        (1, True, "only 1 image and 1 located lesion:"),
        (FEW - 1, True, f"only {FEW - 1} images and {FEW - 1} located lesions:"),
        (FEW, True, None),
        (FEW - 1, False, f"only {FEW - 1} images:"),
        (0, False, None),
    ],
)
def test_few_images_are_warned_of(count, located, said):
    found = rows(count) if located else [replace(row, iou=None, lesion=None) for row in rows(count)]
    warning = warn_of_few(summarize_results(found, ["a", "b"]))
    assert warning is None if said is None else warning.startswith(said)


def test_intervals_hold_the_measure_and_narrow_with_more_images():
    few, many = (metric_intervals(rows(count), ["a", "b"]) for count in (8, 200))
    for name, mean in (("classification accuracy", 0.5), ("localization iou", 0.5)):
        for low, high in (few[name], many[name]):
            assert low < mean < high
        assert few[name][1] - few[name][0] > 2 * (many[name][1] - many[name][0])
    # Half right, of 8: the 2.5% and 97.5% points of a binomial share.
    assert few["classification accuracy"] == (0.125, 0.875)
    assert "localization mask_iou" not in few


def test_images_of_one_patient_are_one_piece_of_evidence():
    found = rows(8)
    alone = metric_intervals(found, ["a", "b"], {row.image: str(row.image) for row in found})
    pairs = metric_intervals(found, ["a", "b"], {row.image: str(row.image % 2) for row in found})
    width = {
        name: one["localization iou"][1] - one["localization iou"][0] for name, one in (("a", alone), ("p", pairs))
    }
    assert width["p"] > width["a"]
    # Images that are not registered have no number.
    assert metric_intervals([replace(row, image=None) for row in found], ["a", "b"]) == alone
