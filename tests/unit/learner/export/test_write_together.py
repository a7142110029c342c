"""Files that belong together: all of them, or none."""

import errno
from pathlib import Path

import pytest

from learner.export.write_together import write_together


def listed(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_are_there_and_nothing_else(tmp_path):
    write_together({tmp_path / "new" / "model": b"m", tmp_path / "new" / "card": b"c"}, force=False)
    assert listed(tmp_path) == ["new", "new/card", "new/model"]
    assert (tmp_path / "new" / "model").read_bytes() == b"m"


@pytest.mark.parametrize("fails", ["model", "card"])
@pytest.mark.parametrize("force", [True, False])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, fails, force):
    real = Path.write_bytes

    def full(path, content):
        if fails in path.name:
            real(path, content[:1])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_together({tmp_path / "a" / "b" / "model": b"mm", tmp_path / "a" / "b" / "card": b"cc"}, force=force)
    assert listed(tmp_path) == []


def test_a_failure_keeps_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "model").write_bytes(b"old")
    (tmp_path / "card").write_bytes(b"old card")
    real = Path.write_bytes

    def full(path, content):
        if "card" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_together({tmp_path / "model": b"new", tmp_path / "card": b"new card"}, force=True)
    assert (tmp_path / "model").read_bytes() == b"old"
    assert (tmp_path / "card").read_bytes() == b"old card"
    assert listed(tmp_path) == ["card", "model"]


def test_what_somebody_else_made_in_the_meantime_is_left_alone(tmp_path, monkeypatch):
    """The card is in place already when the model's name turns out to be taken: it goes again."""
    import db.atomic_write

    real = db.atomic_write.place_new

    def late(draft, target):
        if target.name == "model":
            target.write_bytes(b"theirs")
        real(draft, target)

    monkeypatch.setattr(db.atomic_write, "place_new", late)
    with pytest.raises(FileExistsError):
        write_together({tmp_path / "model": b"ours", tmp_path / "card": b"ours"}, force=False)
    assert listed(tmp_path) == ["model"]
    assert (tmp_path / "model").read_bytes() == b"theirs"


def test_over_an_earlier_one_with_force(tmp_path):
    (tmp_path / "model").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_together({tmp_path / "model": b"new"}, force=False)
    write_together({tmp_path / "model": b"new"}, force=True)
    assert (tmp_path / "model").read_bytes() == b"new"
