"""A file is put in place whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from db.atomic_write import STALE_S, creating, draft_of, left_behind, replacing, write_text


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


def test_of_several_that_make_one_file_exactly_one_succeeds_and_the_file_is_whole(tmp_path):
    target, together = tmp_path / "a.bin", threading.Barrier(4)

    def make(number):
        try:
            with creating(target) as draft:
                draft.write_bytes(bytes([number]) * 1000)
                together.wait(10)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(make, range(4)))
    assert sum(won) == 1
    assert target.read_bytes() == bytes([won.index(True)]) * 1000
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_a_file_system_without_second_names_does_not_overwrite_either(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EPERM, "as on FAT")

    monkeypatch.setattr(os, "link", refused)
    with creating(tmp_path / "a") as draft:
        draft.write_text("first")
    with pytest.raises(FileExistsError), creating(tmp_path / "b") as draft:
        (tmp_path / "b").write_text("another's")
    assert [(tmp_path / name).read_text() for name in "ab"] == ["first", "another's"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["x" * 251 + ".txt", "ü" * 125 + ".txt", "a\nb?.txt"])
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path, name):
    write_text(tmp_path / name, "content")
    with creating(tmp_path / ("2" + name[1:])) as draft:
        draft.write_text("content")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, "2" + name[1:]])


def test_private_files_lie_in_private_folders_but_what_is_there_stays_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    write_text(tmp_path / "runs" / "run-1" / "last.json", "{}", mode=0o600)
    modes = [stat.S_IMODE((tmp_path / part).stat().st_mode) for part in ("", "runs", "runs/run-1")]
    assert modes == [0o755, 0o700, 0o700]


def test_drafts_of_dead_processes_are_found_and_those_of_living_ones_are_not(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    mine = draft_of(tmp_path / "backup.sqlite3")
    dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{int(gone.stdout)}-"))
    elsewhere = mine.with_name(mine.name.replace(mine.name.split(".")[-2][:8], "0" * 8))
    young = dead.with_name(dead.name.replace("backup", "young"))
    wal = dead.with_name(dead.name + "-wal")
    for draft in (mine, dead, elsewhere, young, wal, tmp_path / ".mine.partial"):
        draft.touch()
        if draft is not young:
            os.utime(draft, (time.time() - 2 * STALE_S,) * 2)
    # This process began after the file was last changed, so another one with its number had written it.
    os.utime(mine)
    assert sorted(left_behind(tmp_path)) == sorted([dead, elsewhere, wal])
