"""A large pool: what was scored stays scored, whoever is killed; memory holds a page of it."""

import sqlite3

import pytest

from db.records import Split
from learner import cache_place
from learner.config import make_config
from learner.inference import kept_scores, pool
from learner.inference.propose import ProposeRequest, propose_locations
from learner.training.train import train_model

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "epochs": 1}  # fmt: skip


@pytest.fixture
def trained(filled, monkeypatch):
    """A project with a run, whose pool counts as large."""
    monkeypatch.setattr(kept_scores, "KEPT_FROM", 1)
    monkeypatch.setattr(pool, "KEPT_FROM", 1)
    monkeypatch.setattr(kept_scores, "WRITTEN_AT_ONCE", 4)
    monkeypatch.setattr(pool, "PAGE", 10)
    train_model(filled, make_config("default", TINY))
    return filled


@pytest.fixture
def asked(monkeypatch):
    """Numbers of the images that the network is asked about."""
    found, real = [], pool.score_records

    def counted(*given):
        for position, item in real(*given):
            found.append(item.image.id)
            yield position, item

    monkeypatch.setattr(pool, "score_records", counted)
    return found


def propose(registry, tau=0.2, **more):
    return propose_locations(registry, ProposeRequest(tau=tau, **more), dry_run=True)


def test_a_cut_propose_goes_on_where_it_stopped(trained, asked, monkeypatch):
    whole = propose(trained)
    everybody = sorted(asked)
    assert whole.considered == len(everybody) > 15
    (file,) = (trained.root / cache_place.SCORES).glob("*.sqlite3")
    file.unlink()
    del asked[:]

    class Cut(Exception):
        """Somebody pulls the plug."""

    add, count = kept_scores.KeptScores.add, [0]

    def cut(self, scored):
        add(self, scored)
        count[0] += 1
        if count[0] == 13:
            raise Cut

    monkeypatch.setattr(kept_scores.KeptScores, "add", cut)
    with pytest.raises(Cut):
        propose(trained)
    monkeypatch.setattr(kept_scores.KeptScores, "add", add)
    done = set(asked[:10])
    del asked[:]
    again = propose(trained)
    assert sorted(asked) == sorted(set(everybody) - done), "a page was written, and no image of it is asked for again"
    assert again == whole
    del asked[:]
    assert propose(trained, tau=0.9).considered == len(everybody)
    assert asked == [], "another tau asks nobody"


def test_what_has_changed_is_scored_again(trained, asked):
    propose(trained)
    (file,) = (trained.root / cache_place.SCORES).glob("*.sqlite3")
    first = asked[0]
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE scores SET content = 'sha256:other' WHERE id = ?", [first])
    connection.close()
    del asked[:]
    propose(trained)
    assert asked == [first]
    with trained.begin() as tx:
        tx.images.set_facts(first, class_name="other", group=None, split=Split.TRAIN)
    del asked[:]
    propose(trained)
    assert asked == [first], "its class took part in its score"
    del asked[:]
    propose(trained, gate="class")
    assert len(asked) > 15


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_damaged_scores_are_made_again(trained, asked, damage):
    whole = propose(trained)
    (file,) = (trained.root / cache_place.SCORES).glob("*.sqlite3")
    file.write_bytes(damage)
    del asked[:]
    assert propose(trained) == whole
    assert len(asked) == whole.considered


def test_a_budget_takes_the_surest_however_many_pages_there_are(trained):
    whole = propose(trained, tau=0.0)
    few = propose(trained, tau=0.0, budget=3)
    assert few.items == whole.items[:3]
    assert few.considered == whole.considered


def test_scores_of_an_older_run_go(trained):
    propose(trained)
    (old,) = (trained.root / cache_place.SCORES).glob("*.sqlite3")
    train_model(trained, make_config("default", {**TINY, "seed": 1}))
    propose(trained)
    (new,) = (trained.root / cache_place.SCORES).glob("*.sqlite3")
    assert old != new
