"""Several processes at once, on SQLite and PostgreSQL: nothing lost, no deadlock, no "database is locked"."""

import multiprocessing

import pytest

from annotator.datasets.phantoms import write_phantoms
from db.maintenance.integrity import check_registry
from db.registry import create_registry
from tests.faults import workers


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.workers"])
    return context


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/r.sqlite3"
    server = request.getfixturevalue("postgres_server")
    server.psql("DROP DATABASE IF EXISTS together;")
    server.psql("CREATE DATABASE together;")
    return server.get_uri(database="together")


def together(processes, *jobs):
    started = [processes.Process(target=work, args=arguments) for work, *arguments in jobs]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * len(started)


def test_several_may_make_the_registry_at_once(processes, url, tmp_path):
    together(processes, *[(workers.init, url, str(tmp_path))] * 4)
    registry = create_registry(url, tmp_path)
    assert check_registry(registry) == []
    registry.close()


def test_two_imports_of_the_same_set_register_each_image_once(processes, url, tmp_path):
    write_phantoms(tmp_path / "phantoms", 80, seed=1)
    registry = create_registry(url, tmp_path)
    job = (workers.import_set, url, str(tmp_path), str(tmp_path / "phantoms"))
    together(processes, job, job, job)
    with registry.read() as tx:
        status = tx.status.count()
        revisions = {image.label.revision for image in tx.images.select() if image.label}
    assert status.images["total"] == 80
    assert revisions == {1}, "no label was written twice"
    assert check_registry(registry) == []
    registry.close()


def test_an_import_beside_labels_loses_neither(processes, url, tmp_path):
    write_phantoms(tmp_path / "first", 20, seed=1)
    write_phantoms(tmp_path / "second", 60, seed=2)
    registry = create_registry(url, tmp_path)
    workers.import_set(url, str(tmp_path), str(tmp_path / "first"))
    labelers = [(workers.label_steadily, url, str(tmp_path), f"labeler {n}", 30) for n in range(2)]
    together(processes, (workers.import_set, url, str(tmp_path), str(tmp_path / "second")), *labelers)
    with registry.read() as tx:
        first = tx.images.select(limit=20)
        histories = [tx.labels.history(image.id) for image in first]
        assert tx.status.count().images["total"] == 80
    for history in histories:
        said = [label.origin for label in history if label.origin and label.origin.startswith("labeler")]
        assert sorted(said) == ["labeler 0"] * 30 + ["labeler 1"] * 30
        assert [label.revision for label in history] == list(range(1, len(history) + 1))
    assert check_registry(registry) == []
    registry.close()


def test_snapshots_taken_while_others_write_read_the_same_ever_after(processes, url, tmp_path):
    write_phantoms(tmp_path / "first", 20, seed=1)
    registry = create_registry(url, tmp_path)
    workers.import_set(url, str(tmp_path), str(tmp_path / "first"))
    writers = [
        processes.Process(target=workers.label_steadily, args=(url, str(tmp_path), f"labeler {n}", 80))
        for n in range(2)
    ]
    for process in writers:
        process.start()
    taken = []
    while any(process.is_alive() for process in writers):
        with registry.begin() as tx:
            snapshot = tx.snapshots.take()
        with registry.read() as tx:
            taken.append((snapshot, tx.snapshots.images_at(snapshot.position)))
    for process in writers:
        process.join()
        assert process.exitcode == 0
    assert len({snapshot.hash for snapshot, _ in taken}) > 1, "nothing was written meanwhile"
    with registry.read() as tx:
        for snapshot, images in taken:
            assert tx.snapshots.images_at(snapshot.position) == images
    assert check_registry(registry) == []
    registry.close()
