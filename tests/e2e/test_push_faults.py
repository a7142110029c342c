"""kill -9 in a push to a real Label Studio: the same command again finishes what was begun, and nothing is doubled."""

import multiprocessing
import os
import shutil

import numpy as np
import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.tasks import image_key_of
from db.maintenance.integrity import check_registry
from db.records import Box, NewProposal, Supervision
from db.registry import create_registry, open_registry
from tests.faults import workers
from tests.faults.test_kill import SEED, run, struck

pytestmark = pytest.mark.studio

MOMENTS = int(os.environ.get("PARTLY_PUSH_KILLS", "5"))


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.faults.workers", "annotator.label_studio.client", "annotator.label_studio.push.push_images"]
    )
    return context


def make_registry(root):
    registry = create_registry(f"sqlite:///{root}/full.sqlite3", root)
    import_images(registry, ImportRequest(root / "phantoms", "csv", keep_locations=0.4))
    with registry.begin() as tx:
        run_record = tx.runs.start(preset="default", config={}, snapshot="s")
        partly = tx.images.select(supervision=Supervision.PARTLY)
        proposals = [NewProposal(image.id, "benign", 0.9, 0.9, (Box(20, 30, 40, 25),)) for image in partly[:20]]
        tx.proposals.add(proposals, run_id=run_record.id, tau=0.5, gate="class")
    assert len(proposals) == 20
    return registry


@pytest.mark.thorough
def test_kill_in_a_push(processes, tmp_path, studio):
    write_phantoms(tmp_path / "phantoms", 40, seed=5)
    account = studio_status(studio).url, read_account(studio).token
    make_registry(tmp_path).close()
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    job = (workers.push, url, str(tmp_path), *account, str(studio.media))
    client = LabelStudioClient(*account)

    def fresh(title):
        for file in tmp_path.glob("r.sqlite3*"):
            file.unlink()
        shutil.copyfile(tmp_path / "full.sqlite3", tmp_path / "r.sqlite3")
        registry = open_registry(url, tmp_path)
        connection = connect_project(
            registry, client, ConnectRequest(title=title), media_folder=studio.media
        ).connection
        registry.close()
        return connection.project_id

    def outcome(project_id):
        registry = open_registry(url, tmp_path)
        assert check_registry(registry) == []
        with registry.read() as tx:
            connection = tx.connections.current()
            links = tx.connections.links(connection.id)
            planted = tx.attention_checks.of_connection(connection.id)
            keys = {tx.images.get(image_id).key: link for image_id, link in links.items()}
            last = tx.journal.all()[0]
        registry.close()
        tasks = client.list_tasks(project_id, with_annotations=True)
        assert sorted(image_key_of(task) for task in tasks) == sorted(keys), "no task twice, none unknown"
        assert all(keys[image_key_of(task)].task_id == task["id"] for task in tasks)
        assert last.status == "finished"
        shown = {image_key_of(task): [found["model_version"] for found in task["predictions"]] for task in tasks}
        return shown, set(planted)

    project_id = fresh("whole push")
    duration = run(processes, *job)
    expected = outcome(project_id)
    assert len(expected[0]) > 12
    cut = 0
    for number, moment in enumerate(np.random.default_rng(SEED).uniform(0.1, duration, MOMENTS)):
        project_id = fresh(f"killed push {number}")
        was_cut = struck(processes, moment, *job)
        cut += was_cut
        if was_cut:
            # What was not finished; a push that ended by itself has nothing left, and would take the next twelve.
            registry = open_registry(url, tmp_path)
            with registry.read() as tx:
                done = tx.journal.all() and tx.journal.all()[0].status == "finished"
            registry.close()
            if not done:
                run(processes, *job)
        assert outcome(project_id) == expected
    assert cut >= MOMENTS / 4
    client.close()
