"""Operations on every database: what they stored is taken back as a whole, and an undo can be undone."""

import pytest

from db.curation.changes import remove_images, set_facts
from db.curation.splitting import split_images
from db.errors import Conflict, InvalidArgument, NotFound
from db.history.undo import undo_operation
from db.maintenance.integrity import check_registry
from db.records import (
    Box,
    Location,
    LocationSource,
    LocationStatus,
    NewLabel,
    NewReview,
    OperationKind,
    ReviewOutcome,
    Split,
)
from tests.builders import EMPTY, add_images, add_run_with_proposal, new_image, present


def register(registry, *images):
    """Register images, located at (1, 2, 3, 4), as an import does."""
    with registry.begin() as tx:
        operation = tx.operations.begin(OperationKind.IMPORT, "import of a set as csv", author="ann")
        ids = tx.images.add([new_image(name, operation_id=operation, **facts) for name, facts in images])
        tx.labels.append_many(
            [NewLabel(key, present(), LocationSource.IMPORTED, on_test=True, operation_id=operation) for key in ids]
        )
    return operation, ids


def known(registry):
    with registry.read() as tx:
        return {image.id: (image.class_name, image.group, image.split, image.boxes) for image in tx.images.select()}


def snapshot(registry):
    with registry.begin() as tx:
        return tx.snapshots.take().hash


def test_an_undone_import_is_gone_from_everything_but_history(registry):
    (earlier,) = add_images(registry, new_image("earlier.png"))
    before = snapshot(registry)
    operation, (first, second) = register(registry, ("a.png", {"class_name": "images"}), ("b.png", {"split": "test"}))
    wrong = snapshot(registry)
    report = undo_operation(registry, author="ann")
    assert (report.operation, report.removed, report.labels, report.changed) == (operation, 2, 2, 0)
    assert set(known(registry)) == {earlier}
    assert snapshot(registry) == before
    with registry.read() as tx:
        assert tx.images.class_names() == ["benign"]
        assert tx.status.count().classes == {"benign": 1}
        assert tx.status.count().images["total"] == 1
        assert set(tx.images.ids()) == {earlier}
        assert len(list(tx.images.group_facts())) == 1
        assert len(tx.snapshots.images_at(tx.snapshots.get(wrong).position)) == 3
        events = [event.what for event in tx.history.of_image(first)]
        assert tx.images.resolve("a.png").removed
    assert events[0] == "registered"
    assert {"removed", "retracted"} <= set(events)
    assert check_registry(registry) == []
    with pytest.raises(Conflict, match="already been undone"):
        undo_operation(registry, operation)
    with pytest.raises(Conflict, match="nothing to undo"):
        undo_operation(registry)
    assert second not in known(registry)


def test_an_undo_can_be_undone_again_and_again(registry):
    operation, (image,) = register(registry, ("a.png", {}))
    there = known(registry)
    assert there[image][3] == (Box(1, 2, 3, 4),)
    last = operation
    for turn in range(5):
        last = undo_operation(registry, last).undo
        assert (known(registry) == there) is bool(turn % 2), f"turn {turn}"
        with registry.read() as tx:
            assert tx.operations.get(operation).undone is not bool(turn % 2)
    assert undo_operation(registry, last).restored == 1
    assert known(registry) == there
    # As if nothing had happened, it can be undone by its own number too.
    assert undo_operation(registry, operation).removed == 1
    assert check_registry(registry) == []


def test_a_dry_run_says_what_the_undo_then_does(registry):
    operation, _ = register(registry, ("a.png", {}), ("b.png", {}))
    said = undo_operation(registry, operation, dry_run=True)
    done = undo_operation(registry, operation)
    for name in ("operation", "kind", "detail", "changed", "removed", "restored", "labels", "reviews", "kept"):
        assert getattr(said, name) == getattr(done, name)
    assert (said.undo, said.dry_run, done.dry_run) == (None, True, False)


def test_a_split_goes_back_test_included_until_a_model_is_trained(registry):
    register(registry, *((f"{n}.png", {}) for n in range(20)))
    split_images(registry, val=0.2, test=0.2, seed=1)
    assert undo_operation(registry).changed == 20
    assert {facts[2] for facts in known(registry).values()} == {None}
    split_images(registry, val=0.2, test=0.2, seed=1)
    held = {key for key, facts in known(registry).items() if facts[2] is Split.TEST}
    add_run_with_proposal(registry, min(set(known(registry)) - held))
    report = undo_operation(registry)
    assert {item.image for item in report.kept} == held
    assert "test split" in report.kept[0].reason
    assert {key for key, facts in known(registry).items() if facts[2] is not None} == held


def test_nothing_but_an_undo_takes_an_image_out_of_test(registry):
    _, (image,) = register(registry, ("a.png", {"split": "test"}))
    with pytest.raises(Conflict), registry.begin() as tx:
        tx.images.set_splits({image: Split.TRAIN})
    with pytest.raises(Conflict), registry.begin() as tx:
        operation = tx.operations.begin(OperationKind.SET, "by hand", author="ann")
        tx.images.set_splits({image: Split.TRAIN}, operation_id=operation)


def test_what_was_changed_again_since_stays(registry):
    _, (first, second) = register(registry, ("a.png", {}), ("b.png", {}))
    operation = set_facts(registry, [str(first), str(second)], class_name="malignant").operation
    set_facts(registry, [str(second)], class_name="normal")
    report = undo_operation(registry, operation)
    assert (report.changed, [item.image for item in report.kept]) == (1, [second])
    assert [known(registry)[key][0] for key in (first, second)] == ["benign", "normal"]


def test_a_correction_changes_class_and_group_with_provenance(registry):
    _, (first, second) = register(registry, ("a.png", {}), ("b.png", {"split": "test"}))
    with pytest.raises(Conflict, match="--change-test"):
        set_facts(registry, [str(first), str(second)], class_name="malignant")
    assert known(registry)[first][0] == "benign"
    report = set_facts(
        registry, ["a.png", str(second)], class_name="malignant", group="p1", change_test=True, author="ann"
    )
    assert [image.id for image in report.images] == [first, second]
    assert known(registry)[second][:3] == ("malignant", "p1", Split.TEST)
    again = set_facts(registry, ["a.png"], class_name="malignant")
    assert (again.images, again.unchanged, again.operation) == ([], 1, None)
    with registry.read() as tx:
        event = tx.history.of_image(first)[-1]
    assert (event.what, event.by) == ("changed", "set by ann")
    assert event.detail == "class malignant (was benign), group p1"


@pytest.mark.parametrize(
    ("names", "facts", "error", "message"),
    [
        (["a.png"], {}, InvalidArgument, "nothing to set"),
        (["a.png"], {"class_name": " "}, InvalidArgument, "--class needs a name"),
        (["a.png", "no such.png"], {"class_name": "x"}, NotFound, "no such.png"),
    ],
)
def test_a_correction_that_cannot_be_made_changes_nothing(registry, names, facts, error, message):
    _, (image,) = register(registry, ("a.png", {}))
    with pytest.raises(error, match=message):
        set_facts(registry, names, **facts)
    assert known(registry)[image][0] == "benign"


def test_a_removed_image_has_no_part_in_anything(registry):
    _, (image, other) = register(registry, ("a.png", {"split": "test"}), ("b.png", {}))
    with pytest.raises(Conflict, match="--change-test"):
        remove_images(registry, [str(image)])
    assert remove_images(registry, [str(image)], change_test=True, dry_run=True).operation is None
    assert set(known(registry)) == {image, other}
    assert remove_images(registry, [str(image), "a.png"], change_test=True).images[0].id == image
    assert remove_images(registry, [str(image)], change_test=True).unchanged == 1
    assert set(known(registry)) == {other}
    with pytest.raises(Conflict, match="removed from the data set"):
        set_facts(registry, [str(image)], class_name="x", change_test=True)
    assert undo_operation(registry).restored == 1
    assert known(registry)[image][2:] == (Split.TEST, (Box(1, 2, 3, 4),))


def test_a_removed_image_waits_for_nobody_and_is_nobodys_double(registry):
    first, second = add_images(registry, new_image("a.png"), new_image("b.png"))
    add_run_with_proposal(registry, first)
    with registry.begin() as tx:
        tx.duplicates.add([(first, second, 0.99)], compared=[])
        assert len(tx.proposals.pending()) == 1
    remove_images(registry, [str(first)])
    with registry.read() as tx:
        assert (tx.proposals.pending(), tx.duplicates.pairs(), tx.duplicates.pairs([second])) == ([], [], [])
        assert tx.status.count().proposals["pending"] == 0


def test_an_undone_pull_leaves_its_reviews_to_the_next(registry):
    image_id = add_images(registry, new_image())[0]
    run_id, proposal_id = add_run_with_proposal(registry, image_id, Box(20, 10, 40, 30))

    def pull(outcome, location):
        with registry.begin() as tx:
            connection = tx.connections.use(url="http://127.0.0.1:8080", project_id=1, media="local")
            operation = tx.operations.begin(OperationKind.PULL, "pull of 1 review", author="ann")
            review = NewReview(
                image_id=image_id,
                outcome=outcome,
                reviewer="ann@example.org",
                external_id=11,
                external_version="2026-11-28T10:00:00Z",
                proposal_id=proposal_id,
                iou=None,
                seconds=None,
                location=location,
                payload={},
            )
            review_id = tx.reviews.add_many(connection.id, [review], operation_id=operation)[0]
            source = LocationSource.ACCEPTED if location.boxes else LocationSource.DRAWN
            run = run_id if location.boxes else None
            tx.labels.append(
                NewLabel(image_id, location, source, review_id=review_id, run_id=run, operation_id=operation)
            )
        return connection.id, operation

    connection, _ = pull(ReviewOutcome.EMPTY, EMPTY)
    with registry.read() as tx:
        assert tx.reviews.versions(connection) == {11: "2026-11-28T10:00:00Z"}
        assert tx.proposals.pending() == []
    assert undo_operation(registry).reviews == 1
    with registry.read() as tx:
        assert tx.images.get(image_id).location_status is LocationStatus.UNKNOWN
        assert (tx.reviews.versions(connection), tx.reviews.all(), tx.reviews.images(connection)) == ({}, [], {})
        assert [proposal.outcome for proposal in tx.proposals.pending()] == [None]
        assert tx.status.count().proposals == {"pending": 1, "accepted": 0, "edited": 0, "rejected": 0}
    # The same version of the same annotation, understood differently.
    pull(ReviewOutcome.ACCEPTED, Location(LocationStatus.PRESENT, (Box(20, 10, 40, 30),)))
    with registry.read() as tx:
        assert tx.images.get(image_id).boxes == (Box(20, 10, 40, 30),)
        assert tx.reviews.versions(connection, [11]) == {11: "2026-11-28T10:00:00Z"}
        assert [review.outcome for review in tx.reviews.all()] == ["accepted"]
    assert check_registry(registry) == []
