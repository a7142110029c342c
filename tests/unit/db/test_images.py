import numpy as np
import pytest
from PIL import Image

from db.errors import ImageUnreadable
from db.images import mask_from_png, png_from_mask, read_facts, read_image, read_mask


def test_exif_orientation_turns_the_image_upright(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to show
    Image.new("L", (40, 20), 100).save(path, exif=exif)
    (facts,) = read_facts(path)
    assert (facts.width, facts.height) == (20, 40)
    assert read_image(path).shape == (40, 20, 3)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused_with_the_file_name(tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageUnreadable, match=r"bad\.png"):
        read_facts(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(ImageUnreadable):
        read_facts(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ImageUnreadable, match="no such file"):
        read_image(tmp_path / "none.png")


def test_sixteen_bit_grey_keeps_its_contrast(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[1000, 3000]], dtype=np.uint16)).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("high", [1, 255])
def test_masks_may_use_one_or_255(tmp_path, high):
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, high]], dtype=np.uint8)).save(path)
    assert read_mask(path).tolist() == [[False, True]]


def test_a_mask_survives_its_png():
    mask = np.random.default_rng(1).random((33, 17)) > 0.5
    assert (mask_from_png(png_from_mask(mask)) == mask).all()
