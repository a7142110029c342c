"""History, snapshots, retractions and the frozen test split: the same on every database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from db.errors import Conflict, InvalidArgument, NotFound
from db.history.retraction import retract_labels, undo_retraction
from db.history.snapshot_diff import compare_snapshots
from db.maintenance.integrity import check_registry
from db.records import Box, LocationSource, LocationStatus, NewLabel, NewProposal, NewReview, ReviewOutcome, Split
from tests.builders import EMPTY, add_images, add_run_with_proposal, new_image, present


def one(registry, image_id):
    with registry.read() as tx:
        return tx.images.get(image_id)


def label(registry, image_id, location, source=LocationSource.IMPORTED, **more):
    with registry.begin() as tx:
        return tx.labels.append(NewLabel(image_id, location, source=source, **more))


def take(registry):
    with registry.begin() as tx:
        return tx.snapshots.take()


def review(registry, image_id, box, *, run_id=None, proposal_id=None, reviewer="ann", outcome=ReviewOutcome.EDITED):
    """What a pull stores."""
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://studio", project_id=1, media="local")
        number = len(tx.history.of_image(image_id)) + 1000 * image_id
        said = NewReview(image_id, outcome, reviewer, number, "v1", proposal_id, 0.7, 3.0)
        source = LocationSource.EDITED if outcome is ReviewOutcome.EDITED else LocationSource.DRAWN
        tx.labels.append(
            NewLabel(
                image_id,
                present(box),
                source=source,
                reviewer=reviewer,
                review_id=tx.reviews.add(connection.id, said),
                run_id=run_id,
            )
        )


# --- history


def test_the_log_says_who_said_what_from_which_run_at_which_tau(registry):
    (image_id,) = add_images(registry, new_image(origin="import of a.csv"))
    run_id, proposal_id = add_run_with_proposal(registry, image_id, score=0.9)
    review(registry, image_id, Box(1, 2, 3, 4), run_id=run_id, proposal_id=proposal_id)
    with registry.begin() as tx:
        tx.images.set_facts(image_id, class_name="malignant", group="patient 1", split=Split.VAL, origin="somebody")
        events = tx.history.of_image(image_id)
    said = [(event.what, event.by) for event in events]
    assert said == [
        ("registered", "import of a.csv"),
        ("proposed", "run-1"),
        ("reviewed", "ann"),
        ("located", "ann"),
        ("changed", "somebody"),
    ]
    reviewed, located, changed = events[2:]
    assert (reviewed.run, reviewed.tau, reviewed.score, reviewed.iou) == ("run-1", 0.8, 0.9, 0.7)
    assert (located.run, located.tau) == ("run-1", 0.8)
    assert "malignant (was benign)" in changed.detail
    assert "patient 1" in changed.detail
    assert "val" in changed.detail


def test_an_image_is_found_by_number_key_path_or_the_end_of_it(registry):
    image_id, other = add_images(registry, new_image("a/scan 1.png"), new_image("b/scan 1.png"))
    record = one(registry, image_id)
    with registry.read() as tx:
        for name in (str(image_id), record.key, str(record.path), "a/scan 1.png"):
            assert tx.images.resolve(name).id == image_id
        with pytest.raises(Conflict, match=f"{image_id}.*{other}"):
            tx.images.resolve("scan 1.png")
        with pytest.raises(NotFound, match="nothing"):
            tx.images.resolve("nothing_.png")


# --- snapshots


def test_a_snapshot_reads_the_same_after_everything_has_changed(registry):
    first, second = add_images(registry, new_image("a.png"), new_image("b.png"))
    label(registry, first, present(Box(1, 1, 5, 5)))
    snapshot = take(registry)
    with registry.read() as tx:
        before = tx.snapshots.images_at(snapshot.position)
    label(registry, first, EMPTY)
    label(registry, second, EMPTY)
    with registry.begin() as tx:
        tx.images.set_facts(second, class_name="malignant", group="g", split=Split.VAL)
        tx.images.move(first, new_image("elsewhere.png"))
    add_images(registry, new_image("c.png"))
    with registry.read() as tx:
        assert tx.snapshots.images_at(snapshot.position) == before
        assert len(tx.images.select()) == 3
    assert check_registry(registry) == []


def test_the_same_knowledge_has_the_same_address(registry):
    (image_id,) = add_images(registry, new_image())
    unsplit = take(registry)
    assert take(registry) == unsplit
    with registry.begin() as tx:
        tx.images.set_splits({image_id: Split.VAL})
    in_val = take(registry)
    assert in_val.hash != unsplit.hash
    with registry.begin() as tx:
        tx.images.set_splits({image_id: Split.TRAIN})
    take(registry)
    with registry.begin() as tx:
        tx.images.set_splits({image_id: Split.VAL})
    assert take(registry).hash == in_val.hash
    assert (unsplit.num_images, in_val.num_images) == (1, 1)
    with registry.read() as tx:
        assert len(tx.snapshots.all()) == 3
        assert tx.snapshots.get(in_val.hash[7:15]) == in_val


def test_an_unknown_or_ambiguous_snapshot_is_refused(registry):
    with registry.read() as tx, pytest.raises(NotFound, match="at least 6"):
        tx.snapshots.get("abc")
    with registry.read() as tx, pytest.raises(NotFound):
        tx.snapshots.get("sha256:" + "0" * 64)


def test_the_difference_of_two_snapshots_is_said_image_by_image(registry):
    first, second = add_images(registry, new_image("a.png"), new_image("b.png"))
    old = take(registry)
    label(registry, first, present(Box(1, 2, 3, 4)))
    with registry.begin() as tx:
        tx.images.set_splits({second: Split.TEST})
    (third,) = add_images(registry, new_image("c.png", class_name=None))
    new = take(registry)
    changes = compare_snapshots(registry, old.hash, new.hash).changes
    said = [(change.image.id, change.what, change.before, change.after) for change in changes]
    assert said == [
        (first, "location", "unknown", "1,2 3x4 (imported)"),
        (second, "split", None, "test"),
        (third, "registered", None, "no class, unknown, no split"),
    ]
    back = compare_snapshots(registry, new.hash, old.hash).changes
    assert (back[0].before, back[0].after) == ("1,2 3x4 (imported)", "unknown")
    assert compare_snapshots(registry, new.hash, new.hash).changes == []


# --- the test split


@pytest.fixture
def test_image(registry):
    (image_id,) = add_images(registry, new_image(split=Split.TEST))
    label(registry, image_id, present(Box(1, 1, 5, 5)), on_test=True)
    return image_id


def test_no_image_leaves_test(registry, test_image):
    with pytest.raises(Conflict, match="frozen"), registry.begin() as tx:
        tx.images.set_splits({test_image: Split.TRAIN})
    with pytest.raises(Conflict, match="frozen"), registry.begin() as tx:
        tx.images.set_facts(test_image, class_name="benign", group=None, split=None)
    for statement in ("UPDATE images SET split = 'train'", "UPDATE images SET split = NULL"):
        with pytest.raises(DBAPIError, match="frozen"), registry._engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert one(registry, test_image).split is Split.TEST


def test_no_label_of_a_test_image_changes_by_accident(registry, test_image):
    with pytest.raises(Conflict, match="only on purpose"):
        label(registry, test_image, EMPTY)
    assert one(registry, test_image).location_status is LocationStatus.PRESENT
    label(registry, test_image, EMPTY, on_test=True)
    assert one(registry, test_image).location_status is LocationStatus.EMPTY


def test_nothing_is_proposed_for_a_test_image(registry, test_image):
    (other,) = add_images(registry, new_image("other.png"))
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
    proposals = [NewProposal(key, "benign", 0.9, 0.9, (Box(1, 1, 2, 2),)) for key in (other, test_image)]
    with pytest.raises(Conflict, match="nothing is proposed"), registry.begin() as tx:
        tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")
    with registry.read() as tx:
        assert tx.proposals.of_run(run.id) == []


def test_a_proposal_does_not_wait_once_its_image_is_in_test(registry):
    (image_id,) = add_images(registry, new_image())
    add_run_with_proposal(registry, image_id)
    with registry.begin() as tx:
        assert len(tx.proposals.pending()) == 1
        tx.images.set_splits({image_id: Split.TEST})
    with registry.read() as tx:
        assert tx.proposals.pending() == []
        assert tx.status.count().proposals["pending"] == 0


def test_no_training_begins_with_a_test_image(registry, test_image):
    (other,) = add_images(registry, new_image("other.png"))
    with pytest.raises(Conflict, match="training must not use"), registry.begin() as tx:
        tx.runs.start(preset="default", config={}, snapshot="s", image_ids=[other, test_image])
    with registry.read() as tx:
        assert tx.runs.all() == []


@pytest.mark.parametrize("column", ["content_hash = 'sha256:x'", "width = 7"])
def test_content_and_size_of_an_image_never_change(registry, column):
    add_images(registry, new_image())
    with pytest.raises(DBAPIError, match="never change"), registry._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE images SET {column}")


@pytest.mark.parametrize("table", ["image_versions", "snapshots", "retractions", "retracted_labels"])
def test_history_is_append_only(registry, table):
    (image_id,) = add_images(registry, new_image())
    label(registry, image_id, present())
    take(registry)
    retract_labels(registry, since=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(DBAPIError, match="append-only"), registry._engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table}")


# --- retraction


@pytest.fixture
def reviewed(registry):
    """Four images: an import, later edited from run-1; edited from run-1 only; drawn by bob; edited, then redrawn."""
    ids = add_images(registry, *(new_image(f"{n}.png") for n in range(4)))
    label(registry, ids[0], present(Box(1, 1, 5, 5)))
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        proposals = [NewProposal(key, "benign", 0.9, 0.9, (Box(9, 9, 9, 9),)) for key in ids]
        tx.proposals.add(proposals, run_id=run.id, tau=0.8, gate="class")
        by_image = {proposal.image_id: proposal.id for proposal in tx.proposals.of_run(run.id)}
    for key in (ids[0], ids[1], ids[3]):
        review(registry, key, Box(10, 10, 9, 9), run_id=run.id, proposal_id=by_image[key])
    review(registry, ids[2], Box(2, 2, 2, 2), reviewer="bob", outcome=ReviewOutcome.DRAWN)
    review(registry, ids[3], Box(3, 3, 3, 3), reviewer="bob", outcome=ReviewOutcome.DRAWN)
    return ids


def boxes_of(registry, ids):
    return [one(registry, key).boxes for key in ids]


def test_everything_born_from_a_run_is_taken_back(registry, reviewed):
    report = retract_labels(registry, run="run-1", author="carol")
    assert (report.labels, report.images, report.restored, report.unknown) == (3, 2, 1, 1)
    assert boxes_of(registry, reviewed) == [(Box(1, 1, 5, 5),), (), (Box(2, 2, 2, 2),), (Box(3, 3, 3, 3),)]
    assert one(registry, reviewed[1]).location_status is LocationStatus.UNKNOWN
    assert check_registry(registry) == []
    with registry.read() as tx:
        assert tx.proposals.pending() == [], "proposals of a run that was taken back do not wait"
        assert tx.history.of_image(reviewed[1])[-1].what == "retracted"
        assert tx.history.of_image(reviewed[0])[-1].what == "restored"


def test_a_retraction_can_be_taken_back(registry, reviewed):
    before = boxes_of(registry, reviewed)
    report = retract_labels(registry, run="run-1")
    undone = undo_retraction(registry, report.retraction)
    assert (undone.images, undone.restored, undone.unknown) == (2, 2, 0)
    assert boxes_of(registry, reviewed) == before
    restored = one(registry, reviewed[1]).label
    assert (restored.source, restored.reviewer, restored.run_id) == (LocationSource.EDITED, "ann", 1)
    assert undo_retraction(registry, report.retraction).retraction is None, "undoing twice changes nothing"
    assert retract_labels(registry, run="run-1").images == 2, "and it can be taken back anew"
    assert check_registry(registry) == []


def test_the_same_retraction_twice_changes_nothing(registry, reviewed):
    retract_labels(registry, run="run-1")
    with registry.read() as tx:
        before = tx.images.select()
    again = retract_labels(registry, run="run-1")
    assert (again.retraction, again.labels, again.images) == (None, 0, 0)
    with registry.read() as tx:
        assert tx.images.select() == before
        assert len(tx.retractions.all()) == 1


def test_a_later_word_is_not_lost_when_an_earlier_one_is_taken_back_and_given_back(registry, reviewed):
    report = retract_labels(registry, reviewer="ann")
    review(registry, reviewed[1], Box(7, 7, 7, 7), reviewer="bob", outcome=ReviewOutcome.DRAWN)
    undo_retraction(registry, report.retraction)
    assert one(registry, reviewed[1]).boxes == (Box(7, 7, 7, 7),)


def test_retractions_may_overlap(registry, reviewed):
    by_run = retract_labels(registry, run="run-1")
    everything = retract_labels(registry, since=datetime.now(UTC) - timedelta(hours=1))
    assert boxes_of(registry, reviewed) == [(), (), (), ()]
    undo_retraction(registry, by_run.retraction)
    edited = (Box(10, 10, 9, 9),)
    assert boxes_of(registry, reviewed) == [edited, edited, (), edited]
    undo_retraction(registry, everything.retraction)
    assert boxes_of(registry, reviewed)[2:] == [(Box(2, 2, 2, 2),), (Box(3, 3, 3, 3),)]
    assert check_registry(registry) == []


def test_criteria_narrow_each_other_and_one_is_needed(registry, reviewed):
    assert retract_labels(registry, reviewer="bob", run="run-1").labels == 0
    assert retract_labels(registry, since=datetime.now(UTC) + timedelta(hours=1)).labels == 0
    with pytest.raises(InvalidArgument, match="--run"):
        retract_labels(registry)
    with pytest.raises(NotFound):
        retract_labels(registry, run="run-9")
    with pytest.raises(NotFound):
        undo_retraction(registry, 99)


def test_a_dry_run_takes_nothing_back(registry, reviewed):
    before = boxes_of(registry, reviewed)
    report = retract_labels(registry, run="run-1", dry_run=True)
    assert (report.labels, report.images, report.retraction) == (3, 2, None)
    assert boxes_of(registry, reviewed) == before


def test_runs_trained_on_what_is_taken_back_are_named(registry, reviewed):
    snapshot = take(registry)
    with registry.begin() as tx:
        tx.runs.start(preset="default", config={}, snapshot=snapshot.hash)
    assert retract_labels(registry, run="run-1").retrain == ["run-2"]


def test_a_mask_comes_back_with_its_label(registry):
    import numpy as np

    from db.imaging.decode import png_from_mask

    (image_id,) = add_images(registry, new_image())
    png = png_from_mask(np.ones((80, 100), dtype=bool))
    label(registry, image_id, replace(present(), mask_png=png))
    report = retract_labels(registry, since=datetime(2020, 1, 1, tzinfo=UTC))
    undo_retraction(registry, report.retraction)
    with registry.read() as tx:
        current = tx.images.get(image_id).label
        assert tx.labels.mask_pngs([current.id]) == {current.id: png}


def test_many_images_settle_at_once(registry):
    ids = add_images(registry, *(new_image(f"{n}.png") for n in range(1200)))
    with registry.begin() as tx:
        from db.records import NewLabel

        tx.labels.append_many([NewLabel(key, present(), LocationSource.IMPORTED) for key in ids])
    report = retract_labels(registry, since=datetime(2020, 1, 1, tzinfo=UTC))
    assert (report.labels, report.unknown) == (1200, 1200)
    assert check_registry(registry) == []


# --- reviews


def test_reviews_are_listed_once_with_what_they_said(registry, reviewed):
    with registry.begin() as tx:
        reviews = tx.reviews.all()
        said = tx.reviews.statements([item.id for item in reviews])
        first = reviews[0]
    assert [(item.reviewer, item.run_name) for item in reviews] == [
        ("ann", "run-1"), ("ann", "run-1"), ("ann", "run-1"), ("bob", None), ("bob", None),
    ]  # fmt: skip
    assert (first.score, first.iou, first.seconds) == (0.9, 0.7, 3.0)
    assert [len(said[item.id].boxes) for item in reviews] == [1] * 5
    with registry.begin() as tx:
        connection = tx.connections.current().id
        number = next(key for key, image_id in tx.reviews.images(connection).items() if image_id == reviewed[2])
        tx.reviews.add(connection, NewReview(reviewed[2], ReviewOutcome.EMPTY, "bob", number, "v2"))
        newest = tx.reviews.all()
    assert len(newest) == len(reviews), "a newer version replaces the older one"
    assert [item.outcome for item in newest if item.image_id == reviewed[2]] == [ReviewOutcome.EMPTY]
