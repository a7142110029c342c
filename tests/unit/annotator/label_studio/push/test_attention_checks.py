from hypothesis import given
from hypothesis import strategies as st

from annotator.label_studio.payload.labeling_config import (
    ACCEPT,
    CANNOT_TELL,
    NO_LESION,
    result_from_boxes,
    result_from_verdict,
)
from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.pull.interpret import interpret_attention_check
from annotator.label_studio.pull.plan import Known, plan_pull
from annotator.label_studio.push.attention_checks import displaced, plan_attention_checks
from annotator.label_studio.push.plan import plan_push
from db.imaging.geometry import boxes_iou
from db.records import Box, TaskLink
from db.records.sync import AttentionCheck
from tests.builders import image_record, label_record, proposal_record


def located(number, *boxes, **fields):
    content = f"sha256:{number:064x}"
    return image_record(id=number, content_hash=content, width=200, height=100, label=label_record(*boxes), **fields)


@given(st.integers(1, 10_000), st.floats(0, 140), st.floats(0, 60), st.floats(5, 60), st.floats(5, 40))
def test_a_wrong_box_lies_on_the_image_and_beside_the_truth(number, x, y, width, height):
    image = located(number, Box(x, y, width, height))
    wrong = displaced(image)
    if wrong is not None:
        assert boxes_iou([wrong], image.boxes) <= 0.1
        assert 0 <= wrong.x <= 200 - wrong.width
        assert 0 <= wrong.y <= 100 - wrong.height
        assert (wrong.width, wrong.height) == (width, height)


def test_a_lesion_that_fills_the_image_has_no_wrong_place():
    assert displaced(located(1, Box(0, 0, 200, 100))) is None


def test_as_many_as_the_share_says_among_located_images_only():
    candidates = [located(n, Box(10, 10, 20, 20)) for n in range(1, 21)] + [image_record(id=99)]
    shown = [proposal_record(id=n, image_id=100 + n, run_id=2, score=n / 10) for n in range(1, 11)]
    planned = plan_attention_checks(candidates, shown, 0.3)
    assert len(planned) == 3
    assert plan_attention_checks(candidates, shown, 0.3) == planned, "the same ones every time"
    assert {task.check.run_name for task in planned} == {"run-2"}
    assert all(task.check.score in {item.score for item in shown} for task in planned)
    assert all(task.to_step().proposal_id is None and task.link(5).proposal_id is None for task in planned)
    assert plan_attention_checks(candidates, [], 1.0) == []


IMAGE = located(7, Box(10, 10, 20, 20))
TRIAL = AttentionCheck(7, 1, 0.9, (Box(120, 50, 20, 20),), IMAGE.boxes, id=3)


def said(result, **fields):
    return {"id": 1, "updated_at": "t1", "completed_by": 3, "result": result, "lead_time": 2.0, **fields}


def test_leaving_it_is_missing_it_and_anything_else_is_catching_it():
    def outcome(result):
        review = interpret_attention_check(said(result), IMAGE, TRIAL)
        return review.missed, round(review.truth_iou, 3)

    assert outcome(result_from_boxes(TRIAL.boxes, 200, 100)) == (True, 0.0)
    assert outcome(result_from_boxes(IMAGE.boxes, 200, 100)) == (False, 1.0)
    assert outcome([]) == (False, 0.0)
    assert outcome(result_from_verdict(NO_LESION)) == (False, 0.0)


def test_a_response_to_an_attention_check_is_counted_and_becomes_no_review():
    task = {"id": 4, "data": {KEY: IMAGE.key}, "annotations": [said(result_from_boxes(TRIAL.boxes, 200, 100))]}
    known = Known({IMAGE.key: IMAGE}, {}, {}, {}, {7: TRIAL})
    plan = plan_pull([task], known)
    assert plan.reviews == []
    assert [review.check_id for review in plan.checks] == [3]


def test_a_planted_task_stays_as_it_is_and_is_planted_again_if_it_was_cut():
    again = plan_push([IMAGE], {}, {}, [], checks={7: TRIAL}).create
    assert [planned.check for planned in again] == [TRIAL]
    task = {"id": 4, "data": {KEY: IMAGE.key}, "predictions": [{"model_version": "run-1"}]}
    later = proposal_record(id=9, image_id=7, run_id=2)
    plan = plan_push([IMAGE], {7: later}, {7: TaskLink(7, 4, None)}, [task], checks={7: TRIAL})
    assert (plan.create, plan.update, plan.unchanged) == ([], [], 1)


def test_nothing_to_find_is_said_of_lesions_as_often_as_the_real_proposals_say_it():
    candidates = [located(n, Box(10, 10, 20, 20)) for n in range(1, 201)]
    boxes = [proposal_record(id=n, image_id=300 + n, score=0.6) for n in range(50)]
    empty = [proposal_record(id=100 + n, image_id=400 + n, score=0.95, boxes=()) for n in range(50)]
    checks = [task.check for task in plan_attention_checks(candidates, [*boxes, *empty], 1.0)]
    nothing = [check for check in checks if not check.boxes]
    assert 30 < len(nothing) < 70
    assert {check.score for check in nothing} == {0.95}
    assert {check.score for check in checks if check.boxes} == {0.6}
    assert all(not task.boxes for task in plan_attention_checks(candidates, empty, 1.0))
    assert all(task.proposes_nothing for task in plan_attention_checks(candidates, empty, 1.0))


def test_to_agree_with_a_planted_nothing_is_to_miss_it():
    planted = AttentionCheck(7, 1, 0.9, (), IMAGE.boxes, id=3)

    def missed(result):
        return interpret_attention_check(said(result), IMAGE, planted).missed

    assert missed(result_from_verdict(ACCEPT))
    assert missed(result_from_verdict(NO_LESION))
    assert not missed(result_from_verdict(CANNOT_TELL))
    assert not missed(result_from_boxes(IMAGE.boxes, 200, 100))
    assert not missed([]), "an untouched page agrees with nobody"
