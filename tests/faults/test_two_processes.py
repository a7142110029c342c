"""Several processes at once, on SQLite and PostgreSQL: nothing lost, no deadlock, no "database is locked"."""

import json
import multiprocessing
import sqlite3
from contextlib import closing

import pytest

from annotator.datasets.phantoms import write_phantoms
from db import schema
from db.engine import make_engine
from db.maintenance.backup import restore_registry
from db.maintenance.integrity import check_registry
from db.registry import create_registry, open_registry
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


def at_once(processes, count, work, *arguments):
    """Run the same work in several processes that begin together; returns how each went."""
    barrier, outcomes = processes.Barrier(count), processes.Queue()
    together(processes, *[(work, *arguments, barrier, outcomes)] * count)
    return [outcomes.get(timeout=10) for _ in range(count)]


def test_of_two_backups_to_one_name_one_is_written_and_the_other_says_so(processes, url, tmp_path):
    write_phantoms(tmp_path / "phantoms", 20, seed=1)
    registry = create_registry(url, tmp_path)
    workers.import_set(url, str(tmp_path), str(tmp_path / "phantoms"))
    out = tmp_path / "kept" / "backup.sqlite3"
    outcomes = at_once(processes, 3, workers.back_up, url, str(tmp_path), str(out))
    assert outcomes.count("written") == 1, outcomes
    assert all("another process" in said or "already exists" in said for said in outcomes if said != "written")
    assert [file.name for file in out.parent.iterdir()] == [out.name]
    copy = create_registry(f"sqlite:///{tmp_path}/restored.sqlite3", tmp_path)
    assert restore_registry(out, copy)["images"] == 20
    assert check_registry(copy) == []
    copy.close()
    registry.close()


def test_upgrades_at_once_each_keep_a_whole_copy(processes, tmp_path):
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    engine = make_engine(url)
    schema.upgrade(engine, "0003_sync")
    engine.dispose()
    copies = [name for name in at_once(processes, 3, workers.upgrade_with_copy, url, str(tmp_path)) if name]
    assert len(set(copies)) == len(copies) > 0
    # Who comes late may find the registry upgraded already, and copies that.
    assert sorted(file.name for file in tmp_path.glob("r.sqlite3.before*")) == sorted(copies)
    for name in copies:
        with closing(sqlite3.connect(tmp_path / name)) as kept:
            assert kept.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert kept.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    registry = open_registry(url, tmp_path)
    assert check_registry(registry) == []
    registry.close()


def test_of_exports_to_one_folder_one_is_whole_and_the_others_say_so(processes, tmp_path):
    write_phantoms(tmp_path / "phantoms", 30, seed=1)
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    create_registry(url, tmp_path).close()
    workers.import_set(url, str(tmp_path), str(tmp_path / "phantoms"))
    for _ in range(2):
        # Into nothing, then over an earlier export.
        outcomes = at_once(processes, 3, workers.export_set, url, str(tmp_path), str(tmp_path / "sets" / "out"))
        # One that begins when another has finished replaces its export, as any later one does.
        assert outcomes.count("written") >= 1, outcomes
        assert all("another process" in said for said in outcomes if said != "written")
        assert [file.name for file in (tmp_path / "sets").iterdir()] == ["out"]
        listed = json.loads((tmp_path / "sets" / "out" / "annotations.json").read_text())["images"]
        pictures = {file.name for file in (tmp_path / "sets" / "out" / "images").iterdir()}
        assert {image["file_name"] for image in listed} == pictures
