"""Masks as programs write them: what is inside is inside, and what could mean several things is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from db.errors import ImageUnreadable
from db.imaging.masks import read_mask

SHAPE_HW = np.zeros((24, 32), dtype=bool)
SHAPE_HW[6:18, 8:24] = True


def stored(tmp_path, image, suffix=".png", **options):
    path = tmp_path / f"mask{suffix}"
    image.save(path, **options)
    return path


def grey(inside, outside=0, dtype=np.uint8):
    return Image.fromarray(np.where(SHAPE_HW, inside, outside).astype(dtype))


def coloured(colour, outside=(0, 0, 0)):
    return Image.fromarray(np.where(SHAPE_HW[:, :, None], colour, outside).astype(np.uint8))


def palette(colours, inside, outside):
    image = Image.fromarray(np.where(SHAPE_HW, inside, outside).astype(np.uint8), mode="P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def with_alpha(colour, outside):
    rgba = np.zeros((24, 32, 4), dtype=np.uint8)
    rgba[SHAPE_HW], rgba[~SHAPE_HW] = (*colour, 255), outside
    return Image.fromarray(rgba, mode="RGBA")


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (128, 0, 0)
KINDS = {
    "0 and 255": grey(255),
    "0 and 1": grey(1),
    "class 2": grey(2),
    "grey 100": grey(100),
    "16-bit class 3": grey(3, dtype=np.uint16),
    "1 bit": Image.fromarray(SHAPE_HW),
    "red": coloured((255, 0, 0)),
    "blue": coloured((0, 0, 255)),
    "dark red of VOC": coloured(RED),
    "nearly black": coloured((2, 2, 2)),
    "palette, black first": palette([BLACK, RED], 1, 0),
    "palette, white first, black background": palette([WHITE, BLACK], 0, 1),
    "palette without colours": palette([BLACK] * 3, 2, 0),
    "transparent outside": with_alpha(WHITE, (255, 255, 255, 0)),
    "black shape, transparent outside": with_alpha(BLACK, (0, 0, 0, 0)),
    "opaque, white on black": with_alpha(WHITE, (0, 0, 0, 255)),
    "grey and alpha": with_alpha((9, 9, 9), (0, 0, 0, 0)).convert("LA"),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_whatever_is_not_background_is_inside(tmp_path, kind):
    assert (read_mask(stored(tmp_path, KINDS[kind])) == SHAPE_HW).all()


def test_deep_values_of_a_tiff_count_too(tmp_path):
    for dtype in (np.int32, np.float32):
        assert (read_mask(stored(tmp_path, grey(3, dtype=dtype), ".tiff")) == SHAPE_HW).all()


def test_several_classes_are_all_inside(tmp_path):
    values = np.where(SHAPE_HW, 1, 0).astype(np.uint8)
    values[6:10, 8:12] = 2
    assert (read_mask(stored(tmp_path, Image.fromarray(values))) == SHAPE_HW).all()


def test_nothing_but_black_is_empty_and_nothing_but_white_is_full(tmp_path):
    assert not read_mask(stored(tmp_path, grey(0))).any()
    assert not read_mask(stored(tmp_path, coloured(BLACK))).any()
    assert not read_mask(stored(tmp_path, grey(0), ".jpg")).any()
    assert read_mask(stored(tmp_path, grey(255, 255))).all()
    assert read_mask(stored(tmp_path, grey(1, 1))).all()


@pytest.mark.parametrize(
    ("image", "suffix"), [(grey(255), ".jpg"), (grey(100), ".jpg"), (coloured((255, 0, 0)), ".jpg")]
)
def test_a_lossy_file_is_cut_half_way_up(tmp_path, image, suffix):
    found = read_mask(stored(tmp_path, image, suffix, quality=90))
    assert (found != SHAPE_HW).mean() < 0.02


def test_shades_are_cut_half_way_up(tmp_path):
    shades = np.linspace(0, 255, 32, dtype=np.uint8)[None, :].repeat(24, axis=0)
    assert (read_mask(stored(tmp_path, Image.fromarray(shades))) == (shades > 127)).all()
    deep = (shades.astype(np.uint16)) * 10
    assert (read_mask(stored(tmp_path, Image.fromarray(deep))) == (deep > 1275)).all()


@pytest.mark.parametrize(
    ("image", "suffix", "values"),
    [
        (grey(2, 1), ".png", "1, 2"),
        (palette([RED, WHITE], 1, 0), ".png", "0, 1"),
        (grey(3), ".jpg", "lossy"),
    ],
)
def test_what_could_mean_several_things_is_refused_with_its_values(tmp_path, image, suffix, values):
    with pytest.raises(ImageUnreadable, match=values):
        read_mask(stored(tmp_path, image, suffix, **({"quality": 100} if suffix == ".jpg" else {})))


def test_a_background_that_is_named_is_believed(tmp_path):
    assert (read_mask(stored(tmp_path, grey(2, 1)), background=1) == SHAPE_HW).all()
    assert (read_mask(stored(tmp_path, palette([RED, WHITE], 1, 0)), background=0) == SHAPE_HW).all()
    assert (read_mask(stored(tmp_path, grey(255)), background=255) == ~SHAPE_HW).all()


@pytest.mark.parametrize(("image", "background"), [(grey(1), 255), (palette([RED, WHITE], 1, 0), 255), (grey(3, 7), 0)])
def test_a_background_that_a_mask_does_not_have_makes_no_whole_image_a_lesion(tmp_path, image, background):
    with pytest.raises(ImageUnreadable, match=f"none of its values .* is {background}, which was named"):
        read_mask(stored(tmp_path, image), background=background)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_below_0_are_not_taken_for_what_is_inside(tmp_path, dtype):
    image = Image.fromarray(np.where(SHAPE_HW, 0, -1).astype(dtype))
    with pytest.raises(ImageUnreadable, match="go below 0"):
        read_mask(stored(tmp_path, image, ".tif"))
    assert (read_mask(stored(tmp_path, image, ".tif"), background=-1) == SHAPE_HW).all()


@given(inside=st.integers(1, 255), mode=st.sampled_from(["L", "RGB", "P"]))
def test_no_value_that_is_not_black_is_ever_lost(inside, mode, tmp_path_factory):
    image = grey(inside)
    if mode == "P":
        image.putpalette([channel for n in range(256) for channel in (n, 0, 255 - n if n else 0)])
    elif mode != "L":
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    path = tmp_path_factory.mktemp("mask") / "m.png"
    path.write_bytes(buffer.getvalue())
    assert (read_mask(path) == SHAPE_HW).all()
