from dataclasses import replace

import pytest

from annotator.label_studio.payload.labeling_config import (
    ACCEPT,
    CANNOT_TELL,
    NO_LESION,
    WRONG_CLASS,
    result_from_boxes,
    result_from_class,
    result_from_verdict,
)
from annotator.label_studio.payload.tasks import CLASSES, KEY, KNOWN_PREFIX
from annotator.label_studio.pull.interpret import NoStatement, Unsettled, interpret_annotation
from annotator.label_studio.pull.plan import Known, plan_pull
from db.records import Box, LocationSource, LocationStatus, ReviewOutcome, TaskLink
from tests.builders import image_record, label_record, proposal_record

IMAGE = image_record(id=7, width=200, height=100)
PROPOSED = Box(20, 10, 40, 30)
PROPOSAL = proposal_record(image_id=7, boxes=(PROPOSED,))


def annotation(result, **fields):
    return {"id": 1, "updated_at": "t1", "completed_by": 3, "result": result, "lead_time": 4.2, **fields}


def known(**fields):
    return Known(**{"images": {IMAGE.key: IMAGE}, "links": {}, "proposals": {}, "versions": {}} | fields)


def drawn(*boxes):
    return result_from_boxes(boxes, 200, 100)


def meant(result, proposal=PROPOSAL, **fields):
    return interpret_annotation(annotation(result, **fields), IMAGE, proposal)


def test_a_proposal_left_as_it_was_is_accepted_with_its_own_numbers():
    review = meant(drawn(Box(20.0001, 10, 40, 30)))
    assert review.outcome is ReviewOutcome.ACCEPTED
    assert review.location.boxes == (PROPOSED,)
    assert review.iou == pytest.approx(1, abs=1e-4)
    assert (review.seconds, review.reviewer, review.proposal_id) == (4.2, "user 3", PROPOSAL.id)


def test_a_moved_box_is_edited_and_its_iou_kept():
    review = meant(drawn(Box(40, 10, 40, 30)))
    assert review.outcome is ReviewOutcome.EDITED
    assert review.iou == pytest.approx(20 / 60)
    box = review.location.boxes[0]
    assert (box.x, box.y, box.width, box.height) == pytest.approx((40, 10, 40, 30))


def test_a_second_box_beside_an_accepted_one_is_an_edit():
    assert meant(drawn(PROPOSED, Box(150, 50, 3, 3))).outcome is ReviewOutcome.EDITED


def test_a_box_elsewhere_or_without_a_proposal_is_drawn():
    assert meant(drawn(Box(150, 60, 20, 20))).outcome is ReviewOutcome.DRAWN
    assert meant(drawn(PROPOSED), proposal=None).outcome is ReviewOutcome.DRAWN


def test_no_lesion_is_said_not_left_out():
    review = meant(result_from_verdict(NO_LESION))
    assert review.outcome is ReviewOutcome.EMPTY
    assert review.location.status is LocationStatus.EMPTY
    with pytest.raises(NoStatement, match="no lesion"):
        meant([], proposal=None)


@pytest.mark.parametrize("result", [[], result_from_verdict(CANNOT_TELL)])
def test_an_emptied_proposal_is_rejected_and_the_place_stays_unknown(result):
    review = meant(result)
    assert (review.outcome, review.location) == (ReviewOutcome.REJECTED, None)


def test_what_is_no_statement():
    with pytest.raises(NoStatement, match="skipped"):
        meant(drawn(PROPOSED), was_cancelled=True)
    with pytest.raises(NoStatement, match="one of the two"):
        meant([*drawn(MOVED), *result_from_verdict(NO_LESION)])
    other_size = [{**drawn(PROPOSED)[0], "original_width": 100, "original_height": 200}]
    with pytest.raises(NoStatement, match="100x200"):
        meant(other_size)


def test_predictions_and_drafts_are_never_pulled():
    task = {
        "id": 1,
        "data": {KEY: IMAGE.key},
        "predictions": [{"id": 2, "result": drawn(PROPOSED), "model_version": "run-1"}],
        "drafts": [{"id": 3, "result": drawn(PROPOSED)}],
        "annotations": [],
    }
    assert plan_pull([task], known()).reviews == []


def test_the_last_word_on_an_image_is_stored_last():
    notes = [annotation(drawn(PROPOSED), id=2, updated_at="t9"), annotation(drawn(PROPOSED), id=3, updated_at="t1")]
    task = {"id": 1, "data": {KEY: IMAGE.key}, "annotations": notes}
    plan = plan_pull([task], known())
    assert [planned.review.external_id for planned in plan.reviews] == [3, 2]


def test_known_versions_are_unchanged_and_foreign_tasks_are_named():
    mine = {"id": 1, "data": {KEY: IMAGE.key}, "annotations": [annotation(drawn(PROPOSED))]}
    foreign = {"id": 2, "data": {"image": "x"}, "annotations": [annotation(drawn(PROPOSED), id=9)]}
    plan = plan_pull([mine, foreign], known(versions={1: "t1"}))
    assert (plan.reviews, plan.unchanged) == ([], 1)
    assert "not made by partly" in plan.skipped[0].reason


def test_a_proposal_is_judged_against_the_prediction_it_started_from():
    newer = proposal_record(id=6, image_id=7, run_id=2, boxes=(Box(100, 50, 40, 30),))
    task = {
        "id": 1,
        "data": {KEY: IMAGE.key},
        "predictions": [{"id": 31, "model_version": "run-1"}, {"id": 32, "model_version": "run-2"}],
        "annotations": [annotation(drawn(PROPOSED), parent_prediction=31)],
    }
    plan = plan_pull([task], known(proposals={5: PROPOSAL, 6: newer}))
    assert plan.reviews[0].review.outcome is ReviewOutcome.ACCEPTED
    assert plan.reviews[0].review.proposal_id == PROPOSAL.id


def test_a_label_changed_here_and_there_is_a_conflict_and_the_word_over_there_is_planned():
    imported_since = image_record(id=7, width=200, height=100, label=label_record(Box(1, 2, 30, 40)))
    task = {"id": 4, "data": {KEY: IMAGE.key}, "annotations": [annotation(drawn(PROPOSED), updated_at="t2")]}
    fresh = known(images={IMAGE.key: imported_since})
    assert [planned.is_conflict for planned in plan_pull([task], fresh).reviews] == [False]
    again = known(images={IMAGE.key: imported_since}, versions={1: "t1"})
    (planned,) = plan_pull([task], again).reviews
    assert (planned.is_update, planned.is_conflict, planned.task_id) == (True, True, 4)
    theirs = replace(imported_since, label=label_record(Box(1, 2, 30, 40), source=LocationSource.DRAWN))
    (planned,) = plan_pull([task], known(images={IMAGE.key: theirs}, versions={1: "t1"})).reviews
    assert planned.is_conflict is False


MOVED, ELSEWHERE = Box(30, 15, 40, 30), Box(150, 60, 20, 20)


def with_verdict(verdict, *boxes):
    return [*drawn(*boxes), *result_from_verdict(verdict)]


@pytest.mark.parametrize("proposed", [PROPOSED, Box(20.0001, 10, 40, 30)])
def test_a_verdict_beats_a_proposal_that_was_left_on_the_page(proposed):
    doubtful = meant(with_verdict(CANNOT_TELL, proposed))
    assert (doubtful.outcome, doubtful.location) == (ReviewOutcome.REJECTED, None)
    assert doubtful.proposal_id == PROPOSAL.id
    empty = meant(with_verdict(NO_LESION, proposed))
    assert (empty.outcome, empty.location.status) == (ReviewOutcome.EMPTY, LocationStatus.EMPTY)


@pytest.mark.parametrize("verdict", [NO_LESION, CANNOT_TELL])
@pytest.mark.parametrize("boxes", [(MOVED,), (ELSEWHERE,), (PROPOSED, ELSEWHERE)])
def test_a_verdict_and_a_box_that_somebody_drew_or_moved_contradict_each_other(verdict, boxes):
    with pytest.raises(Unsettled, match="remove one of the two"):
        meant(with_verdict(verdict, *boxes))
    with pytest.raises(Unsettled, match="remove one of the two"):
        meant(with_verdict(verdict, *boxes), proposal=None)


def test_a_verdict_beats_a_known_location_that_was_left_as_it_was_sent():
    image = replace(IMAGE, label=label_record(PROPOSED))
    sent = result_from_boxes((PROPOSED,), 200, 100, region_prefix=f"{KNOWN_PREFIX}4-")
    said = annotation([*sent, *result_from_verdict(NO_LESION)], updated_by=3)
    assert interpret_annotation(said, image, None).outcome is ReviewOutcome.EMPTY
    said = annotation([*sent, *result_from_verdict(CANNOT_TELL)], updated_by=3)
    review = interpret_annotation(said, image, None)
    assert (review.outcome, review.location, review.proposal_id) == (ReviewOutcome.REJECTED, None, None)
    assert interpret_annotation(said, image, PROPOSAL).outcome is ReviewOutcome.REJECTED
    moved = result_from_boxes((MOVED,), 200, 100, region_prefix=f"{KNOWN_PREFIX}4-")
    with pytest.raises(Unsettled):
        interpret_annotation(annotation([*moved, *result_from_verdict(NO_LESION)], updated_by=3), image, None)


@pytest.mark.parametrize("verdict", [CANNOT_TELL, WRONG_CLASS])
def test_a_verdict_without_a_proposal_is_kept_and_says_nothing_of_the_place(verdict):
    review = meant(result_from_verdict(verdict), proposal=None)
    assert (review.outcome, review.location, review.proposal_id) == (ReviewOutcome.REJECTED, None, None)


def test_accept_says_what_submitting_says():
    assert meant(with_verdict(ACCEPT, PROPOSED)).outcome is ReviewOutcome.ACCEPTED
    assert meant(with_verdict(ACCEPT, MOVED)).outcome is ReviewOutcome.EDITED
    assert meant(with_verdict(ACCEPT, MOVED), proposal=None).outcome is ReviewOutcome.DRAWN
    for proposal in (PROPOSAL, None):
        with pytest.raises(Unsettled, match="but no box"):
            meant(result_from_verdict(ACCEPT), proposal=proposal)


def test_a_wrong_class_rejects_what_was_proposed_and_keeps_what_was_drawn():
    assert meant(with_verdict(WRONG_CLASS, PROPOSED)).outcome is ReviewOutcome.REJECTED
    assert meant(result_from_verdict(WRONG_CLASS)).outcome is ReviewOutcome.REJECTED
    edited = meant(with_verdict(WRONG_CLASS, MOVED))
    assert (edited.outcome, edited.location.boxes) == (ReviewOutcome.EDITED, (MOVED,))


def test_what_has_to_be_settled_is_planned_to_be_looked_at_again():
    notes = [annotation(with_verdict(NO_LESION, MOVED)), annotation([], id=2), annotation([], id=3, was_cancelled=True)]
    tasks = [{"id": 10 + note["id"], "data": {KEY: IMAGE.key}, "annotations": [note]} for note in notes]
    plan = plan_pull(tasks, known())
    assert list(plan.unsettled) == [11, 12]
    assert len(plan.skipped) == 3


# --- "nothing to find"

NOTHING = proposal_record(image_id=7, boxes=(), run_id=3)


@pytest.mark.parametrize("verdict", [ACCEPT, NO_LESION])
def test_nothing_to_find_is_accepted_by_one_key(verdict):
    review = meant(result_from_verdict(verdict), proposal=NOTHING)
    assert (review.outcome, review.location.status) == (ReviewOutcome.ACCEPTED, LocationStatus.EMPTY)
    assert (review.proposal_id, review.iou) == (NOTHING.id, None)


def test_nothing_to_find_is_not_accepted_by_an_untouched_page():
    with pytest.raises(Unsettled, match="choose 'accept'"):
        meant([], proposal=NOTHING)
    with pytest.raises(Unsettled, match="choose 'accept'"):
        meant(result_from_class("benign"), proposal=NOTHING)
    agreed = interpret_annotation(annotation([]), IMAGE, NOTHING, empty_is_none=True)
    assert (agreed.outcome, agreed.location.status) == (ReviewOutcome.ACCEPTED, LocationStatus.EMPTY)


def test_a_box_where_nothing_was_proposed_is_drawn_and_beside_an_acceptance_a_contradiction():
    review = meant(drawn(PROPOSED), proposal=NOTHING)
    assert (review.outcome, review.iou, review.proposal_id) == (ReviewOutcome.DRAWN, None, NOTHING.id)
    for verdict in (ACCEPT, NO_LESION, CANNOT_TELL):
        with pytest.raises(Unsettled, match="remove one"):
            meant(with_verdict(verdict, PROPOSED), proposal=NOTHING)


@pytest.mark.parametrize("verdict", [CANNOT_TELL, WRONG_CLASS])
def test_nothing_to_find_is_rejected_by_what_says_no_place(verdict):
    review = meant(result_from_verdict(verdict), proposal=NOTHING)
    assert (review.outcome, review.location) == (ReviewOutcome.REJECTED, None)


# --- classes

CLASSLESS = replace(IMAGE, class_name=None)


def stated(result, preset=None, image=CLASSLESS, proposal=PROPOSAL):
    review = interpret_annotation(annotation(result), image, proposal, preset_class=preset)
    return review.class_name, review.class_source, review.outcome


def test_a_class_is_accepted_as_it_was_preset_or_chosen():
    said = [*drawn(PROPOSED), *result_from_class("benign")]
    assert stated(said, "benign") == ("benign", "accepted", "accepted")
    assert stated(said, "malignant") == ("benign", "chosen", "accepted")
    assert stated(said, None) == ("benign", "chosen", "accepted")
    assert stated(drawn(PROPOSED), "benign") == (None, None, "accepted"), "nobody chose one"


def test_a_preset_class_that_is_called_wrong_is_not_stored():
    said = [*drawn(PROPOSED), *result_from_verdict(WRONG_CLASS), *result_from_class("benign")]
    assert stated(said, "benign") == (None, None, "rejected")
    assert stated(said, "malignant") == ("benign", "chosen", "rejected")


def test_a_class_alone_says_no_location_unless_that_is_known():
    with pytest.raises(Unsettled, match="gives a class but no location"):
        stated(result_from_class("benign"), proposal=None)
    located = replace(CLASSLESS, label=label_record(Box(1, 2, 30, 40)))
    assert stated(result_from_class("benign"), image=located, proposal=None) == ("benign", "chosen", "rejected")
    said = [*result_from_class("benign"), *result_from_verdict(CANNOT_TELL)]
    assert stated(said, proposal=None) == ("benign", "chosen", "rejected")


def test_a_class_was_preset_only_where_a_prediction_says_so():
    def source(**task):
        notes = [annotation([*drawn(PROPOSED), *result_from_class("benign")], parent_prediction=31)]
        data = {KEY: CLASSLESS.key, CLASSES: [{"value": "benign"}]}
        whole = {"id": 1, "data": data, "annotations": notes, **task}
        links = {1: TaskLink(7, 1, PROPOSAL.id)}
        plan = plan_pull([whole], known(images={CLASSLESS.key: CLASSLESS}, proposals={5: PROPOSAL}, links=links))
        return plan.reviews[0].review.class_source

    def predicted(*classes):
        return [{"id": 31 + n, "model_version": "run-1", "result": result_from_class(name)} for n, name in classes]

    assert source(predictions=predicted((0, "benign"))) == "accepted"
    assert source(predictions=predicted((0, "malignant"))) == "chosen"
    assert source(predictions=[]) == "accepted", "deleted there, but known to have been sent"
    assert source(predictions=[], data={KEY: CLASSLESS.key}) == "chosen", "the page did not ask"
