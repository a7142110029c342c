"""The brush format: lossless, byte for byte what Label Studio's own converter writes, and robust."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from annotator.shapes.brush import decode_brush, encode_brush

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(masks)
def test_a_mask_comes_back_as_it_was(mask_HW):
    assert np.array_equal(decode_brush(encode_brush(mask_HW), *mask_HW.shape), mask_HW)


@given(masks)
def test_the_bytes_are_those_of_label_studios_own_converter(mask_HW):
    from label_studio_sdk.converter.brush import decode_rle, encode_rle

    values = np.repeat(mask_HW.ravel().astype(np.uint8) * 255, 4)
    packed = encode_brush(mask_HW)
    assert packed == encode_rle(values)
    assert np.array_equal(decode_rle(packed), values)


def test_a_run_longer_than_a_count_can_say():
    mask_HW = np.zeros((300, 400), dtype=bool)
    mask_HW[10:290, 20:390] = True
    assert np.array_equal(decode_brush(encode_brush(mask_HW), 300, 400), mask_HW)
    full_HW = np.ones((300, 400), dtype=bool)
    assert decode_brush(encode_brush(full_HW), 300, 400).all()


def test_bytes_by_hand():
    # 1 x 1, inside: 4 values, words of 8 bits, counts of 3, 4, 8, 16 bits; a run of 4 values of 255.
    bits = f"{4:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "1" + "00" + "011" + "11111111"
    bits += "0" * (8 - len(bits) % 8)
    wanted = [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]
    assert encode_brush(np.ones((1, 1), dtype=bool)) == wanted


def test_values_that_are_not_a_run_and_colours_are_read():
    # One pixel painted orange at opacity 200, as the review page's brush writes it: four values as they are.
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}"
    bits += "0" + "00" + "011" + f"{255:08b}{140:08b}{0:08b}{200:08b}"
    bits += "1" + "00" + "011" + f"{0:08b}"
    bits += "0" * (-len(bits) % 8)
    packed = [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]
    assert decode_brush(packed, 1, 2).tolist() == [[True, False]]


@given(masks, st.integers(min_value=0, max_value=400))
def test_what_is_cut_off_is_refused(mask_HW, kept):
    packed = encode_brush(mask_HW)
    if kept < len(packed) - 1:
        with pytest.raises(ValueError, match=r"truncated|more values"):
            decode_brush(packed[:kept], *mask_HW.shape)


@given(st.lists(st.integers(0, 255), max_size=60))
def test_any_bytes_are_a_mask_or_refused(packed):
    with contextlib.suppress(ValueError):
        assert decode_brush(packed, 3, 4).shape == (3, 4)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="24 values of 8 bits, expected 48"):
        decode_brush(encode_brush(np.ones((2, 3), dtype=bool)), 3, 4)


def test_golden_bytes_of_a_stroke_painted_in_the_review_page():
    """Exported by Label Studio 1.23.2: one stroke of the brush from (210, 55) to (270, 55), with smooth edges."""
    golden = json.loads((Path(__file__).parent / "assets" / "painted.json").read_text())
    mask_HW = decode_brush(golden["rle"], golden["original_height"], golden["original_width"])
    rows, columns = np.nonzero(mask_HW)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (207, 272, 52, 57)
    # 380 pixels are painted in full, twelve more of its edge by half or more.
    assert mask_HW.sum() == 392
    assert mask_HW[55, 210:270].all()
    assert np.array_equal(decode_brush(encode_brush(mask_HW), *mask_HW.shape), mask_HW)
