"""Pulls from a real Label Studio that are killed, or that run beside each other and beside an import."""

import json
import multiprocessing
import shutil

import numpy as np
import pytest

from annotator.datasets.decode import open_data_set
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.pull.plan import PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.simulated_reviewer import Truth, review_tasks
from db.history.retraction import retract_labels, undo_retraction
from db.maintenance.integrity import check_registry
from db.records import LocationSource, Split, Supervision
from db.registry import create_registry, open_registry
from tests.faults import workers
from tests.faults.test_kill import MOMENTS, SEED, run, struck

pytestmark = pytest.mark.studio


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.faults.workers", "annotator.label_studio.client", "annotator.label_studio.pull.pull_reviews"]
    )
    return context


@pytest.fixture
def account(studio):
    return studio_status(studio).url, read_account(studio).token


def reviewed_project(registry, phantoms, studio, account, title):
    """Every image is partly labeled; a simulated person locates all of them in Label Studio."""
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
    truths, _ = open_data_set(phantoms, "csv")
    locations = {str(image.path): image.location for image in truths}
    with LabelStudioClient(*account) as client:
        connection = connect_project(
            registry, client, ConnectRequest(title=title), media_folder=studio.media
        ).connection
        push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
        with registry.read() as tx:
            known = {image.key: Truth(image, locations[str(image.path)]) for image in tx.images.select()}
        review_tasks(client, connection.project_id, known)


def facts(registry):
    with registry.read() as tx:
        images = tx.images.select()
        histories = [tx.labels.history(image.id) for image in images]
    return [[(label.status, label.boxes, label.source, label.reviewer) for label in history] for history in histories]


@pytest.mark.thorough
def test_kill_in_a_pull(processes, tmp_path, studio, account):
    write_phantoms(tmp_path / "phantoms", 24, seed=5)
    registry = create_registry(f"sqlite:///{tmp_path}/full.sqlite3", tmp_path)
    reviewed_project(registry, tmp_path / "phantoms", studio, account, "killed pulls")
    with LabelStudioClient(*account) as client, registry.read() as tx:
        project_id = tx.connections.current().project_id
        answers = {
            "tasks": client.list_tasks(project_id, with_annotations=True),
            "users": client.user_names(),
            "project": client.http.get(f"/api/projects/{project_id}/"),
        }
    (tmp_path / "answers.json").write_text(json.dumps(answers, default=str))
    registry.close()
    url = f"sqlite:///{tmp_path}/r.sqlite3"

    def fresh():
        for file in tmp_path.glob("r.sqlite3*"):
            file.unlink()
        shutil.copyfile(tmp_path / "full.sqlite3", tmp_path / "r.sqlite3")

    # Most of a pull is waiting for the server, when there is nothing to lose. So a few moments of the real thing, and
    # many with what the server answered, when nearly all of the time is writing.
    real = (workers.pull, url, str(tmp_path), *account)
    recorded = (workers.pull_recorded, url, str(tmp_path), str(tmp_path / "answers.json"))
    expected = None
    for job, count in ((real, 4), (recorded, MOMENTS)):
        fresh()
        run(processes, *job)
        registry = open_registry(url, tmp_path)
        assert expected in (None, facts(registry))
        expected = facts(registry)
        registry.close()
        fresh()
        duration = run(processes, *job)
        cut = 0
        for moment in np.random.default_rng(SEED).uniform(0, duration * 1.1, count):
            fresh()
            cut += struck(processes, moment, *job)
            run(processes, *job)
            registry = open_registry(url, tmp_path)
            assert facts(registry) == expected
            assert check_registry(registry) == []
            registry.close()
        assert cut > count / 4
    assert {len(history) for history in expected} == {1}


@pytest.mark.thorough
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_two_pulls_and_an_import_at_once(processes, tmp_path, studio, account, database, request):
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    if database == "postgres":
        server = request.getfixturevalue("postgres_server")
        server.psql("DROP DATABASE IF EXISTS pulls;")
        server.psql("CREATE DATABASE pulls;")
        url = server.get_uri(database="pulls")
    write_phantoms(tmp_path / "phantoms", 24, seed=5)
    write_phantoms(tmp_path / "more", 40, seed=6)
    registry = create_registry(url, tmp_path)
    reviewed_project(registry, tmp_path / "phantoms", studio, account, f"two pulls {database}")
    jobs = [(workers.pull, (url, str(tmp_path), *account))] * 2
    jobs.append((workers.import_set, (url, str(tmp_path), str(tmp_path / "more"))))
    started = [processes.Process(target=work, args=arguments) for work, arguments in jobs]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0, 0, 0]
    with registry.read() as tx:
        assert tx.status.count().images == {"total": 64, "fully": 64, "partly": 0, "unlabeled": 0}
    assert {len(history) for history in facts(registry)} == {1}
    assert check_registry(registry) == []
    registry.close()


def test_test_images_are_pulled_only_on_purpose_and_what_was_taken_back_stays_so(registry, tmp_path, studio, account):
    write_phantoms(tmp_path / "phantoms", 12, seed=7)
    reviewed_project(registry, tmp_path / "phantoms", studio, account, "frozen")
    with registry.begin() as tx:
        held = tx.images.select(limit=3)
        tx.images.set_splits({image.id: Split.TEST for image in held})
    with LabelStudioClient(*account) as client:
        report = pull_reviews(registry, client)
        assert (report.created, len(report.skipped)) == (9, 3)
        assert "--change-test" in report.skipped[0].reason
        assert pull_reviews(registry, client, PullRequest(change_test=True)).created == 3
        with registry.read() as tx:
            assert tx.images.select(supervision=Supervision.PARTLY) == []
            reviewer = tx.images.select()[5].label.reviewer
        taken_back = retract_labels(registry, reviewer=reviewer)
        assert taken_back.unknown == 12
        assert pull_reviews(registry, client).created == 0
        with registry.read() as tx:
            assert len(tx.images.select(supervision=Supervision.PARTLY)) == 12, "an old annotation does not come back"
        undo_retraction(registry, taken_back.retraction)
        with registry.read() as tx:
            sources = {image.label.source for image in tx.images.select()}
    assert sources == {LocationSource.DRAWN}
