"""Push and pull through a network that breaks, to a real Label Studio: nothing doubled, nothing lost, it completes."""

import os
import threading
import time

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.errors import LabelStudioError
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, start_studio, stop_studio, studio_status
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import image_key_of
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from db.maintenance.integrity import check_registry
from db.records import Box, LocationStatus, NewProposal
from db.registry import create_registry
from tests.faults.proxy import FaultyProxy

pytestmark = [pytest.mark.studio, pytest.mark.thorough]

SCHEDULES = int(os.environ.get("PARTLY_FAULT_SCHEDULES", "6"))
IMAGES = 8
TRIES = 25


@pytest.fixture(scope="module")
def proxy(studio):
    made = FaultyProxy(studio_status(studio).url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def phantom_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    write_phantoms(folder, IMAGES, seed=11)
    return folder


def until_done(work):
    """Repeat a command that fails for a reason it can name; anything else is a bug."""
    for _ in range(TRIES):
        try:
            return work()
        except LabelStudioError as exc:
            last = exc
    raise AssertionError(f"not done after {TRIES} tries: {last}")


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_schedule_of_faults(seed, proxy, studio, phantom_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("annotator.label_studio.transport.READ_PAUSE_S", 0.001)
    monkeypatch.setattr("annotator.label_studio.push.execute.CHUNK", 3)
    registry = create_registry(f"sqlite:///{tmp_path}/r.sqlite3", tmp_path)
    import_images(registry, ImportRequest(phantom_folder, "csv", keep_locations=0))
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        images = tx.images.select()
        proposals = [NewProposal(image.id, "benign", 0.9, 0.9, (Box(20, 30, 40, 25),)) for image in images[:5]]
        tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")
    token = read_account(studio).token
    with LabelStudioClient(proxy.url, token) as client, LabelStudioClient(studio_status(studio).url, token) as direct:
        proxy.arm(seed, count=0, chance=0)
        connection = connect_project(
            registry, client, ConnectRequest(title=f"bad network {seed}"), media_folder=studio.media
        ).connection
        proxy.arm(seed, count=8, chance=0.35)
        until_done(lambda: push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media))
        tasks = direct.list_tasks(connection.project_id, with_annotations=True)
        keys = [image_key_of(task) for task in tasks]
        assert sorted(keys) == sorted(image.key for image in images), f"{proxy.happened}"
        shown = {image_key_of(task): len(task["predictions"]) for task in tasks}
        assert [shown[image.key] for image in images] == [1] * 5 + [0] * 3, f"{proxy.happened}"
        assert direct.shown_predictions(connection.project_id) == ("run-1", True)
        by_key = {image_key_of(task): task["id"] for task in tasks}
        for image in images[:6]:
            boxes = result_from_boxes([Box(10, 10, 30, 20)], image.width, image.height)
            direct.create_annotation(by_key[image.key], boxes)
        proxy.arm(seed + 10_000, count=8, chance=0.35)
        until_done(lambda: pull_reviews(registry, client))
    with registry.read() as tx:
        known = [image.location_status for image in tx.images.select()]
        assert len(tx.reviews.all()) == 6
        assert {len(tx.labels.history(image.id)) for image in images[:6]} == {1}
    assert known == [LocationStatus.PRESENT] * 6 + [LocationStatus.UNKNOWN] * 2
    assert check_registry(registry) == []
    registry.close()


def test_the_server_is_restarted_in_the_middle(proxy, studio, phantom_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("annotator.label_studio.transport.READ_PAUSE_S", 0.05)
    monkeypatch.setattr("annotator.label_studio.push.execute.WRITE_PAUSE_S", 0.05)
    monkeypatch.setattr("annotator.label_studio.push.execute.CHUNK", 2)
    registry = create_registry(f"sqlite:///{tmp_path}/r.sqlite3", tmp_path)
    import_images(registry, ImportRequest(phantom_folder, "csv", keep_locations=0))
    token, url = read_account(studio).token, studio_status(studio).url
    started: list[threading.Thread] = []

    def restart():
        stop_studio(studio)
        start_studio(studio)

    def restart_at(number):
        first = proxy.requests

        def before(count):
            if count == first + number:
                started.append(threading.Thread(target=restart))
                started[-1].start()

        proxy.before = before

    failed = []

    def until_up(work):
        deadline = time.monotonic() + 120
        while True:
            try:
                return work()
            except LabelStudioError as exc:
                failed.append(exc)
                assert time.monotonic() < deadline
                time.sleep(1)

    with LabelStudioClient(proxy.url, token) as client, LabelStudioClient(url, token) as direct:
        proxy.arm(0, count=0, chance=0)
        connection = connect_project(
            registry, client, ConnectRequest(title="restarted"), media_folder=studio.media
        ).connection
        restart_at(8)
        until_up(lambda: push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media))
        started[-1].join()
        assert studio_status(studio).url == url
        with registry.read() as tx:
            images = tx.images.select()
        tasks = direct.list_tasks(connection.project_id, with_annotations=False)
        assert sorted(image_key_of(task) for task in tasks) == sorted(image.key for image in images)
        by_key = {image_key_of(task): task["id"] for task in tasks}
        for image in images[:4]:
            boxes = result_from_boxes([Box(10, 10, 30, 20)], image.width, image.height)
            direct.create_annotation(by_key[image.key], boxes)
        restart_at(2)
        until_up(lambda: pull_reviews(registry, client))
        started[-1].join()
        proxy.before = None
    assert failed, "the restarts were noticed"
    with registry.read() as tx:
        assert len(tx.reviews.all()) == 4
        (push, pull) = sorted(tx.journal.all(), key=lambda sync: sync.id)[:2]
        assert (push.status, pull.status) == ("finished", "finished")
    assert check_registry(registry) == []
    registry.close()
