"""A file is put in place whole or not at all."""

import os
import stat

import pytest

from db.atomic_write import replacing, write_text


def test_a_failure_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    target = tmp_path / "a.json"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replacing(target) as draft:
        draft.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_folders_are_made_and_permissions_hold_from_the_start(tmp_path):
    target = tmp_path / "new" / "account.json"
    with replacing(target, mode=0o600) as draft:
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        draft.write_text("secret")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_text() == "secret"


def test_the_umask_counts(tmp_path):
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "report.html", "a patient's image")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o600
