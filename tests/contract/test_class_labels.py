"""Classes that reviewers stated: what holds, what takes it back, on every database."""

from itertools import count

import pytest

from db.history.classes import settle_classes
from db.history.retraction import retract_labels, undo_retraction
from db.history.undo import undo_operation
from db.maintenance.integrity import check_registry
from db.records import NewReview, OperationKind, ReviewOutcome, Split
from db.records.class_labels import ClassSource, NewClassLabel
from tests.builders import add_images, add_run_with_proposal, new_image

NUMBERS = count(1)


def named(**fields):
    return new_image(f"{next(NUMBERS)}.png", **fields)


@pytest.fixture
def image_id(registry):
    """An image of no known class; the registry knows the class of another one."""
    first, _ = add_images(registry, named(class_name=None), named(class_name="benign"))
    return first


def state(registry, image_id, who, class_name, *, number=None, run_id=None, **options):
    """Store a statement as a pull does; returns the pull and what was settled."""
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://studio", project_id=1, media="local")
        operation = tx.operations.begin(OperationKind.PULL, "pull", author="x")
        version = f"v{next(NUMBERS)}"
        said = NewReview(image_id, ReviewOutcome.REJECTED, who, number or next(NUMBERS), version)
        (review_id,) = tx.reviews.add_many(connection.id, [said], operation_id=operation)
        if class_name is not None:
            label = NewClassLabel(
                image_id=image_id,
                class_name=class_name,
                source=ClassSource.ACCEPTED if run_id else ClassSource.CHOSEN,
                reviewer=who,
                review_id=review_id,
                run_id=run_id,
                operation_id=operation,
            )
            tx.class_labels.add_many([label])
        return operation, settle_classes(tx, [image_id], origin="a pull", operation_id=operation, **options)


def class_of(registry, image_id):
    with registry.read() as tx:
        return tx.images.get(image_id).class_name


def test_a_stated_class_is_the_images_and_its_history_tells(registry, image_id):
    _, settled = state(registry, image_id, "ann", "benign")
    assert (settled.changed, settled.contested) == ([image_id], [])
    assert class_of(registry, image_id) == "benign"
    with registry.read() as tx:
        events = [(event.what, event.by, event.detail) for event in tx.history.of_image(image_id)]
        (label,) = tx.class_labels.standing([image_id])[image_id]
    assert ("classed", "ann", "benign (chosen)") in events
    assert ("changed", "a pull", "class benign") in events
    assert (label.class_name, label.source, label.reviewer, label.run_name) == ("benign", "chosen", "ann", None)
    assert check_registry(registry) == []


def test_undoing_the_pull_takes_it_back_and_undoing_that_brings_it_again(registry, image_id):
    operation, _ = state(registry, image_id, "ann", "benign")
    undo = undo_operation(registry, operation).undo
    assert class_of(registry, image_id) is None
    with registry.read() as tx:
        assert tx.class_labels.standing([image_id]) == {}
    undo_operation(registry, undo)
    assert class_of(registry, image_id) == "benign"
    state(registry, image_id, "ann", "malignant")
    assert class_of(registry, image_id) == "malignant", "it is still what reviews say"


def test_two_who_disagree_leave_no_class_and_the_same_person_may_change_their_mind(registry, image_id):
    state(registry, image_id, "ann", "benign", number=5000)
    state(registry, image_id, "ann", "malignant", number=5000)
    assert class_of(registry, image_id) == "malignant"
    _, settled = state(registry, image_id, "bob", "benign", number=6000)
    assert (class_of(registry, image_id), settled.contested) == (None, [image_id])
    _, settled = state(registry, image_id, "bob", None, number=6000)
    assert (class_of(registry, image_id), settled.contested) == ("malignant", []), "bob's annotation says none now"


def test_a_class_that_is_known_otherwise_is_left_alone_and_listed(registry):
    imported, by_hand = add_images(registry, named(class_name="benign"), named(class_name=None))
    state(registry, by_hand, "ann", "benign")
    with registry.begin() as tx:
        operation = tx.operations.begin(OperationKind.SET, "set", author="x")
        tx.images.set_facts(by_hand, class_name="normal", group=None, split=None, operation_id=operation)
    for image_id in (imported, by_hand):
        _, settled = state(registry, image_id, "bob", "malignant")
        assert settled.changed == []
    assert [class_of(registry, image_id) for image_id in (imported, by_hand)] == ["benign", "normal"]
    with registry.read() as tx:
        assert tx.reviews.questioned_classes() == [imported, by_hand]
    with registry.begin() as tx:
        tx.images.set_facts(imported, class_name="malignant", group=None, split=None, origin="set by x")
        assert tx.reviews.questioned_classes() == [by_hand]


def test_a_class_that_has_only_moved_to_another_split_is_still_what_reviews_say(registry, image_id):
    state(registry, image_id, "ann", "benign", number=7000)
    with registry.begin() as tx:
        operation = tx.operations.begin(OperationKind.SPLIT, "split", author="x")
        tx.images.set_splits({image_id: Split.TRAIN}, operation_id=operation)
    state(registry, image_id, "ann", "malignant", number=7000)
    assert class_of(registry, image_id) == "malignant"


def test_a_runs_retraction_takes_the_classes_that_it_proposed(registry, image_id):
    run_id, _ = add_run_with_proposal(registry, image_id)
    (other,) = add_images(registry, named(class_name=None))
    state(registry, image_id, "ann", "benign", run_id=run_id)
    state(registry, other, "ann", "benign")
    assert retract_labels(registry, run=f"run-{run_id}", dry_run=True).classes == 1
    report = retract_labels(registry, run=f"run-{run_id}")
    assert (report.labels, report.classes) == (0, 1)
    assert [class_of(registry, number) for number in (image_id, other)] == [None, "benign"]
    assert retract_labels(registry, run=f"run-{run_id}").retraction is None, "nothing is left to take back"
    assert undo_retraction(registry, report.retraction).classes == 1
    assert class_of(registry, image_id) == "benign"
    report = retract_labels(registry, reviewer="ann")
    assert (report.classes, class_of(registry, other)) == (2, None)


def test_test_images_change_only_on_purpose(registry):
    (image_id,) = add_images(registry, named(class_name=None, split=Split.TEST))
    state(registry, image_id, "ann", "benign", number=8000)
    assert class_of(registry, image_id) is None
    state(registry, image_id, "ann", "benign", number=8000, change_test=True)
    assert class_of(registry, image_id) == "benign"


def test_images_are_selected_by_location_whatever_their_class(registry):
    from db.records import NewLabel
    from tests.builders import EMPTY, present

    ids = add_images(registry, *[named(class_name=name) for name in (None, None, None, "benign", "benign")])
    with registry.begin() as tx:
        for image_id, location in zip([ids[0], ids[3], ids[1]], (present(), present(), EMPTY), strict=True):
            tx.labels.append(NewLabel(image_id, location, source="imported"))
        located = [image.id for image in tx.images.select(located=True)]
        assert located == [ids[0], ids[1], ids[3]]
        assert [image.id for image in tx.images.select(located=False)] == [ids[2], ids[4]]
        assert all(image.is_located for image in tx.images.select(ids=located))
