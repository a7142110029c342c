"""What differs between the registry and a real Label Studio, and what pull and push make of it."""

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.pull.plan import PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.reconcile import PUSH_CUT, compare_with_studio
from cli.documents import document_of
from db.errors import InvalidArgument
from db.history.retraction import undo_retraction
from db.maintenance.integrity import check_registry
from db.records import Box, LocationSource, LocationStatus, NewLabel, NewProposal
from db.records.sync import StepAction, SyncKind, SyncStatus, SyncStep

pytestmark = pytest.mark.studio


@pytest.fixture
def project(registry, tmp_path, studio, client, request):
    """Six images without a location, all of them tasks; two with a proposal."""
    write_phantoms(tmp_path / "phantoms", 6, seed=9)
    import_images(registry, ImportRequest(tmp_path / "phantoms", "csv", keep_locations=0))
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        images = tx.images.select()
        proposals = [NewProposal(image.id, "benign", 0.9, 0.9, (Box(20, 30, 40, 25),)) for image in images[:2]]
        tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")
    connection = connect_project(
        registry, client, ConnectRequest(title=request.node.name[:50]), media_folder=studio.media
    ).connection
    push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
    return connection.project_id


def annotate(client, registry, image_id, box=None):
    with registry.read() as tx:
        link = tx.connections.links(tx.connections.current().id)[image_id]
        image = tx.images.get(image_id)
    boxes = result_from_boxes([box or Box(10, 10, 30, 20)], image.width, image.height)
    return client.create_annotation(link.task_id, boxes)


def task_of(registry, image_id):
    with registry.read() as tx:
        return tx.connections.links(tx.connections.current().id)[image_id].task_id


def kinds(registry, client):
    return {difference.kind: difference for difference in compare_with_studio(registry, client)}


def status_of(registry, image_id):
    with registry.read() as tx:
        return tx.images.get(image_id).location_status


def test_both_sides_agree_after_a_push_and_a_pull(registry, client, project):
    assert kinds(registry, client) == {}
    annotate(client, registry, 3)
    assert [image.id for image in kinds(registry, client)["studio_not_pulled"].images] == [3]
    pull_reviews(registry, client)
    assert kinds(registry, client) == {}


def test_an_annotation_deleted_after_a_pull_is_taken_back_and_can_be_given_back(registry, client, project):
    annotation = annotate(client, registry, 3)
    annotate(client, registry, 4)
    pull_reviews(registry, client)
    client._sdk.annotations.delete(id=annotation)
    assert [image.id for image in kinds(registry, client)["studio_annotation_deleted"].images] == [3]
    assert pull_reviews(registry, client, dry_run=True).withdrawn == 1
    assert status_of(registry, 3) is LocationStatus.PRESENT, "a dry run takes nothing back"
    assert pull_reviews(registry, client).withdrawn == 1
    assert (status_of(registry, 3), status_of(registry, 4)) == (LocationStatus.UNKNOWN, LocationStatus.PRESENT)
    assert pull_reviews(registry, client).withdrawn == 0
    assert kinds(registry, client) == {}
    with registry.read() as tx:
        (retraction,) = tx.retractions.all()
    assert "deleted in Label Studio" in retraction.author
    undo_retraction(registry, retraction.id)
    assert status_of(registry, 3) is LocationStatus.PRESENT
    assert check_registry(registry) == []


def test_of_two_annotations_the_other_one_holds_again(registry, client, project):
    annotate(client, registry, 3, Box(10, 10, 30, 20))
    pull_reviews(registry, client)
    second = annotate(client, registry, 3, Box(50, 40, 20, 20))
    pull_reviews(registry, client)
    client._sdk.annotations.delete(id=second)
    pull_reviews(registry, client)
    with registry.read() as tx:
        (box,) = tx.images.get(3).boxes
    assert (box.x, box.y) == pytest.approx((10, 10), abs=0.01)


def test_a_submitted_annotation_turned_into_a_skip_is_taken_back(registry, client, project):
    annotation = annotate(client, registry, 3)
    pull_reviews(registry, client)
    client._sdk.annotations.update(id=annotation, was_cancelled=True, result=[])
    assert pull_reviews(registry, client).withdrawn == 1
    assert status_of(registry, 3) is LocationStatus.UNKNOWN


def test_a_deleted_task_takes_no_label_with_it_and_is_made_anew_only_when_asked(registry, client, studio, project):
    annotate(client, registry, 3)
    pull_reviews(registry, client)
    for image_id in (3, 5):
        client._sdk.tasks.delete(id=str(task_of(registry, image_id)))
    gone = [d for d in compare_with_studio(registry, client) if d.kind == "studio_task_deleted"]
    assert [image.id for difference in gone for image in difference.images] == [3, 5]
    assert pull_reviews(registry, client).withdrawn == 0
    assert status_of(registry, 3) is LocationStatus.PRESENT
    report = push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
    assert (report.created, report.gone) == (0, 1), "image 3 is located, so only 5 is missed"
    assert "--recreate" in report.skipped[0].reason
    report = push_images(registry, client, PushRequest(what="partly", recreate=True), media_folder=studio.media)
    assert (report.created, report.gone) == (1, 0)


def test_tasks_that_are_there_twice_are_foreign_or_of_no_image(registry, client, studio, project):
    (task,) = [
        task for task in client.list_tasks(project, with_annotations=False) if task["data"][KEY].startswith("4-")
    ]
    client.import_tasks(project, [{"data": task["data"]}, {"data": {**task["data"], KEY: "99-0123456789abcdef"}}])
    client.import_tasks(project, [{"data": {"image": task["data"]["image"]}}])
    found = kinds(registry, client)
    assert [image.id for image in found["studio_duplicate_tasks"].images] == [4]
    assert found["studio_duplicate_tasks"].tasks[0] == task["id"]
    assert "99-0123456789abcdef" in found["studio_unknown_image"].detail
    assert len(found["studio_foreign_tasks"].tasks) == 1
    assert push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media).conflict == 1


def test_a_label_that_was_imported_since_and_predictions_that_are_hidden_are_said(registry, client, project):
    annotate(client, registry, 3)
    pull_reviews(registry, client)
    with registry.begin() as tx:
        from tests.builders import present

        tx.labels.append(NewLabel(3, present(), source=LocationSource.IMPORTED))
    client._sdk.projects.update(id=project, show_collab_predictions=False)
    found = kinds(registry, client)
    assert [image.id for image in found["studio_label_changed_here"].images] == [3]
    assert "partly push" in found["studio_proposals_not_shown"].detail
    assert document_of(found["studio_label_changed_here"]).keys() == {"kind", "images", "image_ids", "tasks", "detail"}


def test_images_that_label_studio_cannot_show_are_named(registry, client, studio, project):
    (task, *_) = client.list_tasks(project, with_annotations=False)
    name = task["data"]["image"].rpartition("/")[2]
    (studio.media / name).unlink()
    found = kinds(registry, client)["studio_image_not_served"]
    assert found.tasks == [task["id"]]
    assert "status 404" in found.detail
    push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
    assert kinds(registry, client) == {}


def test_two_people_on_one_task(registry, client, project):
    """A second account on the real server; each person's annotation keeps its own name."""
    name = f"second-{project}@example.org"
    second = client._sdk.users.create(email=name, username=name)
    first_word = annotate(client, registry, 3, Box(10, 10, 30, 20))
    other = annotate(client, registry, 3, Box(60, 50, 20, 20))
    client._sdk.annotations.update(id=other, completed_by=second.id)
    annotate(client, registry, 4, Box(10, 10, 30, 20))
    agreeing = annotate(client, registry, 4, Box(11, 10, 30, 20))
    client._sdk.annotations.update(id=agreeing, completed_by=second.id)
    report = pull_reviews(registry, client, PullRequest(policy="unanimous"))
    assert (report.created, report.contested) == (4, [3])
    assert (status_of(registry, 3), status_of(registry, 4)) == (LocationStatus.UNKNOWN, LocationStatus.PRESENT)
    with registry.read() as tx:
        reviewers = {review.reviewer for review in tx.reviews.all()}
    assert name in reviewers
    assert len(reviewers) == 2
    assert pull_reviews(registry, client, PullRequest(policy="unanimous")).contested == []
    client._sdk.annotations.delete(id=first_word)
    pull_reviews(registry, client, PullRequest(policy="unanimous"))
    assert check_registry(registry) == []
    with pytest.raises(InvalidArgument, match=name):
        pull_reviews(registry, client, PullRequest(policy="majorty"))


def test_a_push_that_was_cut_is_found_and_its_repair_named(registry, client, studio, project):
    with registry.begin() as tx:
        connection = tx.connections.current()
        sync = tx.journal.open(connection.id, SyncKind.PUSH, options={}, owner="nowhere:1")
        tx.journal.add_steps(sync, [SyncStep(StepAction.CREATE, image_id=3)])
        tx.journal.close(sync, SyncStatus.FAILED, detail="cut")
    (found,) = [item for item in compare_with_studio(registry, client) if item.kind == PUSH_CUT]
    assert [image.id for image in found.images] == [3]
    assert "1 step left" in found.detail
