"""kill -9 at random moments: the registry opens, is sound, and the same command again finishes the work."""

import multiprocessing
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from annotator.datasets.phantoms import write_phantoms
from db.maintenance.integrity import check_registry
from db.records import LocationStatus
from db.registry import open_registry
from tests.faults import workers
from tests.migrations.test_migrations import fill_old

MOMENTS = 50
SEED = 20_261_123


@pytest.fixture(scope="module")
def processes():
    """Processes that start in a moment: forked from a server that has imported what they need and nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.workers"])
    return context


def run(processes, work, *arguments):
    """Run a worker to its end and return how long that took."""
    started = time.monotonic()
    process = processes.Process(target=work, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - started


def struck(processes, seconds, work, *arguments):
    """Run a worker that is killed after so many seconds, and say whether that was before its end."""
    process = processes.Process(target=workers.kill_after, args=(seconds, work, *arguments))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -9)
    return process.exitcode == -9


def moments(duration):
    """Moments from the start of the work to just after its end."""
    return np.random.default_rng(SEED).uniform(0, duration * 1.1, MOMENTS)


def facts(registry):
    with registry.read() as tx:
        return [
            (image.id, str(image.path), image.class_name, image.split, image.location_status, image.boxes)
            for image in tx.images.select()
        ], tx.duplicates.pairs()


@pytest.mark.thorough
def test_kill_in_an_import(processes, tmp_path):
    folder = tmp_path / "phantoms"
    write_phantoms(folder, 36, seed=1)
    whole_root = tmp_path / "whole"
    whole_root.mkdir()
    url, whole = workers.make_registry(whole_root)
    run(processes, workers.import_set, url, str(whole_root), str(folder))
    expected = facts(whole)
    assert len(expected[0]) == 36
    root = tmp_path / "cut"
    root.mkdir()
    _, empty = workers.make_registry(root, "empty.sqlite3")
    empty.close()
    # How long it takes once everything is warm.
    url = f"sqlite:///{root}/r.sqlite3"
    shutil.copyfile(root / "empty.sqlite3", root / "r.sqlite3")
    duration = run(processes, workers.import_set, url, str(root), str(folder))
    cut = 0
    for moment in moments(duration):
        fresh(root, "empty.sqlite3")
        cut += struck(processes, moment, workers.import_set, url, str(root), str(folder))
        sound(url, root)
        run(processes, workers.import_set, url, str(root), str(folder))
        with opened(url, root) as registry:
            assert facts(registry) == expected
            assert check_registry(registry) == []
    assert cut > MOMENTS / 4, "the kills came too late to mean anything"
    whole.close()


def fresh(root: Path, template: str):
    for file in root.glob("r.sqlite3*"):
        file.unlink()
    shutil.copyfile(root / template, root / "r.sqlite3")


class opened:
    def __init__(self, url, root):
        self.registry = open_registry(url, root)

    def __enter__(self):
        return self.registry

    def __exit__(self, *error):
        self.registry.close()


def sound(url, root):
    with opened(url, root) as registry:
        assert check_registry(registry) == []


@pytest.mark.thorough
def test_kill_in_a_retraction(processes, tmp_path):
    from tests.builders import add_images, new_image, present

    url, registry = workers.make_registry(tmp_path, "full.sqlite3")
    ids = add_images(registry, *(new_image(f"{n}.png") for n in range(800)))
    from db.records import LocationSource, NewLabel

    with registry.begin() as tx:
        tx.labels.append_many([NewLabel(key, present(), LocationSource.IMPORTED) for key in ids])
        tx.snapshots.take()
    registry.close()
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    fresh(tmp_path, "full.sqlite3")
    duration = run(processes, workers.retract_all, url, str(tmp_path))
    cut = 0
    for moment in moments(duration):
        fresh(tmp_path, "full.sqlite3")
        cut += struck(processes, moment, workers.retract_all, url, str(tmp_path))
        with opened(url, tmp_path) as registry:
            assert check_registry(registry) == []
            with registry.read() as tx:
                known = {image.location_status for image in tx.images.select()}
            assert len(known) == 1, "all of it or nothing"
        run(processes, workers.retract_all, url, str(tmp_path))
        with opened(url, tmp_path) as registry:
            with registry.read() as tx:
                assert {image.location_status for image in tx.images.select()} == {LocationStatus.UNKNOWN}
                assert len(tx.retractions.all()) == 1
            assert check_registry(registry) == []
    assert cut > MOMENTS / 4


@pytest.mark.thorough
def test_kill_in_a_migration(processes, tmp_path):
    from db.engine import make_engine

    engine = make_engine(f"sqlite:///{tmp_path}/old.sqlite3")
    document = fill_old(engine, "0001_create_registry")
    grow(engine, 4000)
    engine.dispose()
    url = f"sqlite:///{tmp_path}/r.sqlite3"
    fresh(tmp_path, "old.sqlite3")
    duration = run(processes, workers.upgrade, url, str(tmp_path))
    cut = 0
    for moment in moments(duration):
        fresh(tmp_path, "old.sqlite3")
        cut += struck(processes, moment, workers.upgrade, url, str(tmp_path))
        run(processes, workers.upgrade, url, str(tmp_path))
        with opened(url, tmp_path) as registry:
            assert check_registry(registry) == []
            with registry.read() as tx:
                assert tx.status.count().images["total"] == len(document["images"]) + 4000
    assert cut > MOMENTS / 4


def grow(engine, count):
    """Add images and labels to an old registry, so that its migration takes a while."""
    with engine.begin() as connection:
        for n in range(count):
            connection.exec_driver_sql(
                "INSERT INTO images (id, uri, content_hash, width, height, created_at) VALUES (?, ?, ?, 9, 9, ?)",
                (1000 + n, f"many/{n}.png", f"sha256:{n}", "2026-01-01 00:00:00.000000"),
            )
            connection.exec_driver_sql(
                "INSERT INTO location_labels (image_id, revision, status, num_boxes, source, created_at) "
                "VALUES (?, 1, 'empty', 0, 'imported', ?)",
                (1000 + n, "2026-01-01 00:00:00.000000"),
            )
