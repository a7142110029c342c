"""What a real Label Studio stores and a hostile annotator writes: a bad item is named, and everything else is read."""

import copy
import json
import random

import httpx
import pytest

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.payload.labeling_config import result_from_boxes, result_from_class, result_from_verdict
from annotator.label_studio.payload.received import lack_results
from annotator.label_studio.payload.tasks import KEY, as_own, image_ids_of, problem_of
from annotator.label_studio.pull.plan import Known, plan_pull
from annotator.label_studio.push.plan import plan_push
from annotator.label_studio.reconcile import _annotation_differences, _task_differences
from db.records import Box, TaskLink
from tests.builders import image_record, proposal_record

TOKEN = "0123456789abcdef0123456789abcdef01234567"
INFINITE = float("inf")
BOX = result_from_boxes([Box(20, 10, 40, 30)], 200, 100)[0]
POLYGON = {"id": "p", "type": "polygonlabels", "value": {"points": [[1, 1], [50, 1], [50, 50]]}}
BRUSH = {"id": "b", "type": "brushlabels", "value": {"format": "rle", "rle": [0, 0, 0, 4]}}


def nested(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


def region(base, **changes):
    return {**base, **changes}


def value(base, **changes):
    return {**base, "value": {**base["value"], **changes}}


BAD_RESULTS = {
    "choices that are a number": [region(BOX, type="choices", from_name="verdict", value={"choices": 5})],
    "a choice that is a number": [region(BOX, type="choices", from_name="class", value={"choices": [5]})],
    "a choice with control characters": [
        region(BOX, type="choices", from_name="class", value={"choices": ["a\x1b[2J"]})
    ],
    "half a character": [region(BOX, type="choices", from_name="class", value={"choices": ["\ud800"]})],
    "choices of another tool": [BOX, {"type": "other", "value": {"choices": 5}, "text": "wrong class"}],
    "no value": [region(BOX, value=None)],
    "a value that is a list": [region(BOX, value=["x"])],
    "an infinite number": [value(BOX, x=INFINITE)],
    "a number that is none": [value(BOX, y=float("nan"))],
    "a number of many digits": [value(BOX, width=10**400)],
    "a number far away": [value(BOX, width=1e300)],
    "a number that is text": [value(BOX, height="5")],
    "a missing number": [region(BOX, value={"x": 1})],
    "an odd rotation": [value(BOX, rotation=[1])],
    "paint that is a count": [value(BRUSH, rle=10**9)],
    "paint that is text": [value(BRUSH, rle="abc")],
    "paint with large numbers": [value(BRUSH, rle=[1, 2, 10**400])],
    "paint that is cut": [BRUSH],
    "no corners": [region(POLYGON, value={})],
    "corners that are a number": [value(POLYGON, points=5)],
    "a corner of three": [value(POLYGON, points=[[1, 2, 3]] * 3)],
    "a corner that is not finite": [value(POLYGON, points=[[1, 2], [3, INFINITE], [4, 4]])],
    "60,000 corners": [value(POLYGON, points=[[1, 1]] * 60_000)],
    "10,000 rectangles": [BOX] * 10_000,
    "a side of nothing": [region(BOX, original_width=0)],
    "a huge side": [region(BOX, original_height=10**9)],
    "a side that is true": [region(BOX, original_width=True)],
    "a score that is text": [region(BOX, score="high")],
    "meta that is a list": [region(BOX, meta=["x"])],
    "a region that is text": ["box"],
    "deep nesting": [region(BOX, meta={"text": nested(200)})],
    "infinite somewhere": [region(BOX, other={"a": [INFINITE]})],
    "an id of many digits": [region(BOX, id=10**400)],
    "NUL in a text": [region(BOX, other="a\x00")],
    "a result that is text": "box",
    "a result that is an object": {"0": BOX},
    "no result": None,
}
BAD_FIELDS = {
    "lead_time": ["long", True, INFINITE, 10**400, []],
    "created_at": ["yesterday", 5, []],
    "completed_by": [[1], True, "me", -1, 10**400, {"id": "x"}, {"id": 1, "email": 5}, {"email": "a\x1bb"}],
    "updated_by": [[1], True],
    "parent_prediction": ["31", True, {}],
    "was_cancelled": ["yes", 1, []],
    "updated_at": [5, [], "\x1b"],
}
BAD_TASKS = {
    "no data": {"data": None},
    "data that are a list": {"data": [1]},
    "a key that is a list": {"data": {KEY: [1]}},
    "a key that is not ours": {"data": {KEY: "²-x"}},
    "deep data": {"data": {KEY: "9-x", "more": nested(200)}},
    "a huge round": {"data": {KEY: "9-x", "partly_round": 10**400}},
    "no list of annotations": {"annotations": 5},
    "an annotation that is text": {"annotations": ["x"]},
    "an annotation numbered by text": {"annotations": [{"id": "5", "result": []}]},
    "an annotation numbered by true": {"annotations": [{"id": True, "result": []}]},
    "an annotation of many digits": {"annotations": [{"id": 10**400, "result": []}]},
    "a count that is text": {"overlap": "many"},
}


def annotation(number, result, **fields):
    return {
        "id": number,
        "updated_at": f"2026-01-01T00:00:{number % 60:02}Z",
        "created_at": "2026-01-01T00:00:00Z",
        "completed_by": 3,
        "lead_time": 4.2,
        "result": result,
        **fields,
    }


def task(number, image, *annotations, **fields):
    data = {KEY: image.key, "image": "/data/x.png"}
    return {"id": number, "data": data, "annotations": list(annotations), "predictions": [], **fields}


def image(number):
    return image_record(id=number, width=200, height=100)


def listed(monkeypatch, tasks):
    """What the client makes of a server's answer."""
    body = json.dumps({"tasks": tasks, "total": len(tasks)}).encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **options: real(transport=transport))
    return LabelStudioClient("http://studio.test", TOKEN).list_tasks(1, with_annotations=True)


def read_everywhere(tasks, images):
    """Read tasks as a pull, a push, `partly doctor` and an adoption do; return the plan of the pull."""
    own = [as_own(item, "0" * 8) for item in tasks]
    known = {one.key: one for one in images}
    links = {one.id: TaskLink(one.id, one.id, None) for one in images}
    ids = set(image_ids_of(own))
    assert all(number < 2**63 for number in ids)
    plan = plan_pull(own, Known(known, {one.task_id: one for one in links.values()}, {}, {}), empty_is_none=True)
    plan_push(images, {one.id: proposal_record(image_id=one.id) for one in images}, links, own)
    by_number = {one.id: one for one in images}
    _task_differences(own, links, by_number, {})
    _annotation_differences(own, by_number, {}, {}, plan.unsettled)
    for planned in plan.reviews:
        json.dumps(planned.review.payload, allow_nan=False).encode()
        f"{planned.review.reviewer} {planned.review.class_name}".encode()
        assert planned.review.external_id < 2**63
    return plan


@pytest.mark.parametrize("name", BAD_RESULTS)
def test_a_bad_annotation_is_named_and_the_good_ones_are_read(monkeypatch, name):
    first, second = image(1), image(2)
    tasks = [
        task(1, first, annotation(11, BAD_RESULTS[name]), annotation(12, [BOX])),
        task(2, second, annotation(21, [BOX])),
    ]
    plan = read_everywhere(listed(monkeypatch, tasks), [first, second])
    assert [planned.review.external_id for planned in plan.reviews] == [12, 21]
    (skipped,) = plan.skipped
    assert (skipped.image, skipped.task, skipped.annotation) == (1, 1, 11)
    assert skipped.reason.isprintable()
    assert len(skipped.reason) < 300
    assert list(plan.unsettled) == [1], "the next pull looks at it again"


@pytest.mark.parametrize(("field", "bad"), [(field, bad) for field, values in BAD_FIELDS.items() for bad in values])
def test_a_bad_field_of_an_annotation_is_named(monkeypatch, field, bad):
    only = image(1)
    tasks = [task(1, only, annotation(11, [BOX], **{field: bad}), annotation(12, [BOX]))]
    plan = read_everywhere(listed(monkeypatch, tasks), [only])
    assert [planned.review.external_id for planned in plan.reviews] == [12]
    (skipped,) = plan.skipped
    assert "annotation 11 cannot be read" in skipped.reason
    assert "correct or delete it in Label Studio" in skipped.reason
    assert skipped.reason.isprintable()


@pytest.mark.parametrize("name", BAD_TASKS)
def test_a_bad_task_is_named_and_the_others_are_read(monkeypatch, name):
    first, second = image(1), image(2)
    tasks = [{**task(1, first, annotation(11, [BOX])), **BAD_TASKS[name]}, task(2, second, annotation(21, [BOX]))]
    found = listed(monkeypatch, tasks)
    plan = read_everywhere(found, [first, second])
    assert [planned.review.external_id for planned in plan.reviews] == [21]
    assert "task 1 cannot be read" in plan.skipped[0].reason
    assert list(plan.unsettled) == [1]
    push = plan_push([first, second], {}, {1: TaskLink(1, 1, None), 2: TaskLink(2, 2, None)}, found)
    assert (push.create, push.gone, push.unchanged) == ([], [], 2), "its image still has a task"
    assert "task 1 cannot be read" in push.skipped[0].reason


def test_what_people_draw_is_read_as_it_was(monkeypatch):
    only = image(1)
    regions = [
        region(BOX, meta={"text": ["a note"]}, score=0.5, original_width=200),
        value(BOX, width=-10, rotation=30),
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        {"type": "textarea", "from_name": "t", "to_name": "image", "value": {"text": ["Grüße"]}},
        {"type": "bitmask", "value": {"imageDataURL": "data:" + "A" * 300_000}},
        POLYGON,
        *result_from_class("malignant"),
    ]
    said = annotation(11, regions, completed_by={"id": 3, "email": "a@b.org"}, updated_by=None, parent_prediction=None)
    skip = annotation(12, [], was_cancelled=True)
    (found,) = listed(monkeypatch, [task(1, only, said, skip, annotation(13, result_from_verdict("no lesion")))])
    assert found["annotations"][0] == said
    assert problem_of(found) is None
    plan = read_everywhere([found], [only])
    assert [planned.review.reviewer for planned in plan.reviews] == ["a@b.org", "user 3"]
    assert [item.reason for item in plan.skipped] == ["the task was skipped"]


JUNK = [
    None, True, -1, 0, 10**400, INFINITE, float("nan"), "", "x", "\ud800", "²", [], [1], {}, {"a": 1}, nested(60), 1e300
]  # fmt: skip


def mutated(document, rng):
    """Put junk in one place of a document."""
    document = copy.deepcopy(document)
    places = []

    def walk(node):
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(document)
    # The number of the task is the server's own.
    places = [(node, key) for node, key in places if node is not document or key != "id"]
    node, key = rng.choice(places)
    node[key] = copy.deepcopy(rng.choice(JUNK))
    return document


def test_junk_anywhere_stops_nothing_else(monkeypatch):
    rng = random.Random(5)
    images = [image(number) for number in range(1, 401)]
    prediction = {"id": 31, "model_version": "run-1", "result": [BOX, *result_from_class("benign")]}
    tasks = []
    for one in images:
        regions = [rng.choice([BOX, POLYGON, BRUSH, *result_from_class("benign"), *result_from_verdict("accept")])]
        said = annotation(one.id * 10, [*regions, BOX], parent_prediction=31)
        tasks.append(task(one.id, one, said, predictions=[prediction], overlap=1, is_labeled=True))
    bad = [mutated(item, rng) if item["id"] % 4 else item for item in tasks]
    plan = read_everywhere(listed(monkeypatch, bad), images)
    read = {planned.review.image_id for planned in plan.reviews}
    named = {item.image if item.image is not None else item.task for item in plan.skipped}
    clean = plan_pull(tasks, Known({one.key: one for one in images}, {}, {}, {}), empty_is_none=True)
    expected = {planned.review.image_id for planned in clean.reviews} & set(range(4, 401, 4))
    assert expected <= read
    assert len(expected) > 30
    # Whatever was neither read nor named holds no annotation any more.
    held = {item["id"] for item in bad if item.get("annotations")}
    assert held <= read | named
    assert all(item.reason.isprintable() for item in plan.skipped)


def test_results_are_missed_where_all_are_left_out_not_where_one_is():
    with_result, without = {"id": 1, "result": []}, {"id": 2}
    assert lack_results([{"annotations": [without]}, {"annotations": [without]}])
    assert not lack_results([{"annotations": [without]}, {"annotations": [with_result]}])
    assert not lack_results([{"annotations": []}, {"annotations": 7}])
