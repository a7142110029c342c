"""A pull looks at what changed, and never misses anything by that, with a real Label Studio."""

import time
from datetime import timedelta

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.payload.labeling_config import NO_LESION, result_from_boxes, result_from_verdict
from annotator.label_studio.pull.plan import PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.reconcile import compare_with_studio
from db.records import Box, LocationStatus, Split
from tests.e2e.test_reconcile import annotate, status_of, task_of

pytestmark = [pytest.mark.studio, pytest.mark.thorough]


@pytest.fixture(autouse=True)
def _no_overlap(monkeypatch):
    """What was done two seconds ago counts as old."""
    monkeypatch.setattr("annotator.label_studio.pull.incremental.OVERLAP", timedelta(0))


@pytest.fixture
def listed(client, monkeypatch):
    """What was listed since: the time given (None for everything) and how many tasks came."""
    seen = []
    real = client.list_tasks

    def listing(project_id, **options):
        tasks = real(project_id, **options)
        seen.append((options.get("changed_since") is not None, len(tasks)))
        return tasks

    monkeypatch.setattr(client, "list_tasks", listing)
    return seen


@pytest.fixture
def project(registry, tmp_path, studio, client, request):
    write_phantoms(tmp_path / "phantoms", 8, seed=9)
    import_images(registry, ImportRequest(tmp_path / "phantoms", "csv", keep_locations=0))
    connection = connect_project(
        registry, client, ConnectRequest(title=request.node.name[:50]), media_folder=studio.media
    ).connection
    push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
    for image_id in (1, 2, 3, 4):
        annotate(client, registry, image_id)
    time.sleep(1.1)  # the server's clock shows seconds
    assert pull_reviews(registry, client).created == 4
    return connection.project_id


def test_only_what_changed_is_listed(registry, client, project, listed):
    assert pull_reviews(registry, client).unchanged == 4
    assert listed == [], "nothing changed, nothing listed"
    new = annotate(client, registry, 5)
    time.sleep(1.1)
    report = pull_reviews(registry, client)
    assert (report.created, report.unchanged) == (1, 4)
    client.update_annotation(new, result_from_boxes([Box(40, 40, 30, 20)], *size_of(registry, 5)))
    report = pull_reviews(registry, client)
    assert (report.created, report.updated, report.unchanged) == (0, 1, 4)
    assert all(changed and count <= 2 for changed, count in listed)
    assert pull_reviews(registry, client, PullRequest(full=True)).unchanged == 5
    assert listed[-1] == (False, 8)
    # What was asked for differently is looked at in full.
    assert pull_reviews(registry, client, PullRequest(empty_is_none=True)).unchanged == 5
    assert listed[-1] == (False, 8)


def size_of(registry, image_id):
    with registry.read() as tx:
        image = tx.images.get(image_id)
    return image.width, image.height


def test_annotations_deleted_in_bulk_are_taken_back(registry, client, project, listed):
    selected = {"project": str(project), "selectedItems": {"all": False, "included": [task_of(registry, 2)]}}
    client.http.post("/api/dm/actions", selected, id="delete_tasks_annotations", project=project)
    assert pull_reviews(registry, client).withdrawn == 1
    assert status_of(registry, 2) is LocationStatus.UNKNOWN
    assert status_of(registry, 3) is LocationStatus.PRESENT


def test_tasks_of_others_and_lost_ones_make_it_look_at_everything(registry, client, project, listed):
    client.import_tasks(project, [{"data": {"image": "/data/x.png"}}])
    assert pull_reviews(registry, client).unchanged == 4
    assert listed[-1] == (False, 9)
    client.http.delete(f"/api/tasks/{task_of(registry, 1)}/")
    report = pull_reviews(registry, client)
    assert (report.gone, report.unchanged, listed[-1]) == (1, 3, (False, 8))
    assert status_of(registry, 1) is LocationStatus.PRESENT
    assert pull_reviews(registry, client).gone == 1


def test_what_was_skipped_is_looked_at_again_once_the_registry_knows_more(
    registry, client, studio, project, listed, tmp_path
):
    with registry.begin() as tx:
        tx.images.set_splits({6: Split.TEST})
    annotate(client, registry, 6)
    report = pull_reviews(registry, client)
    assert "--change-test" in report.skipped[0].reason
    assert pull_reviews(registry, client).skipped == []
    assert pull_reviews(registry, client, PullRequest(change_test=True)).created == 1
    stranger = {"image": "/data/x.png", "partly_key": "9-0000000000000000"}
    client.import_tasks(project, [{"data": stranger, "annotations": [{"result": []}]}])
    assert "not registered here" in pull_reviews(registry, client).skipped[0].reason
    count = len(listed)
    pull_reviews(registry, client)
    assert len(listed) == count, "nothing new is known, so nothing is looked at"
    write_phantoms(tmp_path / "more", 2, seed=77)
    import_images(registry, ImportRequest(tmp_path / "more", "csv"))
    assert "not registered here" in pull_reviews(registry, client).skipped[0].reason
    assert listed[-1] == (False, 9)


def test_a_contradiction_is_named_by_every_pull_until_somebody_settles_it(registry, client, project, listed):
    size = size_of(registry, 5)
    contradiction = [*result_from_boxes([Box(40, 40, 30, 20)], *size), *result_from_verdict(NO_LESION)]
    said = client.create_annotation(task_of(registry, 5), contradiction)
    time.sleep(1.1)
    for _ in range(3):
        report = pull_reviews(registry, client)
        assert (report.created, [item.image for item in report.skipped]) == (0, [5])
        assert "remove one of the two" in report.skipped[0].reason
    assert listed[-1][0], "the others are not listed for that"
    kinds = {found.kind: found.detail for found in compare_with_studio(registry, client)}
    assert "correct it in Label Studio" in kinds["studio_annotation_unsettled"]
    assert "studio_not_pulled" not in kinds, "no pull would ever store it"
    client.update_annotation(said, result_from_verdict(NO_LESION))
    time.sleep(1.1)
    assert pull_reviews(registry, client).outcomes == {"empty": 1}
    assert pull_reviews(registry, client).skipped == []
    assert "studio_annotation_unsettled" not in {found.kind for found in compare_with_studio(registry, client)}


def test_a_task_that_was_left_unsettled_and_is_deleted_is_forgotten(registry, client, project):
    client.create_annotation(task_of(registry, 5), [])
    time.sleep(1.1)
    assert len(pull_reviews(registry, client).skipped) == 1
    client.http.delete(f"/api/tasks/{task_of(registry, 5)}/")
    assert pull_reviews(registry, client).skipped == []
