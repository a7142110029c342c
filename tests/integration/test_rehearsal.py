"""A training that is only tried: as many steps as the real one would take, on its images, and nothing written."""

import hashlib
from pathlib import Path

import pytest

from db.progress import SilentProgress
from db.records import LocationStatus
from learner.config import make_config
from learner.errors import ConfigInvalid, WeightsUnavailable
from learner.training import loop
from learner.training.prepare import plan_training
from learner.training.rehearsal.measure import rehearse_training
from learner.training.rehearsal.seen import count_seen
from learner.training.train import train_model

TINY = {"weights": "none", "encoder": "resnet10t", "size": 32, "batch_size": 8, "head_channels": 8, "device": "cpu"}


def planned(registry, **settings):
    config = make_config("default", {**TINY, **settings})
    return plan_training(registry, config, resume=False, progress=SilentProgress(), dry_run=True)


def files_of(folder):
    # The last is SQLite's own, of who reads.
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "settings", [{"epochs": 2}, {"min_steps": 20, "batches": "plain"}, {"method": "classifier", "epochs": 1}]
)
def test_it_counts_the_steps_that_are_then_taken_and_writes_nothing(filled, tmp_path, monkeypatch, settings):
    settings = {"stage1_epochs": 1, "stage2_epochs": 2} | settings if "min_steps" in settings else settings
    before = files_of(tmp_path)
    estimate = rehearse_training(filled, planned(filled, **settings))
    assert files_of(tmp_path) == before
    steps = {part.part: part for part in estimate.parts if part.epochs}
    taken = []
    real = loop.update_teacher
    monkeypatch.setattr(loop, "update_teacher", lambda learner: (taken.append(learner.steps), real(learner))[1])
    result = train_model(filled, make_config("default", {**TINY, **settings}))
    assert sum(part.count for part in steps.values()) == len(taken)
    assert sum(part.epochs for part in steps.values()) == result.epochs
    assert all(1 <= part.measured <= part.count for part in steps.values())
    assert estimate.low < estimate.seconds < estimate.high
    # A process with torch in it takes more than this, and less than all there is.
    assert 50e6 < estimate.memory_bytes < 50e9
    assert (estimate.device, estimate.memory_of, estimate.weights) == ("cpu", "process", "none")


def test_what_is_seen_is_counted_by_class_and_location(filled):
    plan = planned(filled, location_share=0.5)
    seen = count_seen(plan)
    assert {row.split for row in seen} == {"train", "val"}
    assert sum(row.images for row in seen if row.split == "train") == len(plan.data.train)
    located = sum(row.located + row.empty for row in seen if row.split == "train")
    known = [status is not LocationStatus.UNKNOWN for status in plan.data.train.statuses]
    # Half of each class is hidden, rounded up.
    assert 0 < located < sum(known)


def test_it_refuses_what_a_training_would(filled, tmp_path):
    file = tmp_path / "no.safetensors"
    file.write_bytes(b"nothing")
    with pytest.raises(WeightsUnavailable):
        rehearse_training(filled, planned(filled, epochs=1, weights=str(file)))
    with pytest.raises(ConfigInvalid):
        rehearse_training(filled, planned(filled, epochs=1, device="cuda:7"))


def test_an_interrupted_run_is_estimated_from_where_it_is(filled, monkeypatch):
    from learner.training import train

    # The floor of steps is one for the whole stage, whatever is left of it.
    config = make_config("default", {**TINY, "epochs": 3, "min_steps": 30})
    real, ended = train.save_last, []

    def cut(job, stage, epoch, within=None):
        real(job, stage, epoch, within)
        ended.append(epoch)
        if stage.number == 2 and epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "save_last", cut)
    with pytest.raises(KeyboardInterrupt):
        train_model(filled, config)
    plan = plan_training(filled, config, resume=True, progress=SilentProgress(), dry_run=True)
    estimate = rehearse_training(filled, plan)
    assert [(part.part, part.epochs, part.count) for part in estimate.parts if part.epochs] == [("stage 2", 2, 20)]
    assert Path(filled.root / "runs" / "run-1").is_dir()


def test_batches_of_one_image_and_images_that_are_gone_are_no_obstacle(filled):
    plan = planned(filled, epochs=1, batch_size=1, size=64)
    assert rehearse_training(filled, plan).seconds > 0
    located = [status is not LocationStatus.UNKNOWN for status in plan.data.train.statuses]
    paths = [example.path for example in plan.data.train.opened(filled)]
    gone = [Path(str(path)) for path, known in zip(paths, located, strict=True) if known][1:]
    moved = [path.rename(path.with_suffix(".gone")) for path in gone]
    try:
        assert rehearse_training(filled, planned(filled, epochs=1)).seconds > 0
    finally:
        for path in moved:
            path.rename(path.with_suffix(".png"))
