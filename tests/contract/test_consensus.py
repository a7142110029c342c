"""Several people on one image: what holds by which policy, on every database."""

from datetime import UTC, datetime

import pytest

from annotator.label_studio.pull.consensus import Opinion, agree, check_policy, class_policy, resolve, settle_images
from db.errors import InvalidArgument
from db.history.retraction import retract_labels
from db.maintenance.integrity import check_registry
from db.records import Box, Location, LocationSource, LocationStatus, NewLabel, NewReview, ReviewOutcome
from db.records.class_labels import ClassLabelRecord, ClassSource
from tests.builders import add_images, new_image

HERE, NEAR, FAR = Box(10, 10, 20, 20), Box(12, 10, 20, 20), Box(60, 50, 20, 20)


@pytest.fixture
def image_id(registry):
    return add_images(registry, new_image())[0]


def say(registry, image_id, who, *boxes, policy="latest", number=None):
    """Store a review as a pull does, and let a policy decide."""
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://studio", project_id=1, media="local")
        number = number or len(tx.reviews.versions(connection.id)) + 1
        outcome = ReviewOutcome.DRAWN if boxes else ReviewOutcome.EMPTY
        location = Location(LocationStatus.PRESENT if boxes else LocationStatus.EMPTY, boxes)
        version = f"v{len(tx.history.of_image(image_id))}"
        review_id = tx.reviews.add(connection.id, NewReview(image_id, outcome, who, number, version))
        tx.labels.append(NewLabel(image_id, location, source=LocationSource.DRAWN, reviewer=who, review_id=review_id))
        return settle_images(tx, [image_id], policy)


def known(registry, image_id):
    with registry.read() as tx:
        image = tx.images.get(image_id)
    return image.location_status, image.boxes


def test_the_last_word_holds_without_being_asked(registry, image_id):
    say(registry, image_id, "ann", HERE)
    say(registry, image_id, "bob", FAR)
    assert known(registry, image_id) == ("present", (FAR,))


def test_unanimous_needs_all_to_agree(registry, image_id):
    assert say(registry, image_id, "ann", HERE, policy="unanimous") == []
    assert say(registry, image_id, "bob", NEAR, policy="unanimous") == []
    assert known(registry, image_id) == ("present", (NEAR,))
    assert say(registry, image_id, "carol", FAR, policy="unanimous") == [image_id]
    assert known(registry, image_id) == ("unknown", ())
    assert say(registry, image_id, "carol", HERE, policy="unanimous") == [], "she has changed her mind"
    assert known(registry, image_id) == ("present", (HERE,))
    with registry.read() as tx:
        assert [event.what for event in tx.history.of_image(image_id)].count("located") >= 4
    assert check_registry(registry) == []


def test_the_majority_holds_against_a_later_word(registry, image_id):
    say(registry, image_id, "ann", HERE, policy="majority")
    assert say(registry, image_id, "bob", FAR, policy="majority") == [image_id], "one against one is no majority"
    assert say(registry, image_id, "carol", NEAR, policy="majority") == []
    assert known(registry, image_id) == ("present", (NEAR,))
    say(registry, image_id, "dave", policy="majority")
    assert known(registry, image_id) == ("unknown", ()), "two of four are no majority"
    say(registry, image_id, "erin", HERE, policy="majority")
    assert known(registry, image_id) == ("present", (HERE,))
    with registry.read() as tx:
        label = tx.images.get(image_id).label
    assert label.reviewer in {"ann", "erin"}


def test_a_named_reviewer_counts_over_others_once_he_has_spoken(registry, image_id):
    say(registry, image_id, "ann", HERE, policy="bob")
    say(registry, image_id, "bob", FAR, policy="bob")
    say(registry, image_id, "carol", HERE, policy="bob")
    assert known(registry, image_id) == ("present", (FAR,))
    with registry.read() as tx:
        label = tx.images.get(image_id).label
    assert (label.reviewer, label.origin) == ("bob", "bob of 3 reviewers")


def test_what_was_taken_back_has_no_voice(registry, image_id):
    say(registry, image_id, "ann", HERE, policy="majority")
    say(registry, image_id, "bob", FAR, policy="majority")
    retract_labels(registry, reviewer="bob")
    assert known(registry, image_id)[0] in ("present", "unknown")
    say(registry, image_id, "carol", NEAR, policy="unanimous")
    assert known(registry, image_id) == ("present", (NEAR,))
    assert check_registry(registry) == []


def test_nothing_to_find_is_a_word_too(registry, image_id):
    say(registry, image_id, "ann", policy="unanimous")
    say(registry, image_id, "bob", policy="unanimous")
    assert known(registry, image_id) == ("empty", ())
    assert say(registry, image_id, "carol", HERE, policy="unanimous") == [image_id]


def test_a_policy_that_nobody_is_called_is_refused():
    check_policy("majority", [])
    check_policy("ann", ["ann"])
    with pytest.raises(InvalidArgument, match=r"majorty.*ann"):
        check_policy("majorty", ["ann"])


def test_words_by_hand():
    from datetime import UTC, datetime

    from db.records import LocationLabel

    def word(number, who, *boxes):
        status = LocationStatus.PRESENT if boxes else LocationStatus.EMPTY
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return Opinion(who, LocationLabel(number, 1, 1, status, boxes, False, LocationSource.DRAWN, who, None, at))

    # IoU of HERE and NEAR: 18 x 20 / (800 - 360) = .818; of HERE and a box half as high .5, which still agrees.
    assert agree(word(1, "a", HERE).label, word(2, "b", NEAR).label)
    assert agree(word(1, "a", HERE).label, word(2, "b", Box(10, 10, 20, 10)).label)
    assert not agree(word(1, "a", HERE).label, word(2, "b", Box(10, 10, 20, 9.9)).label)
    assert not agree(word(1, "a", HERE).label, word(2, "b").label)
    left, middle, right = (
        word(1, "a", Box(0, 0, 20, 20)),
        word(2, "b", Box(4, 0, 20, 20)),
        word(3, "c", Box(8, 0, 20, 20)),
    )
    # The outer two agree with the middle one (IoU .667), not with each other (.43): the middle one has all three.
    assert resolve([left, middle, right], "majority") is middle
    assert resolve([left, right], "majority") is None
    assert resolve([], "majority") is None


def classes(*said):
    return [
        ClassLabelRecord(
            image_id=1, class_name=name, source=ClassSource.CHOSEN, reviewer=who, review_id=n, id=n,
            created_at=datetime(2026, 1, 1, tzinfo=UTC), connection_id=1, annotation_id=n,
        )
        for n, (who, name) in enumerate(said)
    ]  # fmt: skip


def test_a_class_that_people_disagree_about_is_none_unless_a_policy_decides():
    two = classes(("ann", "benign"), ("bob", "malignant"))
    three = [*two, *classes(("carol", "malignant"))]
    assert [class_policy(policy)(two) for policy in ("latest", "unanimous", "majority", "ann", "nobody")] == [
        None,
        None,
        None,
        "benign",
        None,
    ]
    assert [class_policy(policy)(three) for policy in ("latest", "unanimous", "majority")] == [None, None, "malignant"]
    assert class_policy("latest")(two[:1]) == "benign"
