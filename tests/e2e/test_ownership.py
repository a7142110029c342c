"""Two registries and one Label Studio: whose project it is, what is refused, and how a project is taken over."""

import shutil

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.errors import ProjectUnusable
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.ownership import adopt_project, identity_of
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import KEY, as_own, image_ids_of
from annotator.label_studio.pull.plan import PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.reconcile import compare_with_studio
from db.curation.changes import remove_images
from db.history.undo import undo_operation
from db.records import Box
from db.registry import create_registry

BOX = Box(20, 30, 40, 25)


@pytest.fixture
def make(tmp_path, phantoms):
    """Make a registry in a folder called study, below another one each time, as two colleagues have it."""
    made = []

    def new(owner, *, skip=0):
        root = tmp_path / owner / "study"
        shutil.copytree(phantoms, root / "data", dirs_exist_ok=True)
        if skip:
            rows = (root / "data" / "labels.csv").read_text().splitlines()
            (root / "data" / "labels.csv").write_text("\n".join([rows[0], *rows[1 + skip :]]) + "\n")
        registry = create_registry(f"sqlite:///{root}/registry.sqlite3", root)
        import_images(registry, ImportRequest(root / "data", "csv", keep_locations=0))
        made.append(registry)
        return registry

    yield new
    for registry in made:
        registry.close()


@pytest.fixture
def title(request):
    return ConnectRequest(title=f"partly: study {request.node.name[:30]}")


def tasks_of(client, project_id):
    return client.list_tasks(project_id, with_annotations=True)


def send(registry, client, studio, wanted):
    project_id = connect_project(registry, client, wanted, media_folder=studio.media).project_id
    push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
    return project_id


def draw(client, task, registry):
    with registry.read() as tx:
        image = (tx.images.select() or tx.images.select(removed=True))[0]
        own = tx.images.select(ids=image_ids_of([as_own(task, tx.connections.identity())]))
    image = own[0] if own else image
    return client.create_annotation(int(task["id"]), result_from_boxes([BOX], image.width, image.height))


def test_the_project_of_another_registry_is_refused_with_the_way_out(make, client, studio, title):
    mine, theirs = make("ann"), make("ben")
    project_id = send(mine, client, studio, title)
    before = client.http.get(f"/api/projects/{project_id}/")
    assert identity_of(mine) in before["description"]
    for wanted in (title, ConnectRequest(title="x", project_id=project_id)):
        for dry_run in (False, True):
            with pytest.raises(ProjectUnusable, match="belongs to another registry") as refused:
                connect_project(theirs, client, wanted, media_folder=studio.media, dry_run=dry_run)
            assert "--title" in str(refused.value)
            assert "--adopt" in str(refused.value)
    assert client.http.get(f"/api/projects/{project_id}/")["description"] == before["description"]
    own = connect_project(theirs, client, ConnectRequest(title=f"{title.title} 2"), media_folder=studio.media)
    assert own.project_id != project_id
    again = connect_project(mine, client, title, media_folder=studio.media)
    assert again.project_id == project_id


@pytest.mark.thorough
def test_a_registry_that_was_connected_before_stops_when_the_project_is_not_its_own(make, client, studio, title):
    """As it was in earlier versions: both are connected with one project that names no registry."""
    mine, theirs = make("ann"), make("ben", skip=1)
    project_id = send(mine, client, studio, title)
    with theirs.begin() as tx:
        tx.connections.use(url=client.url, project_id=project_id, media="local")
    for text in ("Images of ours", client.http.get(f"/api/projects/{project_id}/")["description"]):
        client.http.patch(f"/api/projects/{project_id}/", {"description": text})
        for step in (
            lambda: push_images(theirs, client, PushRequest(what="partly"), media_folder=studio.media),
            lambda: pull_reviews(theirs, client),
            lambda: pull_reviews(theirs, client, dry_run=True),
            lambda: compare_with_studio(theirs, client),
        ):
            with pytest.raises(ProjectUnusable, match="belongs to another registry"):
                step()
    # Its own registry goes on, and writes again whose project it is.
    client.http.patch(f"/api/projects/{project_id}/", {"description": "Images of ours"})
    assert push_images(mine, client, PushRequest(what="partly"), media_folder=studio.media).created == 0
    text = client.http.get(f"/api/projects/{project_id}/")["description"]
    assert text == f"Images of ours (registry {identity_of(mine)})"


@pytest.mark.thorough
def test_a_folder_begun_again_adopts_what_was_reviewed(make, client, studio, title):
    first = make("ann")
    project_id = send(first, client, studio, title)
    tasks = tasks_of(client, project_id)
    for task in tasks[:3]:
        draw(client, task, first)
    assert pull_reviews(first, client).created == 3
    # The same images in another order of numbers, and one is not among them any more.
    again = make("ann again", skip=1)
    planned = connect_project(
        again, client, ConnectRequest(title=title.title, adopt=True), media_folder=studio.media, dry_run=True
    )
    with pytest.raises(ProjectUnusable, match="belongs to another registry"):
        connect_project(again, client, title, media_folder=studio.media)
    found = connect_project(again, client, ConnectRequest(title=title.title, adopt=True), media_folder=studio.media)
    assert (planned.adopted, found.adopted, found.project_id) == (len(tasks) - 1, len(tasks) - 1, project_id)
    assert adopt_project(again, client, project_id) == 0
    pulled = pull_reviews(again, client)
    reviewed = {task["data"][KEY].split("-")[1] for task in tasks[:3]}
    with again.read() as tx:
        wanted = {image.id for image in tx.images.select() if image.content_hash[7:23] in reviewed}
        located = {image.id for image in tx.images.select() if image.boxes}
    assert located == wanted
    assert pulled.outcomes == {"drawn": len(wanted)}
    assert len(wanted) >= 2
    # Nothing is made twice, and what is not registered here is nobody's to delete.
    assert push_images(again, client, PushRequest(what="partly"), media_folder=studio.media).created == 0
    findings = {item.kind: item.detail for item in compare_with_studio(again, client)}
    assert "left alone" in findings["studio_other_registry"]
    with pytest.raises(ProjectUnusable, match="belongs to another registry"):
        pull_reviews(first, client)


def test_doctor_never_advises_to_delete_what_is_not_known_here(make, client, studio, title):
    registry = make("ann")
    project_id = send(registry, client, studio, title)
    task = tasks_of(client, project_id)[0]
    for key in ("99-0123456789abcdef", "1-0123456789abcdef-deadbeef"):
        (made,) = client.import_tasks(project_id, [{"data": {**task["data"], KEY: key}}])
        draw(client, {"id": made}, registry)
    findings = compare_with_studio(registry, client)
    assert {item.kind for item in findings} == {"studio_unknown_image", "studio_other_registry"}
    assert all("left alone" in item.detail and "delete" not in item.detail.lower() for item in findings)
    reasons = sorted(item.reason for item in pull_reviews(registry, client, PullRequest(full=True)).skipped)
    assert len(reasons) == 2
    assert "not registered here" in reasons[0]
    assert "belongs to another registry" in reasons[1]


def test_the_task_of_a_removed_image_is_named_and_its_reviews_stay_out(make, client, studio, title):
    registry = make("ann")
    project_id = send(registry, client, studio, title)
    task = tasks_of(client, project_id)[0]
    number = task["data"][KEY].partition("-")[0]
    draw(client, task, registry)
    remove_images(registry, [number])
    report = pull_reviews(registry, client)
    assert (report.created, len(report.skipped)) == (0, 1)
    (finding,) = compare_with_studio(registry, client)
    assert finding.kind == "studio_image_removed"
    assert "partly undo" in finding.detail
    assert push_images(registry, client, PushRequest(what="all"), media_folder=studio.media).created == 0
    undo_operation(registry)
    assert pull_reviews(registry, client).created == 1
