"""Queries and rounds, on every database."""

import pytest

from db.curation.changes import remove_images
from db.errors import Conflict
from db.records import LocationSource, NewLabel
from db.records.asked import NewQuery, Part, Question
from learner.query.rounds import list_rounds, note_round
from tests.builders import EMPTY, add_images, new_image, present


def ask(registry, *images, run_id=None):
    questions = tuple(Question(image, Part.DRAW, 0.5, "at random") for image in images)
    with registry.begin() as tx:
        return tx.asked.add(
            NewQuery(strategy="random", seed=2**40, budget=9, options={"draw": 1.0}, run_id=run_id, questions=questions)
        )


def waiting(registry):
    with registry.read() as tx:
        return tx.asked.waiting()


def start_run(registry):
    with registry.begin() as tx:
        return tx.runs.start(preset="default", config={"seed": 3}, snapshot="sha256:0")


def test_a_query_comes_back_as_it_was_stored(registry):
    ids = add_images(registry, new_image("a.png"), new_image("b.png"))
    questions = (Question(ids[1], Part.AUDIT, None, "why ü"), Question(ids[0], Part.CONFIRM, 0.25, "sure"))
    new = NewQuery(strategy="mixed", seed=7, budget=5, options={"audit": 0.1}, run_id=None, questions=questions)
    with registry.begin() as tx:
        assert (tx.asked.latest(), tx.asked.count()) == (None, 0)
        stored = tx.asked.add(new)
    with registry.read() as tx:
        assert tx.asked.latest() == stored
        assert tx.asked.history() == [stored]
        assert tx.asked.count() == 1
    assert (stored.strategy, stored.seed, stored.budget, stored.options) == ("mixed", 7, 5, {"audit": 0.1})
    assert stored.questions == questions


def test_an_image_waits_until_its_location_is_known(registry):
    ids = add_images(registry, *(new_image(f"{n}.png") for n in range(4)))
    ask(registry, *ids[:3])
    assert waiting(registry) == set(ids[:3])
    with registry.begin() as tx:
        tx.labels.append(NewLabel(ids[0], present(), source=LocationSource.IMPORTED))
        tx.labels.append(NewLabel(ids[1], EMPTY, source=LocationSource.IMPORTED))
    assert waiting(registry) == {ids[2]}
    remove_images(registry, [str(ids[2])])
    assert waiting(registry) == set(), "an image that was removed waits for nobody"


def test_an_image_is_in_a_query_once(registry):
    (image,) = add_images(registry, new_image())
    with pytest.raises(Conflict):
        ask(registry, image, image)
    with registry.read() as tx:
        assert tx.asked.count() == 0


def test_a_round_is_noted_once(registry):
    (image,) = add_images(registry, new_image())
    assert note_round(registry, None, None) is None
    first = note_round(registry, None, ask(registry, image).id)
    assert (first.run_id, first.located, first.reviews, first.minutes) == (None, 0, 0, None)
    assert note_round(registry, None, None) is None
    run = start_run(registry)
    second = note_round(registry, run, None)
    assert note_round(registry, run, None) is None, "a round that is repeated is no new one"
    third = note_round(registry, run, ask(registry, image, run_id=run.id).id)
    with registry.read() as tx:
        assert tx.asked.rounds() == [first, second, third]
    listed = list_rounds(registry)
    assert [(item.round, item.run, item.seed) for item in listed] == [
        (first.id, None, None),
        (second.id, "run-1", 3),
        (third.id, "run-1", 3),
    ]
    assert [item.asked["draw"] for item in listed] == [1, 0, 1]
