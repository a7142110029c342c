"""The loop through a real local Label Studio: push, what people do there, pull."""

import json
import threading
import time

import pytest
from typer.testing import CliRunner

from annotator.datasets.decode import open_data_set
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.errors import AuthRejected, ConnectionFailed, ProjectUnusable, StudioFailed
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, start_studio, studio_status
from annotator.label_studio.payload.labeling_config import (
    CANNOT_TELL,
    NO_LESION,
    result_from_boxes,
    result_from_verdict,
)
from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.execute import Sender
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.simulated_reviewer import Truth, review_tasks
from cli.main import app
from db.curation.splitting import split_images
from db.records import Box, LocationStatus, NewProposal, Split, Supervision

pytestmark = pytest.mark.studio


@pytest.fixture
def project(registry, phantoms, studio, client, request):
    """A registry with proposals for six partly-labeled images, connected to a project of its own."""
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.5))
    split_images(registry, val=0.1, test=0.2)
    propose(registry)
    connection = connect_project(
        registry, client, ConnectRequest(title=request.node.name[:50]), media_folder=studio.media
    ).connection
    return connection.project_id


def propose(registry, count=6, shift=0.0):
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        images = tx.images.select(splits=[Split.TRAIN], supervision=Supervision.PARTLY)[:count]
        proposals = [
            NewProposal(image.id, "benign", 0.9, 0.9 - n / 100, (Box(20.25 + shift, 30.5, 40.125, 25),))
            for n, image in enumerate(images)
        ]
        tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")
    return [image.id for image in images]


def tasks_by_image(client, project_id):
    tasks = client.list_tasks(project_id, with_annotations=True)
    return {int(task["data"][KEY].split("-")[0]): task for task in tasks}


def push(registry, client, studio, what="proposals", *, dry_run=False, **options):
    request = PushRequest(what=what, **options)
    return push_images(registry, client, request, media_folder=studio.media, dry_run=dry_run)


def image_of(registry, image_id):
    with registry.read() as tx:
        return tx.images.get(image_id)


def test_proposals_become_visible_predictions_once(registry, client, studio, project):
    assert push(registry, client, studio, dry_run=True).created == 6
    assert client.list_tasks(project, with_annotations=False) == []
    report = push(registry, client, studio)
    assert (report.created, report.predictions) == (6, 6)
    task = next(iter(tasks_by_image(client, project).values()))
    prediction = task["predictions"][0]
    assert (prediction["model_version"], len(task["predictions"])) == ("run-1", 1)
    assert prediction["score"] is None, "the page would show it"
    assert client.shown_predictions(project) == ("run-1", True)
    again = push(registry, client, studio)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 6)
    assert len(client.list_tasks(project, with_annotations=False)) == 6


def test_images_are_served(registry, client, studio, project):
    import urllib.request

    push(registry, client, studio, limit=1)
    (task,) = client.list_tasks(project, with_annotations=True)
    url = client.url + task["data"]["image"]
    request = urllib.request.Request(url, headers={"Authorization": f"Token {read_account(studio).token}"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.read()[:4] == b"\x89PNG"


def test_a_newer_run_adds_its_prediction_to_the_same_task(registry, client, studio, project):
    push(registry, client, studio)
    propose(registry, shift=5)
    report = push(registry, client, studio)
    assert (report.created, report.updated) == (0, 6)
    for task in tasks_by_image(client, project).values():
        assert {prediction["model_version"] for prediction in task["predictions"]} == {"run-1", "run-2"}
    assert client.shown_predictions(project) == ("run-2", True)
    assert push(registry, client, studio).unchanged == 6


def test_batches_reach_every_image_and_still_update_what_is_there(registry, client, studio, project):
    assert [push(registry, client, studio, limit=2).created for _ in range(4)] == [2, 2, 2, 0]
    propose(registry, shift=1)
    report = push(registry, client, studio, limit=1)
    assert (report.created, report.updated) == (0, 6)
    with registry.read() as tx:
        partly = len(tx.images.select(splits=[Split.TRAIN, Split.VAL, None], supervision=Supervision.PARTLY))
    report = push(registry, client, studio, "partly", limit=5)
    assert report.created == min(5, partly - 6)


def test_controls_are_sent_without_their_proposal_and_stay_so(registry, client, studio, project):
    assert push(registry, client, studio, control_share=1.0).control == 6
    for task in tasks_by_image(client, project).values():
        # A score without a box would tell that one is held back; tasks are in the order of scores all the same.
        assert task["predictions"] == []
        assert task["data"]["partly_score"] is None
    with registry.read() as tx:
        scores = {item.image_id: item.score for item in tx.proposals.pending()}
    in_order = sorted(tasks_by_image(client, project).items(), key=lambda item: item[1]["id"])
    assert [scores[image_id] for image_id, _ in in_order] == sorted(scores.values(), reverse=True)
    with registry.read() as tx:
        assert len(tx.connections.control_images()) == 6
        assert tx.proposals.newest_for(tx.connections.control_images()).keys() == set(tx.connections.control_images())
    report = push(registry, client, studio)
    assert (report.updated, report.unchanged) == (0, 6)
    propose(registry, shift=1)
    assert push(registry, client, studio).updated == 0, "a newer run's proposal is held back too"
    image_id, task = next(iter(tasks_by_image(client, project).items()))
    record = image_of(registry, image_id)
    client.create_annotation(task["id"], result_from_boxes([Box(20, 30, 40, 25)], record.width, record.height))
    assert pull_reviews(registry, client).outcomes == {"drawn": 1}, "nobody saw a proposal"


def test_everything_a_person_can_mean(registry, client, studio, project):
    push(registry, client, studio, "partly")
    tasks = tasks_by_image(client, project)
    proposed = [image_id for image_id, task in tasks.items() if task["predictions"]]
    accept, edit, reject, cannot, nothing, untouched = proposed
    bare = next(image_id for image_id, task in tasks.items() if not task["predictions"])

    def submit(image_id, result, **options):
        task = tasks[image_id]
        parent = task["predictions"][0]["id"] if task["predictions"] else None
        return client.create_annotation(task["id"], result, parent_prediction=parent, lead_time_s=3.5, **options)

    def boxes(image_id, *found):
        image = image_of(registry, image_id)
        return result_from_boxes(found, image.width, image.height, region_prefix="p")

    submit(accept, tasks[accept]["predictions"][0]["result"])
    edited = submit(edit, boxes(edit, Box(25, 35, 40, 25)))
    submit(reject, [])
    submit(cannot, result_from_verdict(CANNOT_TELL))
    submit(nothing, result_from_verdict(NO_LESION))
    submit(bare, boxes(bare, Box(5, 6, 30, 20), Box(60, 60, 20, 20)))
    submit(untouched, [], was_cancelled=True)

    assert pull_reviews(registry, client, dry_run=True).created == 6
    report = pull_reviews(registry, client)
    assert report.outcomes == {"accepted": 1, "edited": 1, "rejected": 2, "empty": 1, "drawn": 1}
    assert "skipped" in report.skipped[0].reason

    image = image_of(registry, accept)
    assert image.boxes == (Box(20.25, 30.5, 40.125, 25),)
    assert (image.label.source, image.label.run_id, image.label.reviewer) == ("accepted", 1, "partly@localhost.local")
    found = image_of(registry, edit).boxes[0]
    assert (found.x, found.y, found.width, found.height) == pytest.approx((25, 35, 40, 25), abs=0.01)
    for image_id in (reject, cannot, untouched):
        assert image_of(registry, image_id).location_status is LocationStatus.UNKNOWN
    assert image_of(registry, nothing).location_status is LocationStatus.EMPTY
    assert len(image_of(registry, bare).boxes) == 2
    with registry.read() as tx:
        assert tx.status.count().proposals == {"pending": 1, "accepted": 1, "edited": 1, "rejected": 3}

    again = pull_reviews(registry, client)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 6)

    # The person changes their mind: a correction, then taking it back.
    client.update_annotation(edited, boxes(edit, Box(30, 40, 40, 25)))
    assert pull_reviews(registry, client).updated == 1
    assert image_of(registry, edit).boxes[0].x == pytest.approx(30, abs=0.01)
    client.update_annotation(edited, [])
    assert pull_reviews(registry, client).outcomes == {"rejected": 1}
    assert image_of(registry, edit).location_status is LocationStatus.UNKNOWN
    with registry.read() as tx:
        history = [label.status for label in tx.labels.history(edit)]
    assert history == ["present", "present", "unknown"]


def test_a_push_whose_answer_was_lost_makes_no_second_task(registry, client, studio, project, monkeypatch):
    real = client.import_tasks
    sent = []

    def losing(project_id, tasks):
        sent.append(len(tasks))
        real(project_id, tasks)
        if len(sent) == 1:
            raise ConnectionFailed("504 after the work was done")

    monkeypatch.setattr(client, "import_tasks", losing)
    assert push(registry, client, studio).created == 6
    assert len(client.list_tasks(project, with_annotations=False)) == 6
    assert sent == [6]


def test_a_push_cut_before_it_was_noted_here_adopts_what_is_there(registry, client, studio, project, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Sender, "_in_order", cut)
        push(registry, client, studio)
    report = push(registry, client, studio)
    assert (report.created, report.unchanged) == (0, 6)
    with registry.read() as tx:
        links = tx.connections.links(tx.connections.current().id)
    assert len(links) == 6
    assert all(link.proposal_id is not None for link in links.values())


def test_two_pulls_at_once_store_each_review_once(registry, client, studio, project, phantoms):
    push(registry, client, studio, "partly")
    review_tasks(client, project, truths_of(registry, phantoms))
    threads = [threading.Thread(target=pull_reviews, args=(registry, client)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with registry.read() as tx:
        partly = tx.images.select(splits=[Split.TRAIN, Split.VAL], supervision=Supervision.PARTLY)
        assert partly == []
        histories = [tx.labels.history(image.id) for image in tx.images.select(splits=[Split.TRAIN])]
    assert {len(history) for history in histories} == {1}


def truths_of(registry, phantoms):
    opened, _ = open_data_set(phantoms, "csv")
    locations = {str(image.path): image.location for image in opened}
    with registry.read() as tx:
        return {image.key: Truth(image, locations[str(image.path)]) for image in tx.images.select()}


def test_test_images_are_never_sent(registry, client, studio, project):
    push(registry, client, studio, "all")
    with registry.read() as tx:
        held = {image.id for image in tx.images.select(splits=[Split.TEST])}
    assert held
    assert held.isdisjoint(tasks_by_image(client, project))


def test_uploaded_images_work_where_files_cannot_be_served(registry, phantoms, client, studio):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.5))
    split_images(registry)
    propose(registry, count=2)
    connection = connect_project(registry, client, ConnectRequest(title="uploads")).connection
    assert connection.media == "upload"
    assert push_images(registry, client).created == 2
    (first, _) = client.list_tasks(connection.project_id, with_annotations=True)
    import urllib.request

    headers = {"Authorization": f"Token {read_account(studio).token}"}
    with urllib.request.urlopen(urllib.request.Request(client.url + first["data"]["image"], headers=headers)) as answer:
        assert answer.read()[:4] == b"\x89PNG"


def test_another_labelling_interface_is_explained_and_left_alone(registry, client):
    foreign = client._sdk.projects.create(title="foreign", label_config='<View><Image name="i" value="$image"/></View>')
    with pytest.raises(ProjectUnusable, match="RectangleLabels"):
        connect_project(registry, client, ConnectRequest(title="x", project_id=foreign.id))
    assert "RectangleLabels" not in client.get_project(foreign.id).config


def test_a_wrong_token_is_refused(studio):
    with LabelStudioClient(studio_status(studio).url, "f" * 40) as stranger, pytest.raises(AuthRejected):
        stranger.whoami()


def test_a_running_server_is_not_started_twice_and_its_secrets_are_private(studio):
    first = studio_status(studio)
    started = time.monotonic()
    assert start_studio(studio).pid == first.pid
    assert time.monotonic() - started < 10
    assert (studio.home / "account.json").stat().st_mode & 0o077 == 0
    from pathlib import Path

    command = Path(f"/proc/{first.pid}/cmdline")
    if command.exists():
        account = read_account(studio)
        assert account.token.encode() not in command.read_bytes()
        assert account.password not in repr(account)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_local_server_needs_no_token_and_serves_files(tmp_path, studio, monkeypatch, host):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    url = studio_status(studio).url.replace("127.0.0.1", host)
    result = CliRunner().invoke(app, ["connect", url, "--title", f"by {host}", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["media"] == "local"
    again = json.loads(CliRunner().invoke(app, ["connect", url, "--title", f"by {host}", "--json"]).stdout)
    assert again["project"] == json.loads(result.stdout)["project"]
    assert json.loads(CliRunner().invoke(app, ["push", "--all", "--json"]).stdout)["created"] == 0
    status = json.loads(CliRunner().invoke(app, ["studio", "status", "--json"]).stdout)
    assert status["running"]


def test_connect_takes_the_local_server_and_honours_a_title(tmp_path, studio, monkeypatch):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init"]).exit_code == 0

    def connect(*words):
        result = CliRunner().invoke(app, ["connect", *words, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    first = connect("--title", "the first project")
    assert first["url"] == studio_status(studio).url
    second = connect("--title", "the second project")
    assert (second["title"], second["project"] == first["project"]) == ("the second project", False)
    assert connect()["project"] == second["project"], "without a title, the one that was connected last"
    assert connect("--title", "the first project")["project"] == first["project"]


def test_a_running_server_does_not_move_to_another_port_in_silence(studio):
    port = int(studio_status(studio).url.rpartition(":")[2])
    assert start_studio(studio, port=port).running
    with pytest.raises(StudioFailed, match="partly studio stop, then partly studio start --port 8"):
        start_studio(studio, port=8)


def test_without_a_local_server_connect_says_how_to_start_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    result = CliRunner().invoke(app, ["connect"])
    assert result.exit_code == 3
    assert "partly studio start" in result.stderr


@pytest.mark.thorough
def test_a_demo_in_another_folder_of_the_same_name_has_a_project_of_its_own(tmp_path, studio, monkeypatch):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    monkeypatch.setattr("cli.workflows.demo.PHANTOMS", 24)
    settings = {"size": 32, "stage1_epochs": 1, "stage2_epochs": 1, "encoder": "test_resnet", "head_channels": 8}
    words = [
        word
        for key, value in (settings | {"device": "cpu", "weights": "none"}).items()
        for word in ("--set", f"{key}={value}")
    ]
    addresses = []
    for clone in ("first", "second"):
        out = tmp_path / clone / "a demo"
        result = CliRunner().invoke(app, ["demo", "--out", str(out), "--json", *words])
        assert result.exit_code == 0, result.output + result.stderr
        addresses.append(json.loads(result.stdout)["address"])
    assert addresses[0] != addresses[1]


@pytest.mark.thorough
def test_the_demo_gets_better(tmp_path, studio, monkeypatch):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    monkeypatch.setattr("cli.workflows.demo.PHANTOMS", 160)
    settings = [
        "encoder=resnet10t",
        "weights=none",
        "size=64",
        "stage1_epochs=12",
        "stage2_epochs=12",
        "device=cpu",
        "tau=0.6",
    ]
    options = [word for setting in settings for word in ("--set", setting)]
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo"), "--json", *options])
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert outcome["after"]["localization"]["iou"] > outcome["before"]["localization"]["iou"]
    assert outcome["tasks"] == sum(outcome["pulled"].values())
    assert outcome["address"].startswith("http://127.0.0.1:")
    if outcome["proposed"]:
        assert (tmp_path / "demo" / "proposals.png").stat().st_size > 10_000
    status = json.loads(CliRunner().invoke(app, ["--project", str(tmp_path / "demo"), "status", "--json"]).stdout)
    assert status["locations"]["unknown"] == 0
    again = CliRunner().invoke(app, ["--project", str(tmp_path / "demo"), "pull", "--json"])
    assert json.loads(again.stdout)["created"] == 0
