from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.push.plan import PushRequest, plan_push
from annotator.label_studio.sync_report import Skipped
from db.records import TaskLink
from db.records.sync import StepAction, SyncStep
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
    plan = plan_push(images, proposals, {}, [], PushRequest(limit=2))
    assert [planned.image.id for planned in plan.create] == [2, 1]
    assert plan.skipped == [Skipped("beyond --limit", 3)]


def test_shares_are_chosen_by_content_and_stay_so():
    images = [image_record(id=n, content_hash=f"sha256:{n:064x}") for n in range(1, 201)]
    proposals = {image.id: proposal_record(id=image.id, image_id=image.id) for image in images}
    request = PushRequest(control_share=0.25, second_share=0.1)
    plan = plan_push(images, proposals, {}, [], request)
    controls = {planned.image.id for planned in plan.create if planned.control}
    twice = {planned.image.id for planned in plan.create if planned.annotators == 2}
    assert 30 <= len(controls) <= 70
    assert 8 <= len(twice) <= 35
    # A larger share takes the same ones and more.
    more = plan_push(images, proposals, {}, [], PushRequest(control_share=0.5))
    assert controls < {planned.image.id for planned in more.create if planned.control}
    for planned in plan.create:
        assert (planned.shown is None) == planned.control
        assert (planned.score is None) == planned.control
        assert planned.rank == -planned.proposal.score
        assert (planned.link(5).proposal_id is None) == planned.control


def test_what_a_cut_push_had_decided_holds_whatever_is_asked_for_now():
    proposal = proposal_record(image_id=7)
    step = SyncStep(StepAction.CREATE, image_id=7, control=True, annotators=2, proposal_id=proposal.id)
    (planned,) = plan_push([IMAGE], {7: proposal}, {}, [], begun=[step]).create
    assert (planned.control, planned.annotators) == (True, 2)


def test_a_task_that_lost_its_second_reader_gets_it_back():
    link = TaskLink(7, 3, None, annotators=2)
    plan = plan_push([IMAGE], {}, {7: link}, [{**task(3, IMAGE), "overlap": 1}])
    assert plan.annotators == [(3, 2)]
    assert plan_push([IMAGE], {}, {7: link}, [{**task(3, IMAGE), "overlap": 2}]).annotators == []


def test_model_versions_in_short_listings_are_read():
    proposal = proposal_record(image_id=7, run_id=1)
    short = {"id": 3, "data": {KEY: IMAGE.key}, "predictions_model_versions": "run-11,run-1"}
    assert plan_push([IMAGE], {7: proposal}, {}, [short]).unchanged == 1
    other = {**short, "predictions_model_versions": "run-11"}
    assert len(plan_push([IMAGE], {7: proposal}, {}, [other]).update) == 1


def done(task_id, image, *versions, number=1, said=1, **data):
    """A task that people are done with."""
    found = task(task_id, image, *versions)
    found["data"] |= {"partly_round": number, **data}
    return found | {"is_labeled": True, "total_annotations": said, "cancelled_annotations": 0}


NEWER = proposal_record(id=6, image_id=7, run_id=2)


def test_a_new_proposal_for_a_finished_task_gets_a_task_of_its_own():
    links = {7: TaskLink(7, 3, 5, annotations=1)}
    (again,) = plan_push([IMAGE], {7: NEWER}, links, [done(3, IMAGE, "run-1")]).create
    assert (again.round, again.proposal, again.control, again.task_id) == (2, NEWER, False, None)
    assert again.link(4) == TaskLink(7, 4, 6, round=2)
    assert again.to_step().round == 2
    # And that one is the image's from then on.
    there = [done(3, IMAGE, "run-1"), task(4, IMAGE, "run-2")]
    there[1]["data"]["partly_round"] = 2
    plan = plan_push([IMAGE], {7: NEWER}, {7: again.link(4)}, there)
    assert (plan.create, plan.update, plan.adopt, plan.conflicts, plan.unchanged) == ([], [], [], [], 1)
    third = proposal_record(id=8, image_id=7, run_id=3)
    (updated,) = plan_push([IMAGE], {7: third}, {7: again.link(4)}, there).update
    assert (updated.task_id, updated.round) == (4, 2)


def test_what_was_held_back_is_shown_once_its_task_is_finished():
    links = {7: TaskLink(7, 3, None, control=True, annotations=1)}
    proposal = proposal_record(image_id=7)
    (again,) = plan_push([IMAGE], {7: proposal}, links, [done(3, IMAGE)]).create
    assert (again.round, again.shown) == (2, proposal)


def test_a_finished_task_that_is_not_pulled_or_not_settled_gets_no_second():
    for there, pulled, reason in [
        (done(3, IMAGE, "run-1", said=2), 1, "partly pull"),
        (done(3, IMAGE, "run-1"), None, "partly pull"),
        (done(3, IMAGE, "run-1", partly_note="Please check: it"), 1, "settle it"),
    ]:
        plan = plan_push([IMAGE], {7: NEWER}, {7: TaskLink(7, 3, 5, annotations=pulled)}, [there])
        assert (plan.create, plan.update, plan.unchanged) == ([], [], 1)
        assert reason in plan.skipped[0].reason


def test_a_later_task_that_was_deleted_is_not_replaced_by_the_first():
    links = {7: TaskLink(7, 4, 6, round=2)}
    plan = plan_push([IMAGE], {7: NEWER}, links, [done(3, IMAGE, "run-1")])
    assert (plan.create, plan.gone) == ([], [IMAGE])
    request = PushRequest(recreate=True)
    (again,) = plan_push([IMAGE], {7: NEWER}, links, [done(3, IMAGE, "run-1")], request).create
    assert again.round == 2


def test_the_control_of_a_cut_push_stays_one_though_nothing_on_the_task_tells():
    proposal = proposal_record(image_id=7)
    step = SyncStep(StepAction.CREATE, image_id=7, control=True, proposal_id=proposal.id)
    plan = plan_push([IMAGE], {7: proposal}, {}, [task(3, IMAGE)], begun=[step])
    assert (plan.update, plan.adopt) == ([], [TaskLink(7, 3, None, control=True)])
