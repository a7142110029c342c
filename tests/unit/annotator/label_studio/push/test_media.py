from dataclasses import replace

import pytest
from PIL import Image

from annotator.label_studio.push.media import place_media
from db.errors import ImageUnreadable
from db.imaging.decode import read_facts
from db.imaging.files import ImageFile
from tests.builders import image_record


def test_a_name_with_everything_in_it_is_served_under_its_content(tmp_path):
    path = tmp_path / 'Müller "Ana" (1)\n.png'
    Image.new("L", (10, 20), 9).save(path)
    image = replace(image_record(path=ImageFile.at(path)), content_hash=read_facts(path)[0].content_hash)
    placed = place_media(image, tmp_path / "media")
    assert placed.stem == image.content_hash.removeprefix("sha256:")[:32]
    assert placed.read_bytes() == path.read_bytes()
    assert place_media(image, tmp_path / "media") == placed


def test_what_a_browser_cannot_show_becomes_png(tmp_path):
    path = tmp_path / "a.tiff"
    Image.new("RGB", (10, 20), (9, 99, 199)).save(path)
    placed = place_media(image_record(path=ImageFile.at(path)), tmp_path / "media")
    assert placed.suffix == ".png"
    assert Image.open(placed).getpixel((0, 0)) == (9, 99, 199)


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(ImageUnreadable, match=r"gone\.png"):
        place_media(image_record(path=ImageFile.at(tmp_path / "gone.png")), tmp_path / "media")
