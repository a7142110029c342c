import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from db.imaging.geometry import boxes_from_mask, boxes_iou, mask_from_boxes
from db.records import Box
from learner.data.letterbox import (
    frame_of,
    framed_box,
    framed_boxes,
    framed_image,
    framed_mask,
    unframed,
    unframed_above,
)


def test_letterbox_keeps_the_aspect_ratio_and_centres():
    frame = frame_of(200, 100, 64, "letterbox")
    assert (frame.inner_width, frame.inner_height, frame.left, frame.top) == (64, 32, 0, 16)
    image = framed_image(np.full((100, 200, 3), 255, dtype=np.uint8), frame, 64)
    assert image.shape == (3, 64, 64)
    assert image[:, :16].max() == 0
    assert image[:, 16:48].min() == 255


def test_resize_fills_the_square():
    frame = frame_of(200, 100, 64, "resize")
    assert framed_box(Box(100, 50, 100, 50), frame) == Box(32, 32, 32, 32)


@pytest.mark.parametrize("framing", ["letterbox", "resize"])
@given(width=st.integers(40, 300), height=st.integers(40, 300), data=st.data())
def test_a_mask_comes_back_from_its_square_where_it_was(framing, width, height, data):
    w, h = data.draw(st.integers(20, width)), data.draw(st.integers(20, height))
    x, y = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h))
    mask = mask_from_boxes([Box(x, y, w, h)], (height, width))
    frame = frame_of(width, height, 128, framing)
    square = torch.from_numpy(framed_mask(mask, frame, 128)).float() / 255
    back = (unframed(square, frame) > 0.5).numpy()
    assert back.shape == (height, width)
    assert boxes_iou(boxes_from_mask(back), boxes_from_mask(mask)) > 0.75


@pytest.mark.parametrize("framing", ["letterbox", "resize"])
@given(
    st.integers(1, 200), st.integers(1, 200), st.integers(8, 40), st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    st.integers(0, 99),
)  # fmt: skip
def test_the_part_above_a_threshold_is_that_of_the_whole(framing, width, height, size, share, seed):
    """Whether the image is larger than the square or smaller, and wherever the high pixels are."""
    rng = np.random.default_rng(seed)
    square = torch.from_numpy((rng.random((size, size)) * (rng.random((size, size)) < share)).astype(np.float32))
    frame = frame_of(width, height, size, framing)
    whole = unframed(square, frame).numpy()
    part = unframed_above(square.numpy(), frame, 0.5)
    filled = np.zeros_like(whole)
    h, w = part.values_HW.shape
    window = (slice(part.top, part.top + h), slice(part.left, part.left + w))
    filled[window] = part.values_HW
    assert filled[window] == pytest.approx(whole[window], abs=1e-5)
    outside = np.ones(whole.shape, dtype=bool)
    outside[window] = False
    assert not (whole[outside] > 0.5).any()


@pytest.mark.parametrize("ellipse", [True, False])
@given(st.floats(0, 63.5), st.floats(0, 63.5), st.floats(0.3, 3), st.floats(0.3, 3))
def test_no_box_is_too_small_to_be_seen(ellipse, x, y, width, height):
    """Of 12 to 20 px boxes in frames of 4000 x 3000 a fifth used to vanish at 256 px."""
    drawn = framed_boxes([Box(x, y, width, height)], 64, ellipse=ellipse)
    assert drawn.max() > 127


@given(st.floats(1, 20), st.floats(1, 20), st.floats(2, 40), st.floats(2, 40))
def test_a_box_covers_its_area(x, y, width, height):
    drawn = framed_boxes([Box(x, y, width, height)], 64, ellipse=False)
    assert drawn.sum() / 255 == pytest.approx(width * height, abs=0.26 * (width + height) + 1)


def test_a_mask_of_one_pixel_survives_framing():
    mask = np.zeros((1000, 1000), dtype=bool)
    mask[501, 777] = True
    drawn = framed_mask(mask, frame_of(1000, 1000, 64, "letterbox"), 64)
    assert (drawn > 127).sum() == 1
