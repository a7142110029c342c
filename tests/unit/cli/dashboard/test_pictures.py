"""Pictures that are kept in memory, and how much of it."""

import threading

import numpy as np
import pytest
from PIL import Image

from cli.dashboard.pictures import LARGEST_PX, SMALLEST_PX, Pictures, side_of
from db.errors import ImageUnreadable
from db.imaging.files import ImageFile
from tests.builders import image_record


def record(place, number):
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(place)
    return image_record(id=number, path=ImageFile.at(place), content_hash=f"sha256:{number:064x}", width=64, height=64)


@pytest.mark.parametrize(("size", "side"), [((10, 20), SMALLEST_PX), ((1000, 400), 1000), ((9000, 20), LARGEST_PX)])
def test_an_image_is_looked_at_within_limits(size, side):
    assert side_of(image_record(width=size[0], height=size[1])) == side


def test_memory_is_bounded_and_the_oldest_go_first(tmp_path):
    records = [record(tmp_path / f"{n}.png", n) for n in range(6)]
    one = len(Pictures().jpeg(records[0], 64))
    pictures = Pictures(kept_bytes=int(3.5 * one))
    for item in records:
        pictures.jpeg(item, 64)
    assert pictures._size <= 3.5 * one
    assert [key[0] for key in pictures._kept] == [3, 4, 5]
    pictures.jpeg(records[3], 64)
    pictures.jpeg(records[0], 64)
    assert [key[0] for key in pictures._kept] == [5, 3, 0]


def test_many_threads_get_the_same(tmp_path):
    item, pictures, found = record(tmp_path / "a.png", 1), Pictures(), []
    threads = [threading.Thread(target=lambda: found.append(pictures.jpeg(item, 128))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert pictures._size == len(found[0])


@pytest.mark.parametrize("name", ["missing.png", "folder", "a\0b.png"])
def test_what_cannot_be_read_is_an_error_with_a_reason(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageUnreadable) as raised:
        Pictures().jpeg(image_record(path=ImageFile(f"{tmp_path}/{name}")), 64)
    assert str(tmp_path) not in raised.value.reason
