"""Which network a round starts from: that of the round before, as long as what it learned holds."""

from dataclasses import replace
from pathlib import Path

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.changes import remove_images, set_facts
from db.curation.splitting import split_images
from db.progress import SilentProgress
from db.records import Box, Location, LocationSource, LocationStatus, NewLabel, RunStatus, Split
from learner.config import make_config
from learner.training.train_once import current_snapshot, train_once, warmed_where_sound
from tests.spoken import Spoken

SETTINGS = {"encoder": "resnet10t", "size": 32, "batch_size": 8, "head_channels": 8, "device": "cpu", "epochs": 1}
AUTO = make_config("default", SETTINGS)


@pytest.fixture
def known(registry, phantoms):
    """A registry that knows half of its locations."""
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.5))
    split_images(registry, val=0.1, test=0.2)
    assert warmed_where_sound(registry, AUTO) is AUTO
    return registry


@pytest.fixture
def trained(known, monkeypatch):
    """The same with a run that has learned from these, and with one more location since."""
    monkeypatch.setattr("learner.training.train_once.is_there", lambda _: True)
    snapshot = current_snapshot(known)
    with known.begin() as tx:
        run = tx.runs.start(preset="default", config=AUTO.to_dict(), snapshot=snapshot)
        tx.runs.set_checkpoint(run.id, Path("runs/run-1"))
        tx.runs.finish(run.id, RunStatus.FINISHED, {})
    add_location(known)
    return known


def add_location(registry):
    unknown = next(image for image in of_training(registry) if not image.is_located)
    label(registry, unknown, present(Box(5, 5, 20, 20)))


def of_training(registry):
    with registry.read() as tx:
        return tx.images.select(splits=[Split.TRAIN])


def label(registry, image, location):
    with registry.begin() as tx:
        tx.labels.append_many([NewLabel(image.id, location, source=LocationSource.IMPORTED)])


def present(*boxes):
    return Location(LocationStatus.PRESENT, boxes)


def start(registry, config=AUTO):
    spoken = Spoken()
    return warmed_where_sound(registry, config, spoken).weights, spoken.lines


def test_a_training_goes_on_from_the_run_before_and_is_found_again(known):
    train_once(known, replace(AUTO, weights="none"), SilentProgress())
    add_location(known)
    run, trained = train_once(known, warmed_where_sound(known, AUTO), SilentProgress())
    assert (run.name, run.config["weights"], trained) == ("run-2", "run-1", True)
    assert train_once(known, warmed_where_sound(known, AUTO), SilentProgress()) == (run, False)


def test_named_weights_and_other_networks_start_as_they_were_asked_to(trained):
    assert start(trained, replace(AUTO, weights="imagenet")) == ("imagenet", [])
    assert start(trained, replace(AUTO, head_channels=16)) == ("auto", [])


def test_runs_of_a_bench_are_no_start(trained):
    with trained.begin() as tx:
        tx.runs.add_metrics(1, {"bench": "shares"})
    assert start(trained) == ("auto", [])


def test_labels_that_changed_start_anew(trained):
    located = [image for image in of_training(trained) if image.boxes]
    label(trained, located[0], present(Box(1, 2, 30, 30)))
    weights, lines = start(trained)
    assert weights == "auto"
    assert lines == [
        "an image that run-1 learned from has another label or split now, so this run starts from scratch; to start "
        "from run-1 anyway: --warm"
    ]
    label(trained, located[1], Location(LocationStatus.EMPTY))
    assert start(trained)[1][0].startswith("2 images that run-1 learned from have another label")
    for image in located[:2]:
        label(trained, image, present(*image.boxes))
    assert start(trained) == ("run-1", [])


@pytest.mark.parametrize("change", ["split", "class", "removed"])
def test_images_that_changed_start_anew(trained, change):
    image = of_training(trained)[0]
    if change == "split":
        with trained.begin() as tx:
            tx.images.set_splits({image.id: Split.TEST})
    elif change == "class":
        other = next(item.class_name for item in of_training(trained) if item.class_name != image.class_name)
        set_facts(trained, [str(image.id)], class_name=other)
    else:
        remove_images(trained, [str(image.id)])
    assert start(trained)[0] == "auto"
