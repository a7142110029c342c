from annotator.push_plan import plan_push
from annotator.tasks import KEY
from db.records import TaskLink
from tests.builders import image_record, proposal_record


def task(task_id, image, *versions):
    return {"id": task_id, "data": {KEY: image.key}, "predictions": [{"model_version": v} for v in versions]}


IMAGE = image_record(id=7)


def test_a_task_is_created_once_and_then_left_alone():
    proposal = proposal_record(image_id=7)
    assert plan_push([IMAGE], {7: proposal}, {}, []).create[0].image == IMAGE
    plan = plan_push([IMAGE], {7: proposal}, {7: TaskLink(7, 3, proposal.id)}, [task(3, IMAGE, "run-1")])
    assert (plan.create, plan.update, plan.adopt, plan.unchanged) == ([], [], [], 1)


def test_a_task_that_is_there_but_not_noted_here_is_adopted_not_made_again():
    proposal = proposal_record(image_id=7)
    plan = plan_push([IMAGE], {7: proposal}, {}, [task(3, IMAGE, "run-1")])
    assert (plan.create, plan.adopt) == ([], [TaskLink(7, 3, proposal.id)])


def test_a_newer_proposal_is_added_to_the_task():
    newer = proposal_record(id=9, image_id=7, run_id=2)
    plan = plan_push([IMAGE], {7: newer}, {7: TaskLink(7, 3, 5)}, [task(3, IMAGE, "run-1")])
    assert [(planned.image, planned.task_id) for planned in plan.update] == [(IMAGE, 3)]


def test_a_task_without_a_proposal_any_more_keeps_its_link():
    plan = plan_push([IMAGE], {}, {7: TaskLink(7, 3, 5)}, [task(3, IMAGE)])
    assert (plan.unchanged, plan.adopt) == (1, [])


def test_tasks_are_matched_by_key_never_by_order_or_by_place():
    other = image_record(id=8)
    plan = plan_push([IMAGE, other], {}, {}, [{"id": 1, "data": {"image": "a.png"}}, task(2, other)])
    assert [planned.image for planned in plan.create] == [IMAGE]
    assert plan.adopt == [TaskLink(8, 2, None)]


def test_the_limit_takes_the_surest_first():
    images = [image_record(id=n) for n in (1, 2, 3)]
    proposals = {n: proposal_record(id=n, image_id=n, score=score) for n, score in ((1, 0.2), (2, 0.9))}
    plan = plan_push(images, proposals, {}, [], limit=2)
    assert [planned.image.id for planned in plan.create] == [2, 1]
    assert plan.skipped == [{"image": 3, "reason": "beyond --limit"}]
