from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import ImageUnreadable, InvalidArgument
from db.imaging.files import ImageFile
from db.imaging.paths import ProjectPaths

NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1)
ODD_NAMES = NAMES | NAMES.map(lambda name: f"{name}#frame=3") | NAMES.map(lambda name: f"{name}#file")


@given(ODD_NAMES, st.none() | st.integers(0, 999))
def test_the_text_form_names_the_same_file_and_frame(name, frame):
    if name in {".", ".."}:
        return
    file = ImageFile.at(Path("/images") / name)
    file = file if frame is None else file.with_frame(frame)
    assert ImageFile.from_text(str(file)) == file
    paths = ProjectPaths(Path("/images"))
    assert paths.file_from_uri(paths.uri_from_file(file)) == file


def test_a_file_uri_is_a_local_file(tmp_path):
    (tmp_path / "a b.png").write_bytes(b"x")
    file = ImageFile.at((tmp_path / "a b.png").as_uri())
    assert not file.is_remote
    assert file.read_bytes() == b"x"
    assert file == ImageFile.at(tmp_path / "a b.png")


def test_a_password_in_a_uri_is_refused_and_not_repeated():
    with pytest.raises(InvalidArgument) as caught:
        ImageFile.at("s3://key:geheim@bucket/a.png")
    assert "geheim" not in str(caught.value)


def test_a_scheme_that_nothing_can_read_names_the_remedy():
    with pytest.raises(ImageUnreadable, match="fsspec"):
        ImageFile.at("nonsense://bucket/a.png").read_bytes()


def test_a_remote_file_is_read_once_and_then_from_the_cache(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/set/a.png", b"first")
    file = ImageFile.at("memory://set/a.png", cache=tmp_path / "cache")
    assert file.exists()
    assert file.read_bytes() == b"first"
    memory.pipe("/set/a.png", b"second")
    assert file.read_bytes() == b"first"
    assert file.read_bytes(fresh=True) == b"second"
    assert file.read_bytes() == b"second"
    memory.rm("/set/a.png")
    assert file.exists(), "the copy is still there"
    with pytest.raises(ImageUnreadable, match="no such file"):
        ImageFile.at("memory://set/a.png").read_bytes()
    assert not ImageFile.at("memory://set/none.png").exists()
