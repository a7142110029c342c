"""partly cache: what is kept to save time, how much, and being rid of it."""

from db.imaging.paths import CACHE
from learner.cache_place import FEATURES as FOLDER
from learner.data.framed_store import FramedStore


def test_caches_are_shown_limited_and_cleared(partly, tmp_path):
    partly("init", ".")
    assert [found["items"] for found in partly("cache", "status", "--json")["caches"]] == [0, 0, 0, 0]
    for folder in (FOLDER, CACHE / "ab"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "kept").write_bytes(b"x" * 100)
    would = partly("cache", "clear", "features", "--dry-run", "--json")
    assert (would["dry_run"], [found["bytes"] for found in would["caches"]]) == (True, [100])
    assert "freed 100 bytes" in partly("cache", "clear", "features").stdout
    found = {one["kind"]: one["items"] for one in partly("cache", "status", "--json")["caches"]}
    assert found == {"framed": 0, "features": 0, "scores": 0, "remote": 1}
    assert "up to 50 GB" in partly("cache", "limit", "50 GB").stdout
    assert FramedStore(tmp_path).limit_bytes == 50 * 2**30
    shown = partly("cache", "status").stdout
    assert "50 GB" in shown
    partly("cache", "clear")
    assert not (tmp_path / CACHE).exists()
    assert FramedStore(tmp_path).limit_bytes == 50 * 2**30, "a setting is no cache"


def test_what_is_no_size_or_no_cache_is_refused(partly):
    partly("init", ".")
    assert "such as 20GB; got 'much'" in partly("cache", "limit", "much", expect=2).stderr
    assert "at least 16 MiB" in partly("cache", "limit", "1MB", expect=2).stderr
    assert "there are framed, features, scores, remote" in partly("cache", "clear", "pictures", expect=2).stderr
