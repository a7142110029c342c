"""What every database must do alike: SQLite in memory and on disk, and a real PostgreSQL."""

import threading
from datetime import UTC

import pytest

from db.errors import Conflict, NotFound, RegistryError, RegistryMissing
from db.records import (
    Box,
    LocationSource,
    LocationStatus,
    NewLabel,
    NewProposal,
    NewReview,
    ReviewOutcome,
    RunStatus,
    Split,
    Supervision,
    TaskLink,
)
from db.records.certificates import CertificateKind, NewCertificate
from db.registry import create_registry, open_registry
from tests.builders import EMPTY, add_images, add_run_with_proposal, new_image, present


def one(registry, image_id):
    with registry.read() as tx:
        return tx.images.get(image_id)


def test_unknown_empty_and_present_are_three_facts(registry):
    unknown, empty, known = add_images(registry, new_image("a"), new_image("b"), new_image("c"))
    with registry.begin() as tx:
        tx.labels.append(NewLabel(empty, EMPTY, source=LocationSource.IMPORTED))
        tx.labels.append(NewLabel(known, present(Box(1, 2, 3, 4), Box(5, 6, 7, 8)), source=LocationSource.IMPORTED))
    assert one(registry, unknown).location_status is LocationStatus.UNKNOWN
    assert one(registry, empty).location_status is LocationStatus.EMPTY
    assert one(registry, known).boxes == (Box(1, 2, 3, 4), Box(5, 6, 7, 8))
    assert [one(registry, key).supervision for key in (unknown, empty, known)] == ["partly", "fully", "fully"]
    with registry.read() as tx:
        assert tx.status.count().locations == {"present": 1, "confirmed_empty": 1, "unknown": 1}
        assert [image.id for image in tx.images.select(supervision=Supervision.PARTLY)] == [unknown]


@pytest.mark.parametrize(
    "row",
    [
        ("present", 0, None, "imported"),  # present without boxes
        ("empty", 1, None, "imported"),  # empty with boxes
        ("unknown", 0, None, "imported"),  # unknown is only said by withdrawing
        ("empty", 0, None, "drawn"),  # a person's label without a review
        ("certain", 1, None, "imported"),
    ],
)
def test_the_schema_refuses_what_is_no_fact(registry, row):
    (image_id,) = add_images(registry, new_image())
    status, boxes, mask, source = row
    with pytest.raises(Conflict), registry._engine.begin() as connection, _translated():
        connection.exec_driver_sql(
            "INSERT INTO location_labels (image_id, revision, status, num_boxes, mask_hash, source, created_at) "
            f"VALUES ({image_id}, 1, '{status}', {boxes}, {mask or 'NULL'}, '{source}', '2026-01-01')"
        )


class _translated:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        from sqlalchemy.exc import IntegrityError

        if isinstance(error, IntegrityError):
            raise Conflict(str(error)) from error


def test_an_empty_location_can_own_no_box(registry):
    from sqlalchemy.exc import IntegrityError

    (image_id,) = add_images(registry, new_image())
    with registry.begin() as tx:
        label = tx.labels.append(NewLabel(image_id, EMPTY, source=LocationSource.IMPORTED))
    for status in ("present", "empty"):
        with pytest.raises(IntegrityError), registry._engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO location_boxes (label_id, ordinal, label_status, x, y, width, height) "
                f"VALUES ({label}, 0, '{status}', 1, 1, 1, 1)"
            )


@pytest.mark.parametrize("statement", ["UPDATE location_labels SET num_boxes = 2", "DELETE FROM location_labels"])
def test_labels_are_append_only(registry, statement):
    from sqlalchemy.exc import DBAPIError

    (image_id,) = add_images(registry, new_image())
    with registry.begin() as tx:
        tx.labels.append(NewLabel(image_id, present(), source=LocationSource.IMPORTED))
    with pytest.raises(DBAPIError, match="append-only"), registry._engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_a_new_label_supersedes_and_the_old_one_stays(registry):
    (image_id,) = add_images(registry, new_image())
    with registry.begin() as tx:
        tx.labels.append(NewLabel(image_id, EMPTY, source=LocationSource.IMPORTED))
        tx.labels.append(NewLabel(image_id, present(Box(1, 1, 5, 5)), source=LocationSource.IMPORTED))
    assert one(registry, image_id).boxes == (Box(1, 1, 5, 5),)
    with registry.read() as tx:
        assert [label.status for label in tx.labels.history(image_id)] == ["empty", "present"]


def test_a_failing_transaction_leaves_nothing(registry):
    with pytest.raises(RuntimeError), registry.begin() as tx:
        tx.images.add([new_image()])
        raise RuntimeError
    with registry.read() as tx:
        assert tx.images.select() == []


def test_the_same_path_twice_is_a_conflict(registry):
    with pytest.raises(Conflict):
        add_images(registry, new_image("a"), new_image("a"))


def test_pending_proposals_end_with_a_review_a_newer_run_or_a_known_location(registry):
    first, second, third = add_images(registry, new_image("a"), new_image("b"), new_image("c"))
    for image_id in (first, second, third):
        add_run_with_proposal(registry, image_id)
    newer_run, newer = add_run_with_proposal(registry, first)
    with registry.read() as tx:
        pending = tx.proposals.pending()
        assert {proposal.image_id for proposal in pending} == {first, second, third}
        assert next(p for p in pending if p.image_id == first).run_id == newer_run
    with registry.begin() as tx:
        tx.labels.append(NewLabel(second, EMPTY, source=LocationSource.IMPORTED))
        connection = tx.connections.use(url="http://x", project_id=1, media="upload")
        tx.reviews.add(connection.id, NewReview(first, ReviewOutcome.REJECTED, "ann", 1, "v1", proposal_id=newer))
    with registry.read() as tx:
        assert [proposal.image_id for proposal in tx.proposals.pending()] == [third]
        assert tx.status.count().proposals == {"pending": 1, "accepted": 0, "edited": 0, "rejected": 1}


def test_a_run_proposes_once_for_an_image(registry):
    from db.records import NewProposal

    (image_id,) = add_images(registry, new_image())
    run_id, _ = add_run_with_proposal(registry, image_id)
    with registry.begin() as tx:
        again = NewProposal(image_id, "benign", 0.5, 0.5, (Box(0, 0, 1, 1),))
        assert tx.proposals.add([again], run_id=run_id, tau=0.1, gate="class") == 0
        assert tx.proposals.of_run(run_id)[0].score == pytest.approx(0.9)


def test_the_same_version_of_an_annotation_is_never_stored_twice(registry):
    (image_id,) = add_images(registry, new_image())
    review = NewReview(image_id, ReviewOutcome.EMPTY, "ann", 1, "v1", location=EMPTY)
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://x", project_id=1, media="upload")
        tx.reviews.add(connection.id, review)
    with pytest.raises(Conflict), registry.begin() as tx:
        tx.reviews.add(connection.id, review)


def test_runs_are_found_by_name_and_the_newest_finished_one_by_default(registry):
    with registry.begin() as tx:
        first = tx.runs.start(preset="paper", config={"lr": 1}, snapshot="s")
        tx.runs.finish(first.id, RunStatus.FINISHED, {"a": 1})
        tx.runs.start(preset="paper", config={}, snapshot="s")
    with registry.read() as tx:
        assert tx.runs.latest().name == first.name == tx.runs.get(str(first.id)).name
        assert tx.runs.get(first.name).metrics == {"a": 1}
        for name in ("run-99", "nonsense", "run-1; DROP"):
            with pytest.raises(NotFound):
                tx.runs.get(name)


def test_a_run_is_one_processs_until_it_ends_or_another_takes_it(registry):
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        assert (run.host, run.pid, run.heartbeat_at) == (None, None, None)
        tx.runs.take(run.id, host="a", pid=1)
    with registry.begin() as tx:
        taken = tx.runs.get(run.name)
        assert (taken.host, taken.pid, taken.heartbeat_at.tzinfo) == ("a", 1, UTC)
        assert tx.runs.beat(run.id, host="a", pid=1)
        assert tx.runs.get(run.name).heartbeat_at > taken.heartbeat_at
        tx.runs.take(run.id, host="b", pid=1)
        assert not tx.runs.beat(run.id, host="a", pid=1)
        tx.runs.release(run.id, host="a", pid=1)
        assert tx.runs.get(run.name).host == "b", "another's is left alone"
        tx.runs.release(run.id, host="b", pid=1)
        assert tx.runs.get(run.name).heartbeat_at is None
        tx.runs.take(run.id, host="b", pid=1)
        tx.runs.finish(run.id, RunStatus.FINISHED, {})
    with registry.read() as tx:
        ended = tx.runs.get(run.name)
    assert (ended.host, ended.pid, ended.heartbeat_at) == (None, None, None)


def test_links_remember_tasks(registry):
    (image_id,) = add_images(registry, new_image())
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://x", project_id=1, media="local")
        tx.connections.set_links(connection.id, [TaskLink(image_id, 11, None)])
        tx.connections.set_links(connection.id, [TaskLink(image_id, 12, None)])
    with registry.read() as tx:
        assert tx.connections.links(connection.id) == {image_id: TaskLink(image_id, 12, None)}


def test_nothing_leaves_test_even_by_the_lowest_door(registry):
    (image_id,) = add_images(registry, new_image(split=Split.TEST))
    with pytest.raises(RegistryError), registry.begin() as tx:
        tx.images.set_splits({image_id: Split.TRAIN})
    assert one(registry, image_id).split is Split.TEST


def test_writers_at_the_same_time_queue_and_lose_nothing(registry, request):
    if registry._engine.url.database in (None, "", ":memory:"):
        pytest.skip("a database in memory has one connection")
    (image_id,) = add_images(registry, new_image())
    problems = []

    def write():
        for _ in range(10):
            try:
                with registry.begin() as tx:
                    tx.labels.append(NewLabel(image_id, EMPTY, source=LocationSource.IMPORTED))
            except Conflict:
                # PostgreSQL lets both in and refuses the second: nothing is overwritten.
                problems.append("conflict")

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with registry.read() as tx:
        revisions = [label.revision for label in tx.labels.history(image_id)]
    assert revisions == list(range(1, 31 - len(problems)))


def test_opening_what_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(RegistryMissing, match="partly init"):
        open_registry(f"sqlite:///{tmp_path}/none.sqlite3", tmp_path)
    with pytest.raises(RegistryError, match="database URL"):
        open_registry("nonsense", tmp_path)


def test_files_below_the_project_move_with_it(tmp_path):
    from dataclasses import replace

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    registry = create_registry(f"sqlite:///{first}/r.sqlite3", first)
    inside = replace(new_image(), path=first / "images" / "a.png")
    outside = replace(new_image(), path=tmp_path / "elsewhere" / "b.png")
    add_images(registry, inside, outside)
    registry.close()
    first.rename(second)
    moved = open_registry(f"sqlite:///{second}/r.sqlite3", second)
    with moved.read() as tx:
        paths = [image.path for image in tx.images.select()]
    assert [str(path) for path in paths] == [f"{second}/images/a.png", f"{tmp_path}/elsewhere/b.png"]
    moved.close()


def test_a_later_round_is_shown_and_the_earlier_one_is_kept(registry):
    first, second = add_images(registry, new_image("a.png"), new_image("b.png"))
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://x", project_id=1, media="local")
        tx.connections.set_links(connection.id, [TaskLink(first, 10, None, control=True), TaskLink(second, 11, None)])
        tx.connections.set_links(connection.id, [TaskLink(first, 12, None, round=2)])
        tx.connections.set_annotation_counts(connection.id, {10: 1})
    with registry.read() as tx:
        links, tasks = tx.connections.links(connection.id), tx.connections.tasks(connection.id)
        assert tx.connections.annotation_counts(connection.id) == {10: 1, 11: None, 12: None}
    assert (links[first].task_id, links[first].round, links[second].task_id) == (12, 2, 11)
    assert (tasks[10].image_id, tasks[10].round, tasks[10].control) == (first, 1, True)


def test_a_registry_gets_its_identity_once_and_a_backup_keeps_it(registry, tmp_path):
    from db.maintenance.backup import backup_registry
    from db.registry import open_registry

    with registry.read() as tx:
        assert tx.connections.identity() is None
    with registry.begin() as tx:
        identity = tx.connections.ensure_identity()
    with registry.begin() as tx:
        assert tx.connections.ensure_identity() == identity
    backup_registry(registry, tmp_path / "b.sqlite3")
    copy = open_registry(f"sqlite:///{tmp_path}/b.sqlite3", tmp_path)
    with copy.read() as tx:
        assert tx.connections.identity() == identity
    copy.close()


ODD_RESULTS = [
    "wrong class",
    5,
    ["wrong class"],
    [{"value": ["wrong class"]}],
    [{"value": {"choices": 5}, "a": "wrong class"}],
]


def test_stored_results_of_any_form_question_no_class(registry):
    (image_id,) = add_images(registry, new_image("a.png"))
    for result in ODD_RESULTS:
        payload = {"result": result, "said": '"wrong class"', "more": ["wrong class"]}
        review = NewReview(image_id, ReviewOutcome.REJECTED, "ann@example.org", 1, str(result)[:60], payload=payload)
        with registry.begin() as tx:
            connection = tx.connections.use(url="http://x", project_id=1, media="local")
            tx.reviews.add(connection.id, review)
        with registry.read() as tx:
            assert tx.reviews.questioned_classes() == []


def test_a_questioned_class_is_listed_until_it_is_corrected(registry):
    from db.curation.changes import set_facts
    from db.curation.doctor import find_problems

    ids = add_images(registry, *(new_image(f"{name}.png") for name in "abc"))

    def say(image_id, choice, version):
        review = NewReview(
            image_id=image_id,
            outcome=ReviewOutcome.REJECTED,
            reviewer="ann@example.org",
            external_id=image_id,
            external_version=version,
            proposal_id=None,
            iou=None,
            seconds=None,
            location=None,
            payload={"result": [{"type": "choices", "value": {"choices": [choice]}}]},
        )
        with registry.begin() as tx:
            connection = tx.connections.use(url="http://x", project_id=1, media="local")
            tx.reviews.add(connection.id, review)

    say(ids[0], "wrong class", "1")
    say(ids[1], "wrong class", "1")
    say(ids[1], "cannot tell", "2")
    # The words alone, in another place, say nothing.
    say(ids[2], 'not "wrong class"', "1")
    with registry.read() as tx:
        assert tx.reviews.questioned_classes() == [ids[0]]
    (finding,) = [item for item in find_problems(registry) if item.kind == "class_questioned"]
    assert f"partly set {ids[0]} --class NAME" in finding.detail
    set_facts(registry, [str(ids[0])], group="p1")
    with registry.read() as tx:
        assert tx.reviews.questioned_classes() == [ids[0]], "another fact is not the class"
    set_facts(registry, [str(ids[0])], class_name="malignant")
    with registry.read() as tx:
        assert tx.reviews.questioned_classes() == []


def test_a_rehearsal_does_everything_and_keeps_nothing(registry):
    with registry.begin(rehearsal=True) as tx:
        tx.images.add([new_image()])
        assert len(tx.images.select()) == 1
    with registry.read() as tx:
        assert tx.images.select() == []


def test_rejected_proposals_are_found_until_they_are_judged_otherwise(registry):
    first, second, third = ids = add_images(registry, *(new_image(name, split=Split.VAL) for name in "abc"))
    proposals = {image_id: add_run_with_proposal(registry, image_id)[1] for image_id in ids}
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://x", project_id=1, media="upload")

        def say(image_id, outcome, version):
            review = NewReview(image_id, outcome, "ann", image_id, version, proposal_id=proposals[image_id])
            tx.reviews.add(connection.id, review)

        say(first, ReviewOutcome.REJECTED, "v1")
        say(second, ReviewOutcome.REJECTED, "v1")
        say(second, ReviewOutcome.EDITED, "v2")
        say(third, ReviewOutcome.ACCEPTED, "v1")
    with registry.read() as tx:
        assert tx.proposals.rejected_for(ids) == {first}
        assert tx.proposals.rejected_for([third]) == set()


def test_proposals_for_validation_images_do_not_wait(registry):
    ids = add_images(registry, *(new_image(str(split), split=split) for split in (Split.TRAIN, Split.VAL, None)))
    for image_id in ids:
        add_run_with_proposal(registry, image_id)
    with registry.read() as tx:
        assert {proposal.image_id for proposal in tx.proposals.pending()} == {ids[0], ids[2]}
        assert tx.status.count().proposals["pending"] == 2


def test_a_proposal_carries_its_certificate_and_the_history_says_what_it_promises(registry):
    (image_id,) = add_images(registry, new_image())
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="sha256:0")
        certificate = tx.certificates.add(
            NewCertificate(
                run_id=run.id, kind=CertificateKind.BOXES, gate="class", tau=0.5, precision=0.9, confidence=0.8,
                accepted=40, errors=1, lower_bound=0.92, needed=0, image_ids=(1, 2),
            )
        )  # fmt: skip
        proposal = NewProposal(image_id, "benign", 0.9, 0.8, (Box(1, 2, 3, 4),))
        tx.proposals.add([proposal], run_id=run.id, tau=0.5, gate="class", certificate_id=certificate.id)
    with registry.read() as tx:
        (stored,) = tx.proposals.of_run(run.id)
        (event,) = [event for event in tx.history.of_image(image_id) if event.what == "proposed"]
    assert stored.certificate_id == certificate.id
    assert "at least 90% of images, at a confidence of 80%" in event.detail


def test_as_many_images_are_counted_as_selected(registry):
    ids = add_images(registry, *(new_image(str(n), split=split) for n, split in enumerate([*Split, None])))
    with registry.begin() as tx:
        tx.labels.append(NewLabel(ids[0], EMPTY, source=LocationSource.IMPORTED))
    with registry.read() as tx:
        assert tx.images.count() == 4
        assert tx.images.count(splits=[Split.TRAIN, None], located=False) == 1
        assert tx.images.count(located=True) == 1
