"""Images as they are: every odd file has a defined outcome (docs/images.md lists them)."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from db.errors import ImageUnreadable
from db.imaging.decode import (
    hash_content,
    is_stored_upright,
    mask_from_png,
    png_from_mask,
    read_facts,
    read_image,
)
from db.imaging.files import ImageFile
from db.imaging.masks import read_mask

RED, GREEN = (255, 0, 0), (0, 255, 0)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_exif_orientation_turns_the_image_upright(tmp_path, orientation, suffix):
    # A picture whose upright form has a red top left quarter, stored the way a camera held differently stores it.
    upright = np.zeros((40, 64, 3), dtype=np.uint8)
    upright[:20, :32] = RED
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1], 7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    (facts,) = read_facts(path)
    assert (facts.width, facts.height) == (64, 40)
    image = read_image(path)
    assert image.shape == (40, 64, 3)
    assert image[5, 5, 0] > 200
    assert image[5, 58, 0] < 60
    assert image[35, 5, 0] < 60
    thumbnail = np.frombuffer(facts.thumbnail, dtype=np.uint8).reshape(32, 32)
    assert thumbnail[4, 4] > 50
    assert thumbnail[28, 4] < 30
    assert thumbnail[4, 28] < 30
    assert is_stored_upright(ImageFile.at(path), path.read_bytes()) == (orientation == 1)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"])
def test_what_is_no_image_is_refused_with_the_file_name(tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageUnreadable, match=r"bad\.png"):
        read_facts(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp", "gif"])
def test_a_file_cut_short_is_refused(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageUnreadable, match="cut"):
        read_facts(path)


def test_a_missing_file_a_folder_and_one_without_permission_say_so(tmp_path):
    with pytest.raises(ImageUnreadable, match="no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageUnreadable, match="cannot be read"):
        read_image(tmp_path)


def test_sixteen_bit_grey_keeps_its_contrast(tmp_path):
    for suffix in ("png", "tif"):
        path = tmp_path / f"deep.{suffix}"
        Image.fromarray(np.array([[1000, 3000]], dtype=np.uint16)).save(path)
        assert read_image(path)[0, :, 0].tolist() == [0, 255]
        (facts,) = read_facts(path)
        assert max(facts.thumbnail) > 200, "the thumbnail sees the contrast too"


def test_floating_point_grey_ignores_what_is_no_number(tmp_path):
    path = tmp_path / "float.tif"
    Image.fromarray(np.array([[0.0, 5.0, np.nan, np.inf]], dtype=np.float32)).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, 255, 0, 0]


def test_cmyk_palette_and_alpha_become_rgb(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    assert read_image(tmp_path / "cmyk.jpg")[0, 0, 0] > 200
    assert read_image(tmp_path / "cmyk.jpg")[0, 0, 1] < 60
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([*GREEN, *RED] + [0] * 762)
    palette.save(tmp_path / "palette.png", transparency=1)
    assert read_image(tmp_path / "palette.png")[0, 0].tolist() == list(RED)
    Image.new("RGBA", (4, 4), (*RED, 0)).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png")[0, 0].tolist() == list(RED), "alpha is dropped"
    Image.new("LA", (4, 4), (77, 0)).save(tmp_path / "grey alpha.png")
    assert read_image(tmp_path / "grey alpha.png")[0, 0].tolist() == [77] * 3


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_of_several_pictures_the_first_counts_and_that_is_said(tmp_path, suffix):
    path = tmp_path / f"several.{suffix}"
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), GREEN)
    first.save(path, save_all=True, append_images=[second])
    (facts,) = read_facts(path)
    assert "2 frames" in facts.remark
    assert read_image(path)[0, 0, 0] > 200


def test_the_smallest_and_a_very_wide_image(tmp_path):
    Image.new("L", (1, 1), 9).save(tmp_path / "one.png")
    (facts,) = read_facts(tmp_path / "one.png")
    assert (facts.width, facts.height) == (1, 1)
    Image.new("L", (30_000, 20), 9).save(tmp_path / "wide.png")
    (facts,) = read_facts(tmp_path / "wide.png")
    assert (facts.width, facts.height) == (30_000, 20)
    assert read_image(tmp_path / "wide.png").shape == (20, 30_000, 3)


def test_a_decompression_bomb_is_refused_unopened(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(ImageUnreadable, match="pixels, the limit for decoding"):
        read_facts(tmp_path / "bomb.png")
    with pytest.raises(ImageUnreadable, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")


def test_content_decides_not_the_end_of_the_name(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(noise(8, 8, 3)).save(buffer, "PNG")
    (tmp_path / "really a png.jpg").write_bytes(buffer.getvalue())
    assert read_image(tmp_path / "really a png.jpg").shape == (8, 8, 3)


@pytest.mark.parametrize(
    "name",
    ["with blank.png", " lead.png", "qu'o\"te.png", "new\nline.png", "ümläut 図.png", "#frame=3.png", "100%.png"],
)
def test_any_name_is_read(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(noise(8, 8, 3)).save(path)
    assert len(read_facts(path)) == 1
    assert read_image(ImageFile.from_text(str(ImageFile.at(path)))).shape == (8, 8, 3)


def test_the_hash_is_of_the_bytes(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise(8, 8, 3)).save(path)
    assert hash_content(ImageFile.at(path), path.read_bytes()) == read_facts(path)[0].content_hash


@pytest.mark.parametrize("high", [1, 255])
def test_masks_may_use_one_or_255(tmp_path, high):
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, high]], dtype=np.uint8)).save(path)
    assert read_mask(path).tolist() == [[False, True]]


def test_a_mask_survives_its_png():
    mask = np.random.default_rng(1).random((33, 17)) > 0.5
    assert (mask_from_png(png_from_mask(mask)) == mask).all()
