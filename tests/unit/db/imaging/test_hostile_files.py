"""Image files made to do harm: each is refused with a reason or read, within the budgets of `db.imaging.limits`."""

import io
import os
import socket
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from db.errors import ImageUnreadable
from db.imaging import claims, files, limits
from db.imaging.decode import decode_upright, hash_content, is_stored_upright, read_facts, read_image, suffix_of
from db.imaging.files import ImageFile
from db.imaging.geometry import boxes_from_mask
from db.imaging.masks import read_mask
from db.imaging.pixels import array_of, stretched

SIDE = 13_376
"""The side of the largest square within the limit."""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, depth=8, colour=0, extra=b""):
    """A black PNG, made without its pixels ever being in memory."""
    row = b"\0" * (1 + width * {0: 1, 2: 3}[colour] * depth // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row * min(64, height - top)) for top in range(0, height, 64)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def saved(format, *, count=1, shape=(40, 64), **options):
    pictures = [Image.fromarray(np.random.default_rng(n).integers(0, 255, shape, dtype=np.uint8)) for n in range(count)]
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if count > 1 else {}
    pictures[0].save(buffer, format, **more, **options)
    return buffer.getvalue()


def tiff_parts(data):
    """The place of a TIFF's directory, its entries, and its end."""
    (place,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[place : place + 2])
    return place, [data[place + 2 + 12 * n : place + 14 + 12 * n] for n in range(count)], place + 2 + 12 * count


READERS = [read_facts, read_image, read_mask]
BYTES_READERS = [is_stored_upright, suffix_of, decode_upright, hash_content]


@pytest.mark.parametrize(
    ("format", "count"), [("GIF", 4), ("TIFF", 4), ("PNG", 1), ("JPEG", 1), ("WEBP", 1), ("BMP", 1), ("JPEG2000", 1)]
)
def test_a_file_cut_anywhere_is_refused_or_read_and_nothing_else_is_raised(tmp_path, format, count):
    data, path = saved(format, count=count), tmp_path / "a"
    for end in {*range(0, min(len(data), 400), 7), *range(0, len(data), len(data) // 40)}:
        path.write_bytes(data[:end])
        for reader in READERS:
            try:
                reader(path)
            except ImageUnreadable as exc:
                assert exc.reason
        for reader in BYTES_READERS:
            try:
                reader(ImageFile.at(path), data[:end])
            except ImageUnreadable as exc:
                assert exc.reason


@pytest.mark.parametrize(
    "raised", [struct.error("x"), KeyError(3), IndexError("x"), AttributeError("x"), OverflowError("x"), MemoryError(),
               RecursionError("x"), zlib.error("x"), AssertionError(), NotImplementedError("x")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_decoder_raises_the_file_is_refused(tmp_path, monkeypatch, raised):
    (tmp_path / "a.png").write_bytes(saved("PNG"))

    def fail(*args):
        raise raised

    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    for reader in READERS:
        with pytest.raises(ImageUnreadable, match=r"a\.png: .*(damaged|memory)"):
            reader(tmp_path / "a.png")


# --- what is no file


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "link.png").symlink_to("pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.png"))
        for name, kind in {"pipe": "pipe", "zero": "device", "link": "pipe"}.items():
            found = []

            def read(name=name, found=found):
                with pytest.raises(ImageUnreadable) as caught:
                    ImageFile.at(tmp_path / f"{name}.png").read_bytes()
                found.append(caught.value.reason)

            thread = threading.Thread(target=read, daemon=True)
            thread.start()
            thread.join(10)
            assert not thread.is_alive(), f"{name} hangs"
            assert f"it is a {kind}" in found[0]
        with pytest.raises(ImageUnreadable, match="cannot be read"):
            ImageFile.at(tmp_path / "s.png").read_bytes()
    with pytest.raises(ImageUnreadable, match="it is a folder"):
        ImageFile.at(tmp_path).read_bytes()
    assert not ImageFile.at(tmp_path / "pipe.png").exists()


def test_a_file_is_read_whole_and_a_link_to_it_too(tmp_path):
    for size in (0, 1, files._PIECE - 1, files._PIECE, 3 * files._PIECE + 1):
        (tmp_path / "a").write_bytes(os.urandom(size))
        assert files.read_regular(str(tmp_path / "a"), 2**20) == (tmp_path / "a").read_bytes()
    (tmp_path / "link").symlink_to("a")
    assert ImageFile.at(tmp_path / "link").read_bytes() == (tmp_path / "a").read_bytes()
    # Its size is not known before it is read.
    assert b"MemTotal" in files.read_regular("/proc/meminfo", 2**20)
    with pytest.raises(OSError, match="symbolic"):
        files.read_regular(str(tmp_path / "link"), 2**20, follow=False)


def test_a_file_beyond_the_limit_is_not_read_and_the_limit_is_named(tmp_path):
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(limits.IMAGE_BYTES + 1)
    with pytest.raises(ImageUnreadable, match="the limit for such a file is 4,096 MB"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ImageUnreadable, match="limit for such a file"):
        files.read_regular("/proc/meminfo", 10)


# --- budgets


def test_memory_is_refused_by_what_pixels_are_made_of(tmp_path):
    (tmp_path / "a.png").write_bytes(png(SIDE + 2, SIDE + 2))
    with pytest.raises(ImageUnreadable, match="178,956,970"):
        read_facts(tmp_path / "a.png")


def test_a_jpeg_that_goes_over_its_pixels_again_and_again_is_refused(tmp_path):
    data = saved("JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:-2] + data[first:-2] * 101 + data[-2:])
    with pytest.raises(ImageUnreadable, match="the limit is 100"):
        read_facts(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
def test_a_png_whose_words_inflate_without_end_is_refused(tmp_path, kind):
    (tmp_path / "a.png").write_bytes(png(8, 8, extra=chunk(kind, b"x\0\0" + zlib.compress(bytes(100_000_000), 9))))
    with pytest.raises(ImageUnreadable, match="too large"):
        read_facts(tmp_path / "a.png")


def test_pages_beyond_counting_are_not_counted(tmp_path):
    gif = saved("GIF", count=2)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02\x02\x4c\x01\x00"
    (tmp_path / "a.gif").write_bytes(gif[:-1] + frame * 50_000 + b";")
    tiff = saved("TIFF")
    _, _, end = tiff_parts(tiff)
    places = [len(tiff) + 6 * n for n in range(50_000)]
    chain = b"".join(struct.pack("<HI", 0, place) for place in [*places[1:], 0])
    (tmp_path / "a.tif").write_bytes(tiff[:end] + struct.pack("<I", places[0]) + tiff[end + 4 :] + chain)
    for name in ("a.gif", "a.tif"):
        started = time.monotonic()
        assert read_facts(tmp_path / name)[0].remark == "it holds more than 1,000 frames; only the first is used"
        with pytest.raises(ImageUnreadable, match="more than 1,000 pages"):
            read_mask(tmp_path / name)
        assert time.monotonic() - started < 5
    for format, count in (("GIF", 5), ("TIFF", 5), ("GIF", 1), ("TIFF", 1)):
        data = saved(format, count=count)
        with Image.open(io.BytesIO(data)) as image:
            assert claims.count_pages(data, image) == count == getattr(image, "n_frames", 1)


def test_a_tiff_whose_directories_run_in_a_circle_is_one_image(tmp_path):
    tiff = saved("TIFF")
    place, _, end = tiff_parts(tiff)
    (tmp_path / "a.tif").write_bytes(tiff[:end] + struct.pack("<I", place) + tiff[end + 4 :])
    assert read_facts(tmp_path / "a.tif")[0].remark is None


@pytest.mark.parametrize("where", ["tiff", "exif"])
def test_a_directory_that_names_the_same_bytes_over_and_over_is_refused(tmp_path, where):
    body = bytes(200_000)
    entries = [struct.pack("<HHII", tag, 1, 150_000, 8) for tag in range(30_000, 32_000)]
    if where == "tiff":
        tiff = saved("TIFF")
        _, own, _ = tiff_parts(tiff)
        entries = sorted(own + entries, key=lambda entry: struct.unpack("<H", entry[:2]))
        place = len(tiff) + len(body)
        data = tiff[:4] + struct.pack("<I", place) + tiff[8:] + body
    else:
        data = b"II*\0" + struct.pack("<I", 8 + len(body)) + body
    data += struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    if where == "exif":
        jpeg = saved("JPEG")
        parts = [data[n : n + 65_000] for n in range(0, len(data), 65_000)]
        segments = (b"\xff\xe1" + struct.pack(">H", len(part) + 8) + claims.EXIF + part for part in parts)
        data = jpeg[:2] + b"".join(segments) + jpeg[2:]
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ImageUnreadable, match="its directory claims"):
        read_facts(tmp_path / "a")


def test_in_strips_values_are_what_they_were_as_a_whole(monkeypatch):
    monkeypatch.setattr("db.imaging.pixels.STRIP", 100)
    rng = np.random.default_rng(0)
    for values in (
        rng.integers(0, 2**16, (37, 23), dtype=np.uint16),
        rng.normal(size=(64, 9)),
        np.full((5, 60), np.nan),
    ):
        finite = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
        low, high = finite.min(), finite.max()
        whole = np.rint((finite - low) * (255.0 / (high - low))) if high > low else np.zeros(values.shape)
        assert (stretched(values) == whole).all()
    for mode in ("1", "L", "P", "RGB", "RGBA", "I;16", "F"):
        image = Image.fromarray(rng.integers(0, 255, (41, 33), dtype=np.uint8)).convert(mode.replace("I;16", "I"))
        image = image.convert(mode)
        for wanted in (None, "RGB") if mode in ("L", "P", "RGBA") else (None,):
            assert (array_of(image, wanted) == np.asarray(image if wanted is None else image.convert(wanted))).all()


def test_a_mask_of_specks_makes_records_only_of_what_is_kept():
    mask = np.zeros((2000, 2000), dtype=bool)
    mask[::2, ::2] = True
    assert boxes_from_mask(mask) == ()
    mask[100:700, 100:900] = True
    assert len(boxes_from_mask(mask)) == 1
