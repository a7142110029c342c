"""Several lesions in one mask: also where they touch."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from annotator.datasets.phantoms import make_phantom
from db.imaging.geometry import Component, boxes_from_mask, mask_components, mask_from_boxes
from db.imaging.masks import read_mask
from db.records import Box, Location, LocationStatus
from learner.config import make_config
from learner.data.dataset import load_framed
from learner.data.examples import Example
from learner.data.framing import Framer, Framing
from learner.evaluation.aggregate import summarize_results
from learner.evaluation.metrics import average_precision
from learner.evaluation.per_image import score_rows
from learner.inference.lesions import lesion_boxes, split_at_necks
from learner.network.interface import Network, Output


def ellipses(*boxes, hw=(160, 200)):
    return mask_from_boxes(boxes, hw, ellipse=True)


def covered(parts, hw):
    count_HW = np.zeros(hw, dtype=int)
    for part in parts:
        height, width = part.inside_HW.shape
        count_HW[part.top : part.top + height, part.left : part.left + width] += part.inside_HW
    return count_HW


def close(boxes, wanted, within=3.0):
    assert len(boxes) == len(wanted), boxes
    for box in wanted:
        edges = (box.x, box.y, box.x + box.width, box.y + box.height)
        assert any(np.allclose((b.x, b.y, b.x + b.width, b.y + b.height), edges, atol=within) for b in boxes), (
            f"{box} is not among {boxes}"
        )


def test_two_lesions_that_touch_have_a_box_each():
    first, second = Box(20, 40, 60, 40), Box(79, 50, 40, 30)
    mask = ellipses(first, second)
    assert boxes_from_mask(mask) == (Box(20, 40, 99, 40),)
    assert lesion_boxes(mask, split=False) == (Box(20, 40, 99, 40),)
    close(lesion_boxes(mask, split=True), [first, second])
    # The larger one first.
    assert lesion_boxes(mask, split=True)[0].width > 50


def test_three_lesions_of_different_sizes_in_a_row_and_one_apart():
    row = [Box(10, 50, 60, 44), Box(69, 60, 30, 26), Box(98, 52, 50, 40)]
    apart = Box(150, 110, 40, 40)
    close(lesion_boxes(ellipses(*row, apart), split=True), [*row, apart])


def test_lesions_above_each_other_and_at_the_images_edge():
    boxes = [Box(0, 0, 50, 40), Box(0, 39, 50, 40)]
    close(lesion_boxes(ellipses(*boxes), split=True), boxes)


@pytest.mark.parametrize("scale", [1, 4, 12])
def test_the_cut_is_the_same_at_any_resolution(scale):
    boxes = [Box(20 * scale, 40 * scale, 60 * scale, 40 * scale), Box(79 * scale, 50 * scale, 40 * scale, 30 * scale)]
    close(lesion_boxes(ellipses(*boxes, hw=(160 * scale, 200 * scale)), split=True), boxes, within=3 * scale)


def test_an_empty_mask_has_no_lesion():
    assert lesion_boxes(np.zeros((30, 40), dtype=bool), split=True) == ()


def test_a_speck_beside_a_lesion_is_none():
    mask = ellipses(Box(20, 20, 80, 60))
    mask[140:143, 180:183] = True
    assert len(lesion_boxes(mask, split=True)) == 1


shapes = st.tuples(st.floats(0, 120), st.floats(0, 90), st.floats(6, 80), st.floats(6, 70))


@given(shape=shapes, filled=st.booleans())
def test_one_ellipse_or_rectangle_is_never_cut(shape, filled):
    mask = mask_from_boxes([Box(*shape)], (160, 200), ellipse=not filled)
    assert lesion_boxes(mask, split=True) == boxes_from_mask(mask)


@given(drawn=st.lists(shapes, min_size=1, max_size=4))
def test_parts_cover_their_component_and_nothing_twice(drawn):
    mask = ellipses(*(Box(*shape) for shape in drawn))
    for component in mask_components(mask, 0.0):
        parts = split_at_necks(component)
        height, width = component.inside_HW.shape
        own_HW = np.zeros(mask.shape, dtype=int)
        own_HW[component.top : component.top + height, component.left : component.left + width] = component.inside_HW
        assert (covered(parts, mask.shape) == own_HW).all()


@given(seed=st.integers(0, 10_000))
def test_any_pixels_at_all_are_covered(seed):
    inside = np.random.default_rng(seed).random((24, 31)) < 0.6
    for component in mask_components(inside, 0.0):
        assert sum(part.inside_HW.sum() for part in split_at_necks(component)) == component.inside_HW.sum()


def test_a_single_pixel_is_a_part():
    pixel = Component(3, 4, np.ones((1, 1), dtype=bool))
    (part,) = split_at_necks(pixel)
    assert part.box == Box(3, 4, 1, 1)


def test_pairs_that_just_touch_are_told_apart_and_real_lesions_are_left_whole(busi):
    """What the documentation says of both."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(100):
        (a, b), (c, d) = rng.uniform((20, 20), (60, 50), size=(2, 2))
        pair = [Box(5, 60 - b / 2, a, b), Box(5 + a - 0.5, 60 - d / 2, c, d)]
        found += len(lesion_boxes(ellipses(*pair), split=True)) == 2
    assert found >= 90
    with (busi / "labels.csv").open() as stream:
        names = [row["mask"] for row in csv.DictReader(stream) if row["class"] != "normal"]
    components = [component for name in names for component in mask_components(read_mask(busi / name))]
    cut = sum(len(split_at_necks(component)) > 1 for component in components)
    assert len(components) > 570
    assert cut <= 0.01 * len(components), cut


@pytest.mark.parametrize("touching", [False, True])
def test_phantoms_with_two_and_three_lesions_have_a_box_each(touching):
    rng = np.random.default_rng(1)
    drawn = [make_phantom(("benign", "malignant")[n % 2], rng, masses=2 + n % 2, touching=touching) for n in range(40)]
    truths = [phantom.boxes for phantom in drawn]
    assert {len(boxes) for boxes in truths} == {2, 3}
    precision = {}
    for split in (False, True):
        found = [lesion_boxes(phantom.mask_HW, split=split) for phantom in drawn]
        precision[split] = average_precision(truths, found, [[1.0] * len(boxes) for boxes in found], iou=0.75)
    assert precision[True] >= 0.95
    assert precision[False] < 0.3 if touching else precision[False] == precision[True]


class Bright(Network):
    """There is a lesion where it is bright, and it is surer the brighter it is."""

    def forward(self, image_B3HW):
        return Output(8 * (image_B3HW[:, :1] - 0.3), torch.zeros(len(image_B3HW), 2))


def test_a_prediction_has_a_box_and_a_score_for_each_lesion(tmp_path):
    boxes = [Box(20, 40, 60, 40), Box(79, 50, 40, 30)]
    grey_HW = 160 * ellipses(*boxes).astype(np.uint8)
    grey_HW[:, 79:] += (40 * (grey_HW[:, 79:] > 0)).astype(np.uint8)
    Image.fromarray(grey_HW).save(tmp_path / "two.png")
    example = Example(tmp_path / "two.png", 200, 160, "a", Location(LocationStatus.PRESENT, tuple(boxes)))
    data = load_framed([example], ["a", "b"], Framer(Framing(128)))
    settings = {"size": 128, "normalize": "unit", "presence": False, "tta": False}
    rows = {}
    for split in ("on", "off"):
        config = make_config("default", settings | {"split_lesions": split})
        (rows[split],) = score_rows(Bright(), data, config, ["a", "b"], torch.device("cpu"))
    close(rows["on"].boxes, boxes)
    assert len(rows["off"].boxes) == 1
    # Sigmoid of 8 (160/255 - .3) and of 8 (200/255 - .3), the edges of both a little less.
    assert rows["on"].box_scores == pytest.approx([0.932, 0.979], abs=0.04)
    assert rows["on"].box_scores[0] < rows["on"].box_scores[1]
    assert rows["on"].withheld_boxes == ()
    assert summarize_results([rows["on"]], ["a", "b"]).localization.ap50_all == pytest.approx(1.0)
    # The one box around both overlaps the larger one by 60 * 40 / (99 * 40).
    assert summarize_results([rows["off"]], ["a", "b"]).localization.ap50_all == pytest.approx(0.504, abs=0.01)


class Doubtful(Bright):
    judges_presence = True

    def forward(self, image_B3HW):
        return replace(super().forward(image_B3HW), presence_logits_B=torch.full((len(image_B3HW),), -1.0))


def test_where_there_is_said_to_be_nothing_boxes_are_ranked_and_not_shown(tmp_path):
    box = Box(20, 40, 60, 40)
    Image.fromarray(160 * ellipses(box).astype(np.uint8)).save(tmp_path / "one.png")
    example = Example(tmp_path / "one.png", 200, 160, "a", Location(LocationStatus.PRESENT, (box,)))
    data = load_framed([example], ["a", "b"], Framer(Framing(128)))
    config = make_config("default", {"size": 128, "normalize": "unit", "tta": False})
    (row,) = score_rows(Doubtful(), data, config, ["a", "b"], torch.device("cpu"))
    assert (row.boxes, row.box_scores, row.iou) == ((), (), 0.0)
    close(row.withheld_boxes, [box])
    # The box's own score, times the probability that there is something.
    assert row.withheld_scores == pytest.approx([0.932 / (1 + np.e)], abs=0.015)
