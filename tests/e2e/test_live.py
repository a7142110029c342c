"""While people work: `partly serve` answers a real Label Studio, and its webhooks make `partly pull --follow` look."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.ml_backend import MlBackend
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import KEY, image_key_of
from annotator.label_studio.pull.follow import follow, hints_from
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.web_server import Access, WebServer
from db.curation.splitting import split_images
from db.records import Box, Supervision
from db.registry import open_registry
from learner.config import make_config
from learner.inference.live import LiveProposer
from learner.training.train import train_model

pytestmark = pytest.mark.studio

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "epochs": 2}  # fmt: skip


@pytest.fixture
def trained(partly, phantoms, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    partly("init", tmp_path)
    registry = open_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.5))
    split_images(registry, val=0.1, test=0.1)
    train_model(registry, make_config("default", TINY))
    yield registry
    registry.close()


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def start(tmp_path, studio, *words):
    """Start the command in a process of its own, as a user does."""
    environment = os.environ | {
        "PARTLY_LABEL_STUDIO_TOKEN": read_account(studio).token,
        "PARTLY_LABEL_STUDIO_URL": str(studio_status(studio).url),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "--project", str(tmp_path), *words],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(process, *, says=""):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert not says or err.count(says) == 1, err
    return json.loads(out)


@pytest.mark.thorough
def test_a_task_is_answered_while_people_work(trained, studio, client, tmp_path):
    connection = connect_project(trained, client, ConnectRequest(title="live"), media_folder=studio.media).connection
    push_images(trained, client, PushRequest(what="partly", limit=6), media_folder=studio.media)
    with trained.read() as tx:
        assert tx.proposals.pending() == []
    process = start(tmp_path, studio, "--json", "serve", "--tau", "0", "--port", "0", "--attach")
    try:
        wait_until(lambda: client.shown_predictions(connection.project_id) == ("partly", True))
        tasks = client.list_tasks(connection.project_id, with_annotations=False)
        answered = {}
        for task in tasks:
            seen = client.get_task(int(task["id"]))
            answered[image_key_of(task)] = seen["predictions"]
        shown = {key: found[0] for key, found in answered.items() if found}
        assert shown, "with a threshold of 0 there is something to propose"
        assert {found["model_version"] for found in shown.values()} == {"run-1"}
        with trained.read() as tx:
            stored = {tx.images.get(item.image_id).key: item for item in tx.proposals.pending()}
        assert set(stored) == set(shown), "what people see is in the registry"
        assert push_images(trained, client, PushRequest(what="proposals"), media_folder=studio.media).updated == 0
        assert client.shown_predictions(connection.project_id) == ("partly", True)
        key, found = next(iter(shown.items()))
        task_id = next(int(task["id"]) for task in tasks if image_key_of(task) == key)
        client.create_annotation(task_id, found["result"], parent_prediction=found["id"])
        assert pull_reviews(trained, client).outcomes == {"accepted": 1}
        (backend,) = client.http.get("/api/ml/", project=connection.project_id)
        for _ in range(2):
            stranger = httpx.post(f"{backend['url']}/predict", json={"tasks": []}, headers={"Host": "studio.intern:80"})
            assert stranger.status_code == 403
    finally:
        document = end(process, says="--allow-host studio.intern\n")
    assert (document["run"], document["attached"]) == ("run-1", True)
    assert client.http.get("/api/ml/", project=connection.project_id) == []
    assert client.shown_predictions(connection.project_id) == ("run-1", True)


def test_the_protocol_and_the_newest_run(trained):
    proposer = LiveProposer(trained, tau=0.0)
    backend = MlBackend(trained, proposer.propose, proposer.current_run)
    with WebServer(backend.handlers(), host="127.0.0.1", port=0, access=Access(("ls", "word"))) as server:
        base = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=base, auth=("ls", "word"), timeout=60) as caller:
            assert caller.get("/health").json()["status"] == "UP"
            assert caller.post("/setup", json={"access_token": "secret"}).json() == {"model_version": "run-1"}
            with trained.read() as tx:
                partly = tx.images.select(supervision=Supervision.PARTLY)
                fully = tx.images.select(supervision=Supervision.FULLY)[0]
            tasks = [{"id": n, "data": {KEY: image.key}} for n, image in enumerate([*partly[:3], fully])]
            tasks += [{"id": 90, "data": {}}, {"id": 91, "data": {KEY: "5-0000000000000000"}}]
            tasks.append({"id": 92, "data": {KEY: partly[3].key, "partly_control": True}})
            results = caller.post("/predict", json={"tasks": tasks}).json()["results"]
            assert len(results) == len(tasks)
            assert results[3:] == [[], [], [], []]
            again = caller.post("/predict", json={"tasks": tasks}).json()["results"]
            assert again == results
            assert caller.post("/predict", content=b"no json").status_code == 415
            typed = {"Content-Type": "application/json"}
            assert caller.post("/predict", content=b"no json", headers=typed).status_code == 400
            assert caller.post("/predict", json={"tasks": []}).json() == {"results": []}
            train_model(trained, make_config("default", TINY))
            assert caller.post("/setup", json={}).json() == {"model_version": "run-2"}
            assert caller.get("/versions").json() == {"versions": ["run-1", "run-2"]}
        assert httpx.get(f"{base}/health").status_code == 401


def test_webhooks_make_a_pull_look_at_once(registry, phantoms, studio, client):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
    connection = connect_project(registry, client, ConnectRequest(title="hints"), media_folder=studio.media).connection
    push_images(registry, client, PushRequest(what="partly", limit=3), media_folder=studio.media)
    hint, stop, heard = threading.Event(), threading.Event(), []
    with hints_from(client, connection.project_id, hint, host="127.0.0.1", port=0) as address:
        (hook,) = client.http.get("/api/webhooks/", project=connection.project_id)
        assert hook["url"] == address
        worker = threading.Thread(
            target=follow,
            args=(lambda: pull_reviews(registry, client), heard.append),
            kwargs={"every_s": 300.0, "hint": hint, "stop": stop, "say": print},
        )
        worker.start()
        wait_until(lambda: heard)
        with LabelStudioClient(studio_status(studio).url, read_account(studio).token) as person:
            task = person.list_tasks(connection.project_id, with_annotations=False)[0]
            with registry.read() as tx:
                image = tx.images.get(int(task["data"][KEY].partition("-")[0]))
            drawn = result_from_boxes([Box(5, 5, 30, 20)], image.width, image.height)
            person.create_annotation(int(task["id"]), drawn)
        wait_until(lambda: sum(report.created for report in heard) == 1, seconds=30)
        assert httpx.post(address.rpartition("/")[0] + "/guessed", json={}).status_code == 404
        stop.set()
        hint.set()
        worker.join(30)
        assert not worker.is_alive()
    assert client.http.get("/api/webhooks/", project=connection.project_id) == []


@pytest.mark.thorough
def test_following_from_the_command_line(trained, studio, client, tmp_path):
    connect_project(trained, client, ConnectRequest(title="following"), media_folder=studio.media)
    push_images(trained, client, PushRequest(what="partly", limit=2), media_folder=studio.media)
    process = start(tmp_path, studio, "--json", "pull", "--follow", "--every", "1", "--webhook-port", "0")
    try:
        with trained.read() as tx:
            project_id = tx.connections.current().project_id
        wait_until(lambda: client.http.get("/api/webhooks/", project=project_id))
        task = client.list_tasks(project_id, with_annotations=False)[0]
        with trained.read() as tx:
            image = tx.images.get(int(task["data"][KEY].partition("-")[0]))
        drawn = result_from_boxes([Box(5, 5, 30, 20)], image.width, image.height)
        client.create_annotation(int(task["id"]), drawn)

        def located():
            with trained.read() as tx:
                return tx.images.get(image.id).boxes

        wait_until(located)
    finally:
        total = end(process)
    assert total["created"] == 1
