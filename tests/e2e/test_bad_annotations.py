"""Bad annotations and tasks on a real Label Studio, which stores them: a pull names them and reads everything else."""

import json

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
from annotator.label_studio.reconcile import compare_with_studio
from db.maintenance.integrity import check_registry
from db.records import Box, LocationStatus

pytestmark = pytest.mark.studio

INFINITE = float("inf")


@pytest.fixture
def project(registry, tmp_path, studio, client, request):
    write_phantoms(tmp_path / "phantoms", 6, seed=9)
    import_images(registry, ImportRequest(tmp_path / "phantoms", "csv", keep_locations=0))
    connection = connect_project(
        registry, client, ConnectRequest(title=request.node.name[:50]), media_folder=studio.media
    ).connection
    push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
    return connection.project_id


def tasks_of(registry):
    with registry.read() as tx:
        return {image_id: link.task_id for image_id, link in tx.connections.links(tx.connections.current().id).items()}


def drawn(registry, image_id):
    with registry.read() as tx:
        image = tx.images.get(image_id)
    return result_from_boxes([Box(10, 10, 30, 20)], image.width, image.height)


def send(client, method, path, document):
    """As an annotator with the API may: JSON with numbers that are none, too."""
    answer = client.http._http.request(
        method,
        client.url + path,
        content=json.dumps(document),
        headers={**client.http.headers(), "Content-Type": "application/json"},
    )
    return answer.json() if answer.status_code < 300 else None


def nested(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


def statuses(registry):
    with registry.read() as tx:
        return {image.id: image.location_status for image in tx.images.select()}


def bad_results(good):
    return [
        None,
        "text",
        [5],
        [{**good, "value": None}],
        [{**good, "type": "choices", "from_name": "verdict", "value": {"choices": 5}}],
        [{**good, "value": {**good["value"], "x": INFINITE}}],
        [{**good, "value": {**good["value"], "x": 1e300}}],
        [{**good, "value": {**good["value"], "width": 10**400}}],
        [{**good, "original_width": 0}],
        [{**good, "original_width": 10**9}],
        [{**good, "score": "high"}],
        [{**good, "meta": ["x"]}],
        [{**good, "meta": {"text": nested(60)}}],
        [{**good, "id": 10**30, "type": "brushlabels", "value": {"rle": 10**9}}],
        [{**good, "type": "polygonlabels", "value": {"points": [[1, 1]] * 20_000}}],
        [good] * 1500,
    ]


def test_bad_annotations_are_named_and_everything_else_is_pulled(registry, client, studio, project):
    tasks = tasks_of(registry)
    good = drawn(registry, 1)[0]
    for result in bad_results(good):
        send(client, "POST", f"/api/tasks/{tasks[1]}/annotations/", {"result": result, "lead_time": 3.5})
    # Some are stored although the answer is an error.
    stored = [item["id"] for item in client.get_task(tasks[1])["annotations"]]
    assert len(stored) >= 10, "a real Label Studio stores nearly all of this"
    beside = client.create_annotation(tasks[1], [good])
    for image_id in (2, 3):
        client.create_annotation(tasks[image_id], drawn(registry, image_id))

    rehearsed = pull_reviews(registry, client, dry_run=True)
    report = pull_reviews(registry, client)
    for done in (rehearsed, report):
        assert done.created == 3
        named = {item.annotation: item.reason for item in done.skipped}
        assert set(named) == set(stored)
        assert all("cannot be read" in why and "Label Studio" in why and why.isprintable() for why in named.values())
    assert statuses(registry)[1] is LocationStatus.PRESENT, f"annotation {beside} is good"
    found = {difference.kind: difference for difference in compare_with_studio(registry, client)}
    assert found["studio_annotation_unsettled"].tasks == [tasks[1]]

    # Nothing has changed, and they are named again.
    again = pull_reviews(registry, client)
    assert again.created == 0
    assert {item.annotation for item in again.skipped} == set(stored)
    # One is mended: it is pulled without --full.
    client.update_annotation(stored[1], [good])
    mended = pull_reviews(registry, client)
    assert mended.created == 1
    assert {item.annotation for item in mended.skipped} == set(stored) - {stored[1]}
    # One that was pulled becomes bad: what it said before holds.
    with registry.read() as tx:
        before = tx.images.get(1).label.id
    assert send(client, "PATCH", f"/api/annotations/{stored[1]}/", {"result": [{**good, "meta": ["x"]}]}) is not None
    worse = pull_reviews(registry, client)
    assert (worse.withdrawn, worse.created, worse.updated) == (0, 0, 0)
    with registry.read() as tx:
        assert tx.images.get(1).label.id == before
    push_images(registry, client, PushRequest(what="all"), media_folder=studio.media)
    assert check_registry(registry) == []


@pytest.mark.thorough
def test_a_bad_task_stops_neither_push_nor_pull_nor_doctor(registry, client, studio, project):
    tasks = tasks_of(registry)
    whole = client.get_task(tasks[4])["data"]
    bad = {
        4: {**whole, KEY: ["x"]},
        5: {**whole, KEY: "\u00b2-x"},
        6: {**whole, "image": ["x"], KEY: client.get_task(tasks[6])["data"][KEY]},
    }
    changed = {
        image_id
        for image_id, data in bad.items()
        if send(client, "PATCH", f"/api/tasks/{tasks[image_id]}/", {"data": data}) is not None
    }
    assert changed >= {4, 5}
    client.create_annotation(tasks[2], drawn(registry, 2))
    report = pull_reviews(registry, client)
    assert (report.created, report.gone) == (1, 0)
    assert {item.task for item in report.skipped} == {tasks[4], tasks[5]}
    pushed = push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
    assert (pushed.created, pushed.gone) == (0, 0)
    assert {item.task for item in pushed.skipped} == {tasks[4], tasks[5]}
    found = [item for item in compare_with_studio(registry, client) if item.kind == "studio_task_unreadable"]
    assert [(item.tasks, [image.id for image in item.images]) for item in found] == [
        ([tasks[4]], [4]),
        ([tasks[5]], [5]),
    ]
    # Their data were not written over.
    assert client.http.get(f"/api/tasks/{tasks[4]}/")["data"] == bad[4]
    # Mended, it is pulled.
    client.create_annotation(tasks[4], drawn(registry, 4))
    assert pull_reviews(registry, client).created == 0
    send(client, "PATCH", f"/api/tasks/{tasks[4]}/", {"data": whole})
    assert pull_reviews(registry, client).created == 1
    # Broken again, what was said there still holds.
    send(client, "PATCH", f"/api/tasks/{tasks[4]}/", {"data": bad[4]})
    for full in (False, True):
        broken = pull_reviews(registry, client, PullRequest(full=full))
        assert (broken.withdrawn, broken.gone) == (0, 0)
        assert tasks[4] in {item.task for item in broken.skipped}
    assert statuses(registry)[4] is LocationStatus.PRESENT
    with_adoption = connect_project(registry, client, ConnectRequest(title="", project_id=project, adopt=True))
    assert with_adoption.adopted == 0
    assert check_registry(registry) == []
