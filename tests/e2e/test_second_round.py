"""Images that are proposed again after a review, on a real Label Studio: nothing waits where nobody looks."""

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.payload.labeling_config import CANNOT_TELL, result_from_boxes, result_from_verdict
from annotator.label_studio.payload.tasks import key_of, round_of
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.reconcile import compare_with_studio
from db.records import Box, LocationStatus, NewProposal

FIRST, LATER = Box(20, 30, 40, 25), Box(60, 50, 30, 30)


@pytest.fixture
def project(registry, phantoms, studio, client, request):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
    wanted = ConnectRequest(title=request.node.name[:50])
    return connect_project(registry, client, wanted, media_folder=studio.media).project_id


def propose(registry, scores, box):
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        proposals = [NewProposal(key, "benign", 0.9, score, (box,)) for key, score in scores.items()]
        tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")


def push(registry, client, studio, **options):
    return push_images(registry, client, PushRequest(**options), media_folder=studio.media)


def tasks_of(client, project_id, image_id):
    """The tasks of an image, by round."""
    tasks = client.list_tasks(project_id, with_annotations=True)
    own = [task for task in tasks if (key_of(task) or "").startswith(f"{image_id}-")]
    return {round_of(task): task for task in own}


def boxes_on(registry, image_id, box):
    with registry.read() as tx:
        image = tx.images.get(image_id)
    return result_from_boxes([box], image.width, image.height)


def open_tasks(client, project_id):
    """What annotators are still shown."""
    return {int(key_of(task).partition("-")[0]) for task in client.list_tasks(project_id, with_annotations=False)
            if not task["is_labeled"]}  # fmt: skip


def waiting(registry):
    with registry.read() as tx:
        return {proposal.image_id for proposal in tx.proposals.pending()}


def test_a_rejected_image_is_shown_again_in_a_task_of_its_own(registry, project, client, studio):
    propose(registry, {1: 0.91, 2: 0.85, 3: 0.7, 4: 0.6}, FIRST)
    assert push(registry, client, studio).created == 4
    first = tasks_of(client, project, 1)[1]
    client.create_annotation(int(first["id"]), result_from_verdict(CANNOT_TELL))
    accepted = tasks_of(client, project, 2)[1]
    client.create_annotation(int(accepted["id"]), boxes_on(registry, 2, FIRST))

    # Proposed again before the pull: what was said is not overlooked.
    propose(registry, {1: 0.66, 3: 0.96}, LATER)
    early = push(registry, client, studio)
    # The third has a newer proposal; the fourth's is sent again, since annotators see the newest run's alone.
    assert (early.created, early.updated) == (0, 2)
    (fourth,) = tasks_of(client, project, 4).values()
    assert {found["model_version"] for found in fourth["predictions"]} == {"run-1", "run-2"}
    assert any("first: partly pull" in item.reason for item in early.skipped)

    assert pull_reviews(registry, client).outcomes == {"rejected": 1, "accepted": 1}
    planned = push_images(registry, client, PushRequest(), media_folder=studio.media, dry_run=True)
    report = push(registry, client, studio)
    assert (report.created, report.again, planned.created) == (1, 1, 1)
    assert push(registry, client, studio).created == 0
    rounds = tasks_of(client, project, 1)
    assert (sorted(rounds), rounds[2]["data"]["partly_score"], rounds[2]["annotations"]) == ([1, 2], "0.66", [])
    assert rounds[1]["annotations"] != []
    # The unreviewed one keeps its task, which shows the newest proposal and its score.
    (third,) = tasks_of(client, project, 3).values()
    assert (third["data"]["partly_score"], len(third["predictions"])) == ("0.96", 2)
    assert waiting(registry) == open_tasks(client, project) == {1, 3, 4}
    assert compare_with_studio(registry, client) == []

    # Both tasks of the image are read, each against what it showed.
    assert pull_reviews(registry, client).withdrawn == 0
    client.create_annotation(int(rounds[2]["id"]), boxes_on(registry, 1, LATER))
    report = pull_reviews(registry, client)
    assert (report.outcomes, report.withdrawn) == ({"accepted": 1}, 0)
    with registry.read() as tx:
        assert (tx.images.get(1).boxes, tx.images.get(1).label.run_id) == ((LATER,), 2)
    client.update_annotation(int(rounds[1]["annotations"][0]["id"]), boxes_on(registry, 1, FIRST))
    report = pull_reviews(registry, client)
    assert (report.outcomes, report.updated, report.withdrawn) == ({"accepted": 1}, 1, 0)
    with registry.read() as tx:
        assert (tx.images.get(1).boxes, tx.images.get(1).label.run_id) == ((FIRST,), 1)
    # Deleted there, it is taken back, and the later statement holds again.
    client.http.delete(f"/api/annotations/{rounds[1]['annotations'][0]['id']}/")
    assert pull_reviews(registry, client).withdrawn == 1
    with registry.read() as tx:
        assert tx.images.get(1).boxes == (LATER,)
    # What the first run proposed counts as its own, whatever name it was shown under.
    shown = next(found for found in fourth["predictions"] if found["model_version"] == "run-2")
    client.create_annotation(int(fourth["id"]), shown["result"], parent_prediction=shown["id"])
    assert pull_reviews(registry, client).outcomes == {"accepted": 1}
    with registry.read() as tx:
        assert (tx.images.get(4).boxes, tx.images.get(4).label.run_id) == ((FIRST,), 1)
    # A task whose only annotation is deleted is open again.
    assert (waiting(registry), open_tasks(client, project)) == ({3}, {1, 3})


def test_what_a_control_held_back_is_shown_after_it(registry, project, client, studio):
    propose(registry, {1: 0.9}, FIRST)
    assert push(registry, client, studio, control_share=1.0).control == 1
    (control,) = tasks_of(client, project, 1).values()
    assert control["predictions"] == []
    assert not {"partly_control"} & set(control["data"])
    client.create_annotation(int(control["id"]), result_from_verdict(CANNOT_TELL))
    assert pull_reviews(registry, client).outcomes == {"rejected": 1}
    with registry.read() as tx:
        assert tx.images.get(1).location_status is LocationStatus.UNKNOWN
    report = push(registry, client, studio, control_share=1.0)
    assert (report.created, report.again, report.control) == (1, 1, 0)
    assert [len(task["predictions"]) for task in tasks_of(client, project, 1).values()] == [0, 1]
    assert waiting(registry) == open_tasks(client, project) == {1}


def test_a_cut_push_makes_the_second_task_once(registry, project, client, studio, monkeypatch):
    propose(registry, {1: 0.9, 2: 0.8}, FIRST)
    push(registry, client, studio)
    for image_id in (1, 2):
        task = tasks_of(client, project, image_id)[1]
        client.create_annotation(int(task["id"]), result_from_verdict(CANNOT_TELL))
    pull_reviews(registry, client)
    propose(registry, {1: 0.9, 2: 0.8}, LATER)
    real = client.import_tasks

    def lost(project_id, tasks):
        real(project_id, tasks)
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "import_tasks", lost)
    with pytest.raises(KeyboardInterrupt):
        push(registry, client, studio)
    monkeypatch.setattr(client, "import_tasks", real)
    report = push(registry, client, studio)
    assert (report.resumed, report.created) == (True, 0)
    for image_id in (1, 2):
        assert sorted(tasks_of(client, project, image_id)) == [1, 2]
    assert len(client.list_tasks(project, with_annotations=False)) == 4
    with registry.read() as tx:
        links = tx.connections.links(tx.connections.current().id)
    assert {image_id: link.round for image_id, link in links.items()} == {1: 2, 2: 2}
