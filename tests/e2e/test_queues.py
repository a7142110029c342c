"""What is sent for review, to a real Label Studio: plans, second readers, planted proposals, a push that was cut."""

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.errors import ConnectionFailed
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.pull.plan import PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.review_statistics import attention_summaries, waiting_for_second
from db.imaging.geometry import boxes_iou
from db.records import NewProposal, Split, Supervision
from tests.e2e.test_label_studio import image_of, propose

pytestmark = pytest.mark.studio


@pytest.fixture
def project(registry, phantoms, studio, client, request):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.5))
    connection = connect_project(
        registry, client, ConnectRequest(title=request.node.name[:50]), media_folder=studio.media
    ).connection
    with registry.begin() as tx:
        partly = tx.images.select(supervision=Supervision.PARTLY)
        tx.images.set_splits({image.id: Split.TRAIN for image in partly})
    propose(registry, count=10)
    return connection.project_id


def push(registry, client, studio, what="proposals", *, dry_run=False, **options):
    request = PushRequest(what=what, **options)
    return push_images(registry, client, request, media_folder=studio.media, dry_run=dry_run)


def tasks_of(client, project):
    tasks = client.list_tasks(project, with_annotations=True)
    return {int(task["data"][KEY].partition("-")[0]): task for task in tasks}


def test_a_plan_says_what_would_be_done_and_does_nothing(registry, client, studio, project):
    plan = push(registry, client, studio, limit=4, dry_run=True).plan
    assert [item.action for item in plan] == ["create"] * 4
    assert client.list_tasks(project, with_annotations=False) == []
    assert push(registry, client, studio, limit=4).plan == plan
    with registry.read() as tx:
        (sync,) = tx.journal.all()
        assert [step.image_id for step in tx.journal.steps(sync.id)] == [item.image for item in plan]
    chosen = plan[0].image
    task = tasks_of(client, project)[chosen]
    image = image_of(registry, chosen)
    client.create_annotation(
        int(task["id"]), result_from_boxes(image_boxes(registry, chosen), image.width, image.height)
    )
    dry = pull_reviews(registry, client, dry_run=True)
    assert [(item.action, item.image, item.outcome) for item in dry.plan] == [("create", chosen, "accepted")]
    assert image_of(registry, chosen).boxes == ()
    assert pull_reviews(registry, client).plan == dry.plan


def image_boxes(registry, image_id):
    with registry.read() as tx:
        return tx.proposals.of_image(image_id)[0].boxes


def test_a_share_is_for_two_people_and_the_queue_says_who_waits(registry, client, studio, project):
    report = push(registry, client, studio, second_share=0.5)
    tasks = tasks_of(client, project)
    twice = {image_id for image_id, task in tasks.items() if task["overlap"] == 2}
    assert 0 < len(twice) == report.second < 10
    views = {view["data"]["title"]: view["id"] for view in client.http.get("/api/dm/views/", project=project)}
    assert list(views) == ["to review", "unclear", "second reading", "done"]
    shown = client.http.get("/api/tasks/", project=project, view=views["second reading"])["tasks"]
    assert {task["id"] for task in shown} == {tasks[image_id]["id"] for image_id in twice}
    assert push(registry, client, studio, second_share=0.5).created == 0
    with registry.read() as tx:
        wanted = tx.connections.annotators_wanted()
        assert set(wanted) == twice
        assert set(waiting_for_second(wanted, tx.reviews.all())) == twice
    first = min(twice)
    client.set_annotators(int(tasks[first]["id"]), 1)
    push(registry, client, studio)
    assert tasks_of(client, project)[first]["overlap"] == 2, "what was asked for is put right again"
    name = f"second-{project}@example.org"
    second = client._sdk.users.create(email=name, username=name)
    for reviewer in (None, second.id):
        image = image_of(registry, first)
        drawn = result_from_boxes(image_boxes(registry, first), image.width, image.height)
        made = client.create_annotation(int(tasks[first]["id"]), drawn)
        if reviewer is not None:
            client._sdk.annotations.update(id=made, completed_by=reviewer)
    pull_reviews(registry, client)
    with registry.read() as tx:
        assert first not in waiting_for_second(wanted, tx.reviews.all())


def test_the_audit_sends_random_validation_images_that_nothing_tells_apart(registry, client, studio, project):
    with registry.begin() as tx:
        partly = tx.images.select(supervision=Supervision.PARTLY)
        val = {image.id for image in partly[-6:]}
        tx.images.set_splits(dict.fromkeys(val, Split.VAL))
    planned = push(registry, client, studio, audit_share=0.25, control_share=0.3, dry_run=True)
    report = push(registry, client, studio, audit_share=0.25, control_share=0.3)
    assert report.plan == planned.plan
    assert (report.created, report.audit, report.predictions) == (13, 3, 10 - report.control)
    assert report.control > 0
    tasks = tasks_of(client, project)
    audit = val & set(tasks)
    assert len(audit) == 3
    control = next(task for image_id, task in tasks.items() if image_id not in val and not task["predictions"])
    own = ("image", KEY, "partly_image", "partly_class")
    for image_id in audit:
        assert {key: value for key, value in tasks[image_id]["data"].items() if key not in own} == {
            key: value for key, value in control["data"].items() if key not in own
        }
        assert tasks[image_id]["predictions"] == []
    order = [image_id for image_id, task in sorted(tasks.items(), key=lambda item: item[1]["id"])]
    assert [order.index(image_id) for image_id in audit] != [10, 11, 12]
    assert push(registry, client, studio, audit_share=0.25, control_share=0.3).created == 0
    rest = push(registry, client, studio, audit_share=1.0, limit=2)
    assert (rest.created, rest.audit, rest.predictions) == (2, 2, 0)
    image_id = min(audit)
    image = image_of(registry, image_id)
    drawn = result_from_boxes(image_boxes(registry, min(set(tasks) - val)), image.width, image.height)
    client.create_annotation(int(tasks[image_id]["id"]), drawn)
    assert pull_reviews(registry, client).outcomes == {"drawn": 1}
    assert len(image_of(registry, image_id).boxes) == 1


def test_planted_proposals_are_hidden_counted_and_never_labels(registry, client, studio, project):
    report = push(registry, client, studio, catch_share=0.3)
    assert (report.created, report.catch) == (13, 3)
    with registry.read() as tx:
        checks = tx.attention_checks.of_connection(tx.connections.current().id)
        before = {image_id: tx.images.get(image_id).label for image_id in checks}
    tasks = tasks_of(client, project)
    for image_id, check in checks.items():
        task = tasks[image_id]
        assert set(task["data"]) == set(tasks[min(set(tasks) - set(checks))]["data"]), "nothing gives it away"
        assert task["predictions"][0]["model_version"] == "run-1"
        assert boxes_iou(check.boxes, before[image_id].boxes) <= 0.1
    missed, caught, _ = sorted(checks)
    image = image_of(registry, missed)
    client.create_annotation(
        int(tasks[missed]["id"]), result_from_boxes(checks[missed].boxes, image.width, image.height)
    )
    image = image_of(registry, caught)
    client.create_annotation(int(tasks[caught]["id"]), result_from_boxes(image.boxes, image.width, image.height))
    report = pull_reviews(registry, client)
    assert (report.created, report.catch) == (0, 2)
    assert pull_reviews(registry, client).catch == 0
    assert pull_reviews(registry, client, PullRequest(full=True)).catch == 0
    with registry.read() as tx:
        (summary,) = attention_summaries(tx.attention_checks.reviews())
        assert {image_id: tx.images.get(image_id).label for image_id in checks} == before
    assert (summary.shown, summary.missed, summary.truth_iou) == (2, 1, pytest.approx(0.5, abs=0.01))
    assert push(registry, client, studio, catch_share=0.3).catch == 0, "no second planting for the same proposals"


def test_a_push_that_was_cut_goes_on_with_its_own_plan(registry, client, studio, project, monkeypatch):
    monkeypatch.setattr("annotator.label_studio.push.execute.CHUNK", 2)
    monkeypatch.setattr("annotator.label_studio.push.execute.WRITE_ROUNDS", 1)
    real, sent = client.import_tasks, []

    def breaking(project_id, tasks):
        sent.append(len(tasks))
        if len(sent) == 2:
            raise ConnectionFailed("gone")
        return real(project_id, tasks)

    monkeypatch.setattr(client, "import_tasks", breaking)
    options = {"limit": 6, "control_share": 0.4, "second_share": 0.4}
    with pytest.raises(ConnectionFailed):
        push(registry, client, studio, **options)
    assert len(client.list_tasks(project, with_annotations=False)) == 2
    with registry.read() as tx:
        (cut,) = tx.journal.all()
        planned = {step.image_id: (step.control, step.annotators) for step in tx.journal.steps(cut.id)}
    assert (cut.status, len(planned)) == ("failed", 6)
    # A surer proposal has come meanwhile; the cut push finishes what it had begun, no more and nothing else.
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        others = [image for image in tx.images.select(supervision=Supervision.PARTLY) if image.id not in planned]
        new = NewProposal(others[-1].id, "benign", 0.9, 0.999, image_boxes(registry, min(planned)))
        tx.proposals.add([new], run_id=run.id, tau=0.5, gate="class")
    report = push(registry, client, studio, **options)
    assert (report.resumed, report.created) == (True, 4)
    tasks = tasks_of(client, project)
    with registry.read() as tx:
        links = tx.connections.links(tx.connections.current().id)
        assert {image_id: (links[image_id].control, task["overlap"]) for image_id, task in tasks.items()} == planned
        # What annotators can see of a control is what they see of an image for which nothing was proposed.
        controls = [tasks[image_id]["data"] for image_id, (control, _) in planned.items() if control]
        assert all(data["partly_score"] is None and "partly_control" not in data for data in controls)
        (done,) = tx.journal.all()
        assert (done.id, done.status) == (cut.id, "finished")
    report = push(registry, client, studio, limit=6)
    assert (report.resumed, report.created) == (False, 5)
