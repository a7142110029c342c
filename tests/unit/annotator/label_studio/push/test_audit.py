from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.push.audit import add_audit, audit_candidates
from annotator.label_studio.push.order import in_order
from annotator.label_studio.push.plan import PushRequest, plan_push
from db.records import Split
from tests.builders import image_record, proposal_record


def images(first, count, split):
    return [image_record(id=n, content_hash=f"sha256:{n:064x}", split=split) for n in range(first, first + count)]


TRAIN, VAL = images(1, 90, Split.TRAIN), images(101, 40, Split.VAL)
PROPOSALS = {image.id: proposal_record(id=image.id, image_id=image.id, score=image.id / 100) for image in TRAIN}
CANDIDATES = audit_candidates(VAL, {image.id: str(image.id) for image in VAL}, ())


def planned(images=TRAIN, candidates=CANDIDATES, **options):
    request = PushRequest(**options)
    plan = plan_push(images, PROPOSALS, {}, [], request)
    add_audit(plan, candidates, request)
    return plan


def ids(tasks):
    return [task.image.id for task in tasks]


def test_validation_images_are_sent_without_their_proposal():
    seen = {image.id: proposal_record(id=image.id, image_id=image.id) for image in VAL}
    plan = plan_push(VAL[:3], seen, {}, [])
    assert [(task.shown, task.sent_proposal_id, task.score) for task in plan.create] == [(None, None, None)] * 3
    there = [{"id": 3, "data": {KEY: VAL[0].key}, "predictions": []}]
    assert plan_push(VAL[:1], seen, {}, there).update == []


def test_validation_images_stand_at_random_places_and_always_the_same():
    placed = [item.image.id for item in in_order([*TRAIN, *VAL], PROPOSALS)]
    blind = [n for n, image_id in enumerate(placed) if image_id > 100]
    assert 45 < sum(blind) / len(blind) < 85, "neither first nor last"
    assert [placed[n] for n in blind] != sorted(placed[n] for n in blind)
    assert [image_id for image_id in placed if image_id <= 100] == [image.id for image in TRAIN[::-1]]
    assert placed == [item.image.id for item in in_order([*VAL, *TRAIN], PROPOSALS)]
    assert [item.image for item in in_order(VAL, {})] != VAL


def test_a_limit_takes_a_fair_share_of_validation_images():
    plan = plan_push([*TRAIN, *VAL], PROPOSALS, {}, [], PushRequest(what="partly", limit=65))
    assert 10 <= sum(image_id > 100 for image_id in ids(plan.create)) <= 30


def test_the_audit_fills_its_share_of_the_new_tasks():
    plan = planned(audit_share=0.1)
    assert (len(plan.create), sum(task.audit for task in plan.create)) == (100, 10)
    assert {task.image.id for task in plan.create if task.audit} == set(ids_of(CANDIDATES[:10]))
    limited = planned(audit_share=0.25, limit=40)
    assert (len(limited.create), sum(task.audit for task in limited.create)) == (40, 10)
    # The surest proposals stay.
    assert {image_id for image_id in ids(limited.create) if image_id <= 100} == set(range(61, 91))
    assert {item.image for item in limited.skipped} == set(range(1, 61))
    assert planned(audit_share=0.1, images=[]).create == []


def ids_of(candidates):
    return [image.id for image in candidates]


def test_where_there_are_too_few_the_others_fill_the_limit():
    plan = planned(audit_share=0.5, limit=40, candidates=CANDIDATES[:4])
    assert (len(plan.create), sum(task.audit for task in plan.create)) == (40, 4)
    assert not [task for task in planned(audit_share=0.5, candidates=[]).create if task.audit]


def test_an_audit_share_of_one_sends_nothing_else():
    plan = planned(audit_share=1.0, limit=7)
    assert ids(sorted(plan.create, key=lambda task: ids_of(CANDIDATES).index(task.image.id))) == ids_of(CANDIDATES[:7])
    assert len(plan.skipped) == len(TRAIN)
    assert len(planned(audit_share=1.0).create) == len(VAL)


def test_validation_images_that_are_sent_anyway_count_towards_the_share():
    assert (
        sum(task.audit for task in planned([*TRAIN, *VAL[:10]], CANDIDATES[:5], audit_share=0.1, what="all").create)
        == 0
    )


def test_a_task_of_the_audit_is_like_any_other_without_a_proposal():
    plan = planned(audit_share=0.3, control_share=0.3)
    audit = [task for task in plan.create if task.audit]
    control = [task for task in plan.create if task.control]
    assert audit
    assert control
    for task in (*audit, *control):
        assert (task.shown, task.boxes, task.score, task.annotators) == (None, (), None, 1)
        assert task.link(5).proposal_id is None
    order = ids(plan.create)
    places = [order.index(task.image.id) / len(order) for task in audit]
    assert 0.3 < sum(places) / len(places) < 0.7
    # Sorted by rank, as a push does, each stays where it was put.
    assert ids(sorted(plan.create, key=lambda task: task.rank)) == order


def test_an_interrupted_push_of_an_earlier_version_goes_on():
    assert "audit_share" not in PushRequest().to_document()
    assert PushRequest(audit_share=0.1).to_document()["audit_share"] == 0.1


def test_one_image_of_a_group_is_enough():
    groups = {image.id: str(image.id // 10) for image in VAL}
    chosen = audit_candidates(VAL, groups, covered=[VAL[0].id, 7])
    assert len({groups[image.id] for image in chosen}) == len(chosen) == 4
    assert groups[VAL[0].id] not in {groups[image.id] for image in chosen}
