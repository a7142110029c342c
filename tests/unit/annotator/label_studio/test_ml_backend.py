"""What the ML backend answers, from a registry; the protocol with a real server is in tests/e2e/test_live.py."""

import json

import httpx
import pytest

from annotator.label_studio.ml_backend import MlBackend
from annotator.label_studio.payload.labeling_config import class_in, regions_in
from annotator.label_studio.payload.tasks import CLASSES, KEY, PROPOSAL, PROPOSES_NOTHING
from annotator.label_studio.web_server import RequestInvalid, WebServer
from db.records import Box
from tests.builders import add_images, new_image, proposal_record

BOXES = (Box(20, 10, 40, 30),)


@pytest.fixture
def ask(registry):
    """Asks about one task of an image of this class; returns the regions of the answer."""

    def answer(boxes=BOXES, *, class_name=None, **data):
        (image_id,) = add_images(registry, new_image(f"{len(data)}{class_name}{len(boxes)}.png", class_name=class_name))
        with registry.read() as tx:
            image = tx.images.get(image_id)
        proposal = proposal_record(image_id=image_id, boxes=boxes, class_name="malignant")
        backend = MlBackend(registry, lambda ids: {image_id: proposal} if image_id in ids else {}, lambda: "run-1")
        answers = backend.predict({"tasks": [{"data": {KEY: image.key, **data}}]})["results"][0]
        return answers[0]["result"] if answers else None

    return answer


def test_a_box_is_answered_with_the_class_only_where_the_page_asks_for_it(ask):
    result = ask(**{CLASSES: [{"value": "benign"}]})
    assert (len(regions_in(result, "rectanglelabels")), class_in(result)) == (1, "malignant")
    assert class_in(ask(**{CLASSES: []}, more=1)) is None
    assert class_in(ask(class_name="benign", **{CLASSES: [{"value": "benign"}]})) is None


def test_nothing_to_find_is_not_answered_and_no_box_appears_under_words_that_say_so(ask):
    assert ask(()) is None
    assert ask(**{PROPOSAL: PROPOSES_NOTHING}) is None


@pytest.fixture
def backend(registry):
    """Three images that are proposed for, and their tasks."""
    ids = add_images(registry, *(new_image(f"{n}.png") for n in range(3)))
    with registry.read() as tx:
        tasks = [{"id": image.id, "data": {KEY: image.key}} for image in tx.images.select()]
    found = {image_id: proposal_record(image_id=image_id, boxes=BOXES) for image_id in ids}
    return MlBackend(registry, lambda wanted: {one: found[one] for one in wanted}, lambda: "run-1"), tasks


@pytest.mark.parametrize(
    "bad",
    [
        *(
            None,
            7,
            "x",
            [],
            {},
            {"data": None},
            {"data": []},
            {"data": "x"},
            {"data": {KEY: "²-x"}},
            {"data": {KEY: 7}},
        ),
        *(
            {"data": {KEY: {"a": []}}},
            {"data": {KEY: "\ud800"}},
            {"id": [], "data": {KEY: "1-"}},
            {"data": {KEY: "9" * 400}},
        ),
        *(
            {"data": {KEY: "1-x"}, "annotations": 7},
            {"data": {KEY: "1-x", "partly_round": "x"}},
            {"meta": float("nan")},
        ),
    ],
)
def test_a_task_that_cannot_be_read_takes_no_other_with_it(backend, bad):
    server, tasks = backend
    results = server.predict({"tasks": [tasks[0], bad, tasks[2]]})["results"]
    assert [len(result) for result in results] == [1, 0, 1]


@pytest.mark.parametrize("tasks", [7, "x", {"a": 1}, True, 0, "", {}, False, None, float("nan"), [1] * 200_000])
def test_what_is_no_list_of_tasks_is_refused(backend, tasks):
    with pytest.raises(RequestInvalid):
        backend[0].predict({"tasks": tasks})


def test_one_request_is_one_line_of_the_log_however_many_of_its_tasks_are_bad(backend, caplog):
    server, tasks = backend
    results = server.predict({"tasks": [*[7] * 5000, tasks[0]]})["results"]
    assert [len(result) for result in results] == [0] * 5000 + [1]
    (line,) = caplog.messages
    assert "5,000" in line


def test_numbers_and_characters_that_cannot_be_stored_reach_it_over_the_network_and_stop_nothing(backend):
    server, tasks = backend
    good = json.dumps(tasks[0])
    odd = ('{"data": {"x": NaN}}', '{"data": {"x": 1%s}}' % ("0" * 400), '{"data": {"partly_key": "\\ud800"}}',
           '{"data": {"x": -Infinity}}', '{"data": %s}' % ("[" * 500 + "]" * 500))  # fmt: skip
    body = f'{{"tasks": [{good}, {", ".join(odd)}, {good}], "project": 1e999}}'
    with WebServer(server.handlers(), host="127.0.0.1", port=0) as running:
        answer = httpx.post(
            f"http://127.0.0.1:{running.port}/predict", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 200
    assert [len(result) for result in answer.json()["results"]] == [1, *[0] * len(odd), 1]
