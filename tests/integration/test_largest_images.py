"""The largest images that are read, and those just beyond: within the memory that is promised for a small file."""

import io
import os
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from db.errors import ImageUnreadable
from db.imaging.decode import read_facts

pytestmark = pytest.mark.thorough

SIDE = 13_376
"""The side of the largest square within the limit."""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, depth=8, colour=0):
    """A black PNG, made without its pixels ever being in memory."""
    row = b"\0" * (1 + width * {0: 1, 2: 3}[colour] * depth // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row * min(64, height - top)) for top in range(0, height, 64)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["WEBP", "JPEG2000"])
def test_formats_that_need_more_memory_a_pixel_are_refused_earlier(tmp_path, format):
    buffer = io.BytesIO()
    Image.new("RGB", (9000, 8000)).save(buffer, format)
    (tmp_path / "a").write_bytes(buffer.getvalue())
    with pytest.raises(ImageUnreadable, match="the limit is 1,024 MB"):
        read_facts(tmp_path / "a")


WITHIN = """
import resource, sys
from pathlib import Path
from db.imaging.decode import read_facts, read_image
from db.imaging.geometry import boxes_from_mask
from db.imaging.masks import read_mask
boxes_from_mask(read_mask(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, 2 * 2**30))
resource.setrlimit(resource.RLIMIT_CPU, (40, 41))
for read in (read_facts, read_image, lambda path: boxes_from_mask(read_mask(path))):
    read(Path(sys.argv[2]))
"""


@pytest.mark.parametrize(("depth", "colour"), [(8, 0), (8, 2), (16, 0)])
def test_the_largest_image_that_is_read_takes_less_than_2_gb(tmp_path, depth, colour):
    (tmp_path / "small.png").write_bytes(png(8, 8))
    (tmp_path / "a.png").write_bytes(png(SIDE, SIDE, depth=depth, colour=colour))
    assert (tmp_path / "a.png").stat().st_size < 2**20
    done = subprocess.run(
        [sys.executable, "-c", WITHIN, tmp_path / "small.png", tmp_path / "a.png"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
