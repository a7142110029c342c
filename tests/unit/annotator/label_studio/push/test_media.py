import os
import stat
from dataclasses import replace

import pytest
from PIL import Image

from annotator.label_studio.push.media import find_unreadable, media_bytes, place_media
from db.errors import ImageUnreadable
from db.imaging.decode import read_facts
from db.imaging.files import ImageFile
from tests.builders import image_record


def registered(path):
    return replace(image_record(path=ImageFile.at(path)), content_hash=read_facts(path)[0].content_hash)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_name_with_everything_in_it_is_served_under_its_content(tmp_path):
    path = tmp_path / 'Müller "Ana" (1)\n.png'
    Image.new("L", (10, 20), 9).save(path)
    image = registered(path)
    placed = place_media(image, tmp_path / "media")
    assert placed.stem == image.content_hash.removeprefix("sha256:")[:32]
    assert placed.read_bytes() == path.read_bytes()
    assert place_media(image, tmp_path / "media") == placed


def test_what_a_browser_cannot_show_becomes_png(tmp_path):
    path = tmp_path / "a.tiff"
    Image.new("RGB", (10, 20), (9, 99, 199)).save(path)
    placed = place_media(registered(path), tmp_path / "media")
    assert placed.suffix == ".png"
    assert Image.open(placed).getpixel((0, 0)) == (9, 99, 199)


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(ImageUnreadable, match=r"gone\.png"):
        place_media(image_record(path=ImageFile.at(tmp_path / "gone.png")), tmp_path / "media")


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_what_was_changed_since_it_was_registered_is_not_sent(tmp_path, name):
    path, folder = tmp_path / name, tmp_path / "media"
    Image.new("L", (10, 20), 9).save(path)
    image = registered(path)
    Image.new("L", (10, 20), 99).save(path)
    for send in (lambda: place_media(image, folder), lambda: media_bytes(image)):
        with pytest.raises(ImageUnreadable, match=rf"{name}: its content has changed.*partly doctor --verify"):
            send()
    assert [item.image for item in find_unreadable([image], folder)] == [image.id]
    assert list(folder.iterdir()) == []


def test_neither_a_link_nor_a_pipe_is_sent(tmp_path):
    path, secret = tmp_path / "a.png", tmp_path / "secret.png"
    Image.new("L", (10, 20), 9).save(path)
    image = registered(path)
    path.rename(secret)
    path.symlink_to(secret)
    with pytest.raises(ImageUnreadable, match=r"a\.png: it is a symbolic link"):
        media_bytes(image)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ImageUnreadable, match=r"a\.png: it is not a regular file"):
        media_bytes(image)


def test_what_is_served_is_for_its_owner_alone(tmp_path):
    path, folder = tmp_path / "a.png", tmp_path / "media"
    Image.new("L", (10, 20), 9).save(path)
    image = registered(path)
    placed = place_media(image, folder)
    assert (mode_of(placed), mode_of(folder)) == (0o600, 0o700)
    placed.chmod(0o644)
    folder.chmod(0o755)
    place_media(image, folder, thoroughly=False)
    assert (mode_of(placed), mode_of(folder)) == (0o600, 0o700)


def test_what_lies_where_an_image_is_served_is_looked_at(tmp_path):
    path, folder = tmp_path / "a.png", tmp_path / "media"
    Image.new("L", (10, 20), 9).save(path)
    image = registered(path)
    placed = place_media(image, folder)
    placed.write_bytes(b"something else")
    assert place_media(image, folder).read_bytes() == path.read_bytes()
    placed.unlink()
    (tmp_path / "secret").write_text("secret")
    placed.symlink_to(tmp_path / "secret")
    assert place_media(image, folder, thoroughly=False).read_bytes() == path.read_bytes()
    assert (tmp_path / "secret").read_text() == "secret"
    assert not placed.is_symlink()
