"""The journal on every database: written before, marked as done, gone on with, and one push at a time."""

import os
import socket
from datetime import UTC, datetime, timedelta

import pytest

from annotator.errors import SyncBusy
from annotator.label_studio.sync_journal import LEASE, is_at_work, journaled
from db.records import Box, NewReview, ReviewOutcome, TaskLink
from db.records.sync import (
    AttentionCheck,
    AttentionResponse,
    StepAction,
    StepState,
    SyncKind,
    SyncRecord,
    SyncStatus,
    SyncStep,
)
from tests.builders import add_images, add_run_with_proposal, new_image

GONE = f"{socket.gethostname()}:999999999"


@pytest.fixture
def connection(registry):
    with registry.begin() as tx:
        return tx.connections.use(url="http://x", project_id=1, media="local")


def steps_for(*image_ids):
    return [SyncStep(StepAction.CREATE, image_id=image_id, annotators=2) for image_id in image_ids]


def test_steps_are_numbered_marked_and_linked(registry, connection):
    ids = add_images(registry, new_image("a.png"), new_image("b.png"))
    with journaled(registry, connection, SyncKind.PUSH, {"limit": 2}) as journal:
        first, second = journal.plan(steps_for(*ids))
        journal.sent([first, second])
        journal.keep_addresses({first.ordinal: "/data/upload/a.png"})
        journal.done([first], [TaskLink(ids[0], 50, None, annotators=2)])
        journal.skipped(second, "it cannot be read")
        journal.finish({"created": 1})
    with registry.read() as tx:
        last = tx.journal.last(connection.id, SyncKind.PUSH)
        stored = tx.journal.steps(last.id)
        assert tx.connections.links(connection.id)[ids[0]] == TaskLink(ids[0], 50, None, annotators=2)
        assert tx.connections.annotators_wanted() == {ids[0]: 2}
    assert (last.status, last.counts, last.options) == (SyncStatus.FINISHED, {"created": 1}, {"limit": 2})
    assert [(step.ordinal, step.state, step.address) for step in stored] == [
        (0, StepState.DONE, "/data/upload/a.png"),
        (1, StepState.SKIPPED, None),
    ]


def fail(registry, connection, options, *ids):
    with pytest.raises(RuntimeError, match="cut"), journaled(registry, connection, SyncKind.PUSH, options) as journal:
        journal.sent(journal.plan(steps_for(*ids)))
        raise RuntimeError("cut")
    return journal.sync_id


def test_a_push_that_was_cut_is_gone_on_with_if_the_same_is_asked_for(registry, connection):
    ids = add_images(registry, new_image("a.png"), new_image("b.png"))
    cut = fail(registry, connection, {"limit": 2}, *ids)
    with journaled(registry, connection, SyncKind.PUSH, {"limit": 2}) as journal:
        assert journal.sync_id == cut
        assert [step.image_id for step in journal.begun] == ids
        journal.done(journal.begun)
    with journaled(registry, connection, SyncKind.PUSH, {"limit": 2}) as journal:
        assert (journal.begun, journal.sync_id > cut) == ((), True)


def test_a_push_that_asks_for_something_else_replaces_one_that_was_cut(registry, connection):
    (image_id,) = add_images(registry, new_image())
    cut = fail(registry, connection, {"limit": 1}, image_id)
    with registry.read() as tx:
        assert "RuntimeError: cut" in tx.journal.last(connection.id, SyncKind.PUSH).detail
    with journaled(registry, connection, SyncKind.PUSH, {"limit": 5}) as journal:
        assert journal.begun == ()
    with registry.read() as tx:
        assert [(sync.id, sync.status) for sync in tx.journal.all()] == [
            (journal.sync_id, SyncStatus.FINISHED),
            (cut, SyncStatus.REPLACED),
        ]


def test_two_pushes_at_once_are_one_too_many_and_two_pulls_are_not(registry, connection):
    def push():
        return journaled(registry, connection, SyncKind.PUSH, {})

    with push(), pytest.raises(SyncBusy, match="another push"), push():
        raise AssertionError("not reached")
    with journaled(registry, connection, SyncKind.PULL, {}), journaled(registry, connection, SyncKind.PULL, {}):
        pass


def test_the_push_of_a_process_that_has_died_is_taken_over(registry, connection):
    (image_id,) = add_images(registry, new_image())
    with registry.begin() as tx:
        dead = tx.journal.open(connection.id, SyncKind.PUSH, options={}, owner=GONE)
        tx.journal.add_steps(dead, steps_for(image_id))
    with journaled(registry, connection, SyncKind.PUSH, {}) as journal:
        assert (journal.sync_id, len(journal.begun)) == (dead, 1)


@pytest.mark.parametrize(
    ("owner", "age", "at_work"),
    [
        (f"{socket.gethostname()}:{os.getpid()}", timedelta(0), True),
        (GONE, timedelta(0), False),
        ("elsewhere:1", timedelta(0), True),
        ("elsewhere:1", LEASE * 2, False),
        (f"{socket.gethostname()}:{os.getpid()}", LEASE * 2, False),
        ("elsewhere:1", -LEASE * 1000, False),
    ],
    # Without the process's number, which differs between those that share a test run.
    ids=[
        "this process",
        "one that is gone",
        "another machine",
        "another machine, long ago",
        "this process, long ago",
        "another machine, in the future",
    ],
)
def test_who_is_still_at_work(owner, age, at_work):
    moment = datetime.now(UTC) - age
    sync = SyncRecord(
        1, 1, SyncKind.PUSH, SyncStatus.RUNNING, owner, {}, {}, {}, None, moment, moment, None, age.total_seconds()
    )
    assert is_at_work(sync) is at_work


def test_attention_checks_and_responses_come_back_and_newest_answers_count(registry, connection):
    (image_id,) = add_images(registry, new_image())
    run_id, _ = add_run_with_proposal(registry, image_id)
    check = AttentionCheck(image_id, run_id, 0.9, (Box(50.5, 40, 20, 20),), (Box(1, 2, 3, 4),))
    with registry.begin() as tx:
        tx.attention_checks.add(connection.id, [check])
        stored = tx.attention_checks.of_connection(connection.id)[image_id]
        tx.attention_checks.add_reviews([AttentionResponse(stored.id, 8, "t1", "ann", True, 0.0, 3.5, {"result": []})])
        tx.attention_checks.add_reviews([AttentionResponse(stored.id, 8, "t2", "ann", False, 0.75)])
        assert tx.attention_checks.versions(connection.id) == {8: "t2"}
        (said,) = tx.attention_checks.reviews()
        assert tx.attention_checks.count() == 1
    assert (stored.boxes, stored.truth, stored.run_name) == (check.boxes, check.truth, f"run-{run_id}")
    assert (said.missed, said.truth_iou, said.external_version) == (False, 0.75, "t2")


def test_counts_of_annotations_are_kept_beside_the_links(registry, connection):
    ids = add_images(registry, new_image("a.png"), new_image("b.png"))
    with registry.begin() as tx:
        tx.connections.set_links(connection.id, [TaskLink(ids[0], 5, None), TaskLink(ids[1], 6, None)])
        assert tx.connections.annotation_counts(connection.id) == {5: None, 6: None}
        tx.connections.set_annotation_counts(connection.id, {5: 2, 6: 0})
        tx.connections.set_links(connection.id, [TaskLink(ids[0], 5, None, control=True)])
    with registry.read() as tx:
        assert tx.connections.annotation_counts(connection.id) == {5: 2, 6: 0}


def test_reviews_in_bulk_keep_what_was_said(registry, connection):
    ids = add_images(registry, new_image("a.png"), new_image("b.png"))
    reviews = [
        NewReview(ids[0], ReviewOutcome.EMPTY, "änn", 1, "v1", seconds=1.5, payload={"result": [{"x": 1}]}),
        NewReview(ids[1], ReviewOutcome.DRAWN, "bob", 2, "v1"),
    ]
    with registry.begin() as tx:
        numbers = tx.reviews.add_many(connection.id, reviews)
    with registry.read() as tx:
        assert [review.id for review in tx.reviews.all()] == numbers
        assert tx.reviews.versions(connection.id, [2]) == {2: "v1"}
        assert tx.reviews.all()[0].reviewer == "änn"
