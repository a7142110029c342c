"""What a filter lists, against its definition in plain Python, on every database; pages add up to the whole."""

import itertools
import random

import pytest

from db.errors import InvalidArgument
from db.records import (
    LocationSource,
    NewLabel,
    NewProposal,
    NewReview,
    ReviewOutcome,
    Split,
    Supervision,
)
from db.records.images import ImageFilter
from tests.builders import EMPTY, add_images, new_image, present

PEOPLE = (None, "ann", "ben")


def fill(registry):
    """Sixty images of all kinds, two runs' proposals for some, reviews of some, look-alikes, and some taken out."""
    dice = random.Random(7)
    names = [f"{'Scan' if n % 3 else 'scan'}_{n}%{'x' if n % 2 else ''}.png" for n in range(60)]
    ids = add_images(
        registry,
        *(
            new_image(
                name,
                class_name=dice.choice([None, "a", "b"]),
                split=dice.choice([None, Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST]),
            )
            for name in names
        ),
    )
    add_images(registry, new_image("other.png", class_name="a"), new_image("another.png", class_name="b"))
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://studio", project_id=1, media="local")
        for number in range(2):
            run = tx.runs.start(preset="default", config={}, snapshot=f"s{number}")
            outside = [image.id for image in tx.images.select() if image.split is not Split.TEST]
            chosen = dice.sample(outside, 20)
            found = [NewProposal(key, "a", 0.9, dice.random(), present().boxes) for key in chosen]
            tx.proposals.add(found, run_id=run.id, tau=0.1, gate="class")
        for number, key in enumerate(dice.sample(ids, 20)):
            who = dice.choice(PEOPLE)
            location = dice.choice([present(), EMPTY])
            review = None
            if who is not None:
                said = NewReview(key, ReviewOutcome.DRAWN, who, number, "1", location=location)
                review = tx.reviews.add(connection.id, said)
            source = LocationSource.DRAWN if who else LocationSource.IMPORTED
            tx.labels.append(NewLabel(key, location, source, reviewer=who, review_id=review, on_test=True))
        tx.duplicates.add([(ids[2], ids[5], 0.99), (ids[5], ids[9], 0.98)], compared=[])
        tx.images.set_removed([ids[9], ids[20]], True, origin="test", operation_id=1)


def expected(registry, wanted):
    """What the filter says, image by image."""
    with registry.read() as tx:
        images = tx.images.select()
        pending = {item.image_id: item for item in tx.proposals.pending()}
        alike = {key for first, second, _ in tx.duplicates.pairs() for key in (first, second)}
    found = []
    for image in images:
        proposal = pending.get(image.id)
        score = proposal.score if proposal else None
        holds = (
            wanted.class_name in (None, image.class_name or ""),
            wanted.split in (None, image.split or "none"),
            wanted.supervision in (None, image.supervision),
            wanted.located in (None, image.is_located),
            wanted.proposed in (None, proposal is not None),
            wanted.run is None or (proposal is not None and proposal.run_name == wanted.run),
            wanted.min_score is None or (score is not None and score >= wanted.min_score),
            wanted.max_score is None or (score is not None and score <= wanted.max_score),
            wanted.reviewer is None or (image.label is not None and image.label.reviewer == wanted.reviewer),
            wanted.name is None or wanted.name.lower() in str(image.path).lower(),
            not wanted.look_alikes or image.id in alike,
        )
        if all(holds):
            found.append(image.id)
    return found


CHOICES = {
    "class_name": ("a", "b", "", "c"),
    "split": ("train", "val", "test", "none"),
    "supervision": tuple(Supervision),
    "located": (True, False),
    "proposed": (True, False),
    "run": ("run-1", "run-2", "run-7", "2", "x"),
    "min_score": (0.0, 0.5),
    "max_score": (0.4, 1.0),
    "reviewer": ("ann", "nobody"),
    "name": ("SCAN_", "%x", "_1", "zz", "1_", "\\"),
    "look_alikes": (True,),
}


def test_every_filter_and_many_pairs_of_them_list_what_they_say(registry):
    fill(registry)
    one = [{field: value} for field, values in CHOICES.items() for value in values]
    two = [{**first, **second} for first, second in itertools.combinations(one, 2) if not first.keys() & second.keys()]
    sample = [{}, *one, *random.Random(1).sample(two, 60)]
    said = [expected(registry, ImageFilter(**given)) for given in sample]
    with registry.read() as tx:
        for given, ids in zip(sample, said, strict=True):
            assert tx.listing.page(ImageFilter(**given), limit=1000) == ids, given
            assert tx.listing.count(ImageFilter(**given)) == len(ids), given
    assert len([ids for ids in said if ids]) > 40, "the filters meet something"


@pytest.mark.parametrize("size", [1, 7, 60])
def test_pages_forwards_and_backwards_are_the_whole(registry, size):
    fill(registry)
    wanted = ImageFilter(supervision=Supervision.PARTLY)
    whole = expected(registry, wanted)
    with registry.read() as tx:
        forwards, after = [], 0
        while page := tx.listing.page(wanted, after=after, limit=size):
            forwards += page
            after = page[-1]
        backwards, before = [], 10**9
        while page := tx.listing.page_before(wanted, before=before, limit=size):
            backwards = page + backwards
            before = page[0]
        assert tx.listing.reviewers() == ["ann", "ben"]
    assert forwards == backwards == whole
    assert len(whole) > 7


def test_a_name_that_no_database_takes_is_refused():
    with pytest.raises(InvalidArgument, match="NUL"):
        ImageFilter(name="a\0b")
