"""Proposals that there is nothing to find, and images of no known class, through a real Label Studio."""

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.payload.labeling_config import (
    ACCEPT,
    CANNOT_TELL,
    NO_LESION,
    class_in,
    interface,
    result_from_boxes,
    result_from_class,
    result_from_verdict,
)
from annotator.label_studio.payload.tasks import CLASSES, KEY, PROPOSAL, PROPOSES_NOTHING
from annotator.label_studio.pull.plan import PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.review_statistics import summarize_reviews
from db.history.retraction import retract_labels
from db.history.undo import undo_operation
from db.maintenance.integrity import check_registry
from db.records import Box, LocationSource, LocationStatus, NewProposal, Split
from tests.unit.annotator.label_studio.payload.test_labeling_config import OLD

pytestmark = pytest.mark.studio

HERE = Box(20, 30, 40, 25)


@pytest.fixture
def project(registry, phantoms, studio, client, request):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.5))
    title = request.node.name[:50]
    connect_project(registry, client, ConnectRequest(title=title), media_folder=studio.media)
    with registry.read() as tx:
        return tx.connections.current().project_id


def propose(registry, image_ids, *boxes, class_name="benign"):
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        new = [
            NewProposal(image_id, class_name, 0.8, 0.9 - n / 100, boxes, presence=0.1)
            for n, image_id in enumerate(image_ids)
        ]
        tx.proposals.add(new, run_id=run.id, tau=0.5, gate="class")
        return run.name


def unlocated(registry, count):
    with registry.read() as tx:
        return [image.id for image in tx.images.select(located=False)[:count]]


def push(registry, client, studio, what="proposals", **options):
    return push_images(registry, client, PushRequest(what=what, **options), media_folder=studio.media)


def tasks_of(client, project):
    return {int(task["data"][KEY].split("-")[0]): task for task in client.list_tasks(project, with_annotations=True)}


def image_of(registry, image_id):
    with registry.read() as tx:
        return tx.images.get(image_id)


def boxes_on(registry, image_id, *boxes):
    image = image_of(registry, image_id)
    return result_from_boxes(boxes, image.width, image.height, region_prefix="drawn-")


def submit(client, task, result, **options):
    parent = task["predictions"][0]["id"] if task["predictions"] else None
    return client.create_annotation(task["id"], result, parent_prediction=parent, lead_time_s=2.0, **options)


def test_nothing_to_find_is_shown_accepted_refuted_and_taken_back(registry, client, studio, project):
    accepted, agreed, refuted, unsure, untouched = unlocated(registry, 5)
    run = propose(registry, [accepted, agreed, refuted, unsure, untouched])
    report = push(registry, client, studio)
    assert (report.created, report.predictions, report.nothing, report.class_asked) == (5, 5, 5, 0)
    tasks = tasks_of(client, project)
    for task in tasks.values():
        assert task["data"][PROPOSAL] == PROPOSES_NOTHING
        (prediction,) = task["predictions"]
        assert (prediction["result"], prediction["model_version"], prediction["score"]) == ([], run, None)
        assert task["data"][CLASSES] == []
    assert push(registry, client, studio).unchanged == 5
    submit(client, tasks[accepted], result_from_verdict(ACCEPT))
    submit(client, tasks[agreed], result_from_verdict(NO_LESION))
    submit(client, tasks[refuted], boxes_on(registry, refuted, HERE))
    submit(client, tasks[unsure], result_from_verdict(CANNOT_TELL))
    submit(client, tasks[untouched], [])

    report = pull_reviews(registry, client)
    assert report.outcomes == {"accepted": 2, "drawn": 1, "rejected": 1}
    assert "does not say whether there is nothing" in report.skipped[0].reason
    for image_id in (accepted, agreed):
        label = image_of(registry, image_id).label
        assert (label.status, label.source, label.run_id) == (LocationStatus.EMPTY, LocationSource.ACCEPTED, 1)
    assert image_of(registry, refuted).label.source is LocationSource.DRAWN
    with registry.read() as tx:
        assert tx.status.count().proposals == {"pending": 1, "accepted": 2, "edited": 0, "rejected": 2}
    summary = summarize_reviews(registry)
    assert (summary.by_score, [item.nothing for item in summary.queue]) == ([], [True])
    assert sum(found.accepted for found in summary.nothing_by_score) == 2
    assert {found.iou for found in summary.nothing_by_score} == {None}

    retracted = retract_labels(registry, run=run)
    assert (retracted.labels, retracted.unknown) == (2, 2)
    assert image_of(registry, accepted).location_status is LocationStatus.UNKNOWN
    assert image_of(registry, refuted).location_status is LocationStatus.PRESENT
    assert check_registry(registry) == []


def test_a_newer_runs_box_takes_the_words_off_the_page_and_controls_never_have_them(registry, client, studio, project):
    shown, control = unlocated(registry, 2)
    propose(registry, [shown])
    push(registry, client, studio)
    propose(registry, [shown], HERE)
    assert push(registry, client, studio).updated == 1
    task = tasks_of(client, project)[shown]
    assert task["data"][PROPOSAL] == ""
    assert max(task["predictions"], key=lambda item: item["id"])["result"]
    propose(registry, [control])
    assert push(registry, client, studio, control_share=1.0).control == 1
    task = tasks_of(client, project)[control]
    assert (task["data"][PROPOSAL], task["predictions"]) == ("", [])


def forget_classes(registry, image_ids):
    with registry.begin() as tx:
        for image_id in image_ids:
            tx.images.set_facts(image_id, class_name=None, group=None, split=Split.TRAIN)


def test_a_class_is_asked_where_it_is_not_known_and_stored_as_people_say(registry, client, studio, project):
    accepts, chooses, leaves, blind, known = unlocated(registry, 5)
    forget_classes(registry, [accepts, chooses, leaves, blind])
    propose(registry, [accepts, chooses, leaves, known], HERE)
    report = push(registry, client, studio, "partly")
    assert report.class_asked == 4
    tasks = tasks_of(client, project)
    assert [item["value"] for item in tasks[accepts]["data"][CLASSES]] == ["benign", "malignant", "normal"]
    assert tasks[known]["data"][CLASSES] == []
    assert class_in(tasks[accepts]["predictions"][0]["result"]) == "benign"
    assert class_in(tasks[known]["predictions"][0]["result"]) is None

    shown = {image_id: task["predictions"][0]["result"] for image_id, task in tasks.items() if task["predictions"]}
    only_boxes = [region for region in shown[chooses] if region["type"] != "choices"]
    submit(client, tasks[accepts], shown[accepts])
    submit(client, tasks[chooses], [*only_boxes, *result_from_class("malignant")])
    submit(client, tasks[leaves], [region for region in shown[leaves] if region["type"] != "choices"])
    drawn = submit(client, tasks[blind], [*boxes_on(registry, blind, HERE), *result_from_class("normal")])
    assert pull_reviews(registry, client, dry_run=True).classes == 3
    report = pull_reviews(registry, client)
    assert (report.created, report.classes, report.class_contested, report.questioned) == (4, 3, [], [])
    classes = [image_of(registry, image_id).class_name for image_id in (accepts, chooses, leaves, blind)]
    assert classes == ["benign", "malignant", None, "normal"]
    with registry.read() as tx:
        labels = tx.class_labels.standing([accepts, chooses, blind])
        events = [(event.what, event.detail) for event in tx.history.of_image(accepts)]
    assert [(label.source, label.run_id) for (label,) in labels.values()] == [
        ("accepted", 1),
        ("chosen", None),
        ("chosen", None),
    ]
    assert ("classed", "benign (accepted)") in events
    assert pull_reviews(registry, client).classes == 0

    client.http.delete(f"/api/annotations/{drawn}/")
    assert pull_reviews(registry, client, PullRequest(full=True)).classes == 1
    assert image_of(registry, blind).class_name is None
    undo_operation(registry, report.operation)
    assert [image_of(registry, image_id).class_name for image_id in (accepts, chooses)] == [None, None]
    assert pull_reviews(registry, client).classes == 2, "the next pull stores them again"
    title = client.get_project(project).title
    connect_project(registry, client, ConnectRequest(title=title, show_score=True), media_folder=studio.media)
    assert "$partly_score" in client.get_project(project).config, "classes in annotations are no obstacle"
    assert check_registry(registry) == []


def test_annotators_who_disagree_about_a_class_leave_none_and_a_known_class_is_never_overwritten(
    registry, client, studio, project
):
    (image_id, known) = unlocated(registry, 2)
    forget_classes(registry, [image_id])
    propose(registry, [image_id, known], HERE)
    assert push(registry, client, studio, ask_class=True).class_asked == 2
    tasks = tasks_of(client, project)
    assert class_in(tasks[known]["predictions"][0]["result"]) is None, "what is known is not suggested again"
    present = image_of(registry, known).class_name
    other = next(name for name in ("benign", "malignant") if name != present)
    first = [*boxes_on(registry, image_id, HERE), *result_from_class("benign")]
    submit(client, tasks[image_id], first)
    submit(client, tasks[known], [*boxes_on(registry, known, HERE), *result_from_class(other)])
    report = pull_reviews(registry, client)
    assert (report.classes, report.questioned) == (1, [known])
    assert image_of(registry, known).class_name == present
    with registry.read() as tx:
        assert tx.reviews.questioned_classes() == [known]
    # A second person; the server of these tests has one account, so its number is changed here.
    second = submit(client, tasks[image_id], [*first[:-1], *result_from_class("malignant")])
    names = client.user_names
    client.user_names = lambda: {number: f"second {name}" for number, name in names().items()}
    report = pull_reviews(registry, client)
    assert (second is not None, report.classes, report.class_contested) == (True, 1, [image_id])
    assert image_of(registry, image_id).class_name is None


def test_a_project_of_an_earlier_version_gets_todays_interface_and_a_changed_one_is_left_alone(
    registry, client, studio, project
):
    (first, second) = unlocated(registry, 2)
    old = OLD.read_text().replace("{score}", "").replace("{masks}", "")
    client.http.patch(f"/api/projects/{project}/", {"label_config": old})
    propose(registry, [first])
    assert push(registry, client, studio).nothing == 1
    assert client.get_project(project).config.split() == interface().split()
    submit(client, tasks_of(client, project)[first], result_from_verdict(ACCEPT))

    changed = old.replace("wrong class", "wrong sort").replace(
        'alias="no lesion"', 'alias="no lesion" selected="false"'
    )
    client.http.patch(f"/api/projects/{project}/", {"label_config": changed})
    forget_classes(registry, [second])
    propose(registry, [second])
    report = push(registry, client, studio, "partly", limit=1)
    assert (report.nothing, report.class_asked) == (0, 0)
    assert "<Header value=" in next(item.reason for item in report.skipped if item.image == second)
    assert "wrong sort" in client.get_project(project).config
