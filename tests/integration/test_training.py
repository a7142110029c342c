"""A tiny training on phantoms, from the registry to proposals."""

import functools
import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch

import learner.training.train
from annotator.datasets.decode import open_data_set
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.records import (
    Location,
    LocationSource,
    LocationStatus,
    NewLabel,
    NewReview,
    OperationKind,
    ReviewOutcome,
    RunStatus,
    Split,
    Supervision,
)
from db.registry import create_registry
from learner.checkpoint import load_checkpoint
from learner.config import make_config
from learner.data import framing
from learner.data.selection import select_training_data
from learner.errors import (
    CheckpointIncompatible,
    ConfigInvalid,
    DataInvalid,
    LearnerError,
    OutOfMemory,
    TrainingDiverged,
)
from learner.evaluation.evaluate import evaluate_run
from learner.inference.propose import ProposeRequest, propose_locations
from learner.reporting.drawing import draw_proposals
from learner.training.train import train_model
from tests.builders import present
from tests.spoken import Spoken

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu"}


def select_now(registry, config):
    with registry.begin() as tx:
        return select_training_data(tx, config)


def tiny(preset="default", **overrides):
    return make_config(preset, {**TINY, "epochs": 2, **overrides})


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_both_presets_train_evaluate_and_propose(filled, tmp_path, preset):
    result = train_model(filled, tiny(preset))
    assert result.run == "run-1"
    assert result.epochs == 4
    assert result.best.epoch in (1, 2)
    assert result.images_per_second > 0
    with filled.read() as tx:
        run = tx.runs.latest()
        test_ids = {image.id for image in tx.images.select(splits=[Split.TEST])}
        data = select_now(filled, tiny())
    assert run.snapshot == data.snapshot.hash
    description = load_checkpoint(run.checkpoint).description
    assert description["classes"] == ["benign", "malignant", "normal"]
    assert description["config"]["preset"] == preset
    assert description["snapshot"] == run.snapshot
    seen = {image_id for ids in description["images"].values() for image_id in ids}
    assert seen.isdisjoint(test_ids)
    assert len(test_ids) == 9 or test_ids
    assert not list(run.checkpoint.glob("last*"))

    report = evaluate_run(filled)
    assert report.summary.n == len(test_ids)
    assert set(asdict(report.summary.localization)) == {"n", "iou", "dice", "ap50_all", "ap50", "mask_iou", "mask_dice"}
    rates = {"false_positive_rate", "false_positive_rate_at_95"}
    assert set(asdict(report.summary.empty)) == {"n", "presence_auroc", *rates}

    proposed = propose_locations(filled, ProposeRequest(tau=0.0))
    with filled.read() as tx:
        partly = tx.images.select(splits=[Split.TRAIN], supervision=Supervision.PARTLY)
        stored = tx.proposals.pending()
    assert proposed.considered == len(partly)
    assert {item.image for item in proposed.items} == {proposal.image_id for proposal in stored}
    assert {item.image for item in proposed.items}.isdisjoint(test_ids)
    if proposed.items:
        assert draw_proposals(proposed, tmp_path / "p.png").stat().st_size > 1000


def test_the_gate_keeps_what_is_above_tau_and_only_that(filled):
    train_model(filled, tiny(stage1_epochs=3))
    everything = propose_locations(filled, ProposeRequest(tau=0.0, gate="class"), dry_run=True)
    scores = sorted(item.score for item in everything.items)
    assert scores, "this model proposes nothing at all; the test needs it to"
    middle = scores[len(scores) // 2]
    gated = propose_locations(filled, ProposeRequest(tau=middle, gate="class"))
    assert {item.score for item in gated.items} == {score for score in scores if score > middle}
    assert all(item.class_probability > middle for item in gated.items)
    with filled.read() as tx:
        assert len(tx.proposals.pending()) == gated.proposed
        assert tx.status.count().images["partly"] > 0, "a proposal made a label"
    again = propose_locations(filled, ProposeRequest(tau=middle, gate="class"))
    assert again.proposed == gated.proposed
    with filled.read() as tx:
        assert len(tx.proposals.pending()) == gated.proposed
    assert propose_locations(filled, ProposeRequest(tau=0.0, gate="class", budget=2), dry_run=True).proposed == 2


def test_tau_that_cannot_be_certified_proposes_nothing_and_says_why(filled):
    train_model(filled, tiny())
    said = Spoken()
    result = propose_locations(filled, ProposeRequest(tau="auto"), progress=said)
    assert (result.tau, result.proposed, result.calibration.certified) == (None, 0, False)
    assert any("cannot be certified" in message or "can be certified" in message for message in said.lines)


def test_the_same_seed_gives_the_same_numbers(phantoms, tmp_path):
    weights = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        registry = create_registry(f"sqlite:///{folder}/r.sqlite3", folder)
        import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.4))
        train_model(registry, tiny(seed=5))
        weights.append(load_checkpoint(folder / "runs" / "run-1").tensors)
        registry.close()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


class Stop(BaseException):
    """Stands for a kill in the middle of a training."""


def train_and_cut(registry, monkeypatch, epochs):
    """Begin a training that is killed after some epochs."""
    done, real = [], learner.training.train.train_epoch

    def stopping(*args):
        if len(done) == epochs:
            raise Stop
        done.append(1)
        return real(*args)

    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr("learner.training.train.train_epoch", stopping)
        train_model(registry, tiny())


@pytest.mark.thorough
@pytest.mark.parametrize("epochs_before", [1, 2, 3])
def test_an_interrupted_training_goes_on_to_the_same_weights(phantoms, tmp_path, monkeypatch, epochs_before):
    weights = []
    for name in ("whole", "cut"):
        folder = tmp_path / name
        folder.mkdir()
        registry = create_registry(f"sqlite:///{folder}/r.sqlite3", folder)
        import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.4))
        if name == "cut":
            train_and_cut(registry, monkeypatch, epochs_before)
            # What is said meanwhile does not count: the run names the snapshot that it is trained on.
            with registry.begin() as tx:
                image = tx.images.select(splits=[Split.TRAIN], supervision=Supervision.PARTLY)[0]
                tx.labels.append(NewLabel(image.id, present(), source=LocationSource.IMPORTED))
            result = train_model(registry, make_config("paper"), resume=True)
            assert (result.run, result.epochs) == ("run-1", 4)
        else:
            train_model(registry, tiny())
        weights.append(load_checkpoint(folder / "runs" / "run-1").tensors)
        registry.close()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_run_cannot_go_on_with_an_image_that_was_put_into_test(filled, monkeypatch):
    train_and_cut(filled, monkeypatch, 1)
    with filled.begin() as tx:
        tx.images.set_splits({tx.images.select(splits=[Split.TRAIN])[0].id: Split.TEST})
    with pytest.raises(CheckpointIncompatible, match="in the test split"):
        train_model(filled, tiny(), resume=True)


def test_relatives_of_test_images_are_not_trained_on_and_seen_test_images_not_scored(filled):
    with filled.begin() as tx:
        train = tx.images.select(splits=[Split.TRAIN])
        test = tx.images.select(splits=[Split.TEST])
        tx.images.set_facts(test[0].id, class_name=test[0].class_name, group="patient", split=Split.TEST)
        tx.images.set_facts(train[0].id, class_name=train[0].class_name, group="patient", split=Split.TRAIN)
    data = select_now(filled, tiny())
    assert data.left_out == 1
    assert train[0].id not in set(data.train.ids)
    train_model(filled, tiny())
    with filled.begin() as tx:
        tx.images.set_splits({train[1].id: Split.TEST})
    report = evaluate_run(filled, split=Split.TEST)
    assert (report.left_out, report.summary.n) == (1, len(test))


def test_a_run_is_not_judged_on_what_it_learned_from_after_a_new_split(filled):
    train_model(filled, tiny())
    with filled.read() as tx:
        located = tx.images.select(splits=[Split.TRAIN], supervision=Supervision.FULLY)[:3]
        before = len(tx.images.select(splits=[Split.VAL]))
    with filled.begin() as tx:
        tx.images.set_splits({image.id: Split.VAL for image in located})
    report = evaluate_run(filled, split=Split.VAL)
    assert (report.left_out, report.summary.n) == (3, before)
    said = Spoken()
    propose_locations(filled, ProposeRequest(tau="auto"), dry_run=True, progress=said)
    assert any(
        "left out of the certificate: 3 validation images that the run learned from" in line for line in said.lines
    )


def test_a_run_cut_before_its_first_epoch_needs_the_registry_as_it_was(filled, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr("learner.training.train.train_epoch", lambda *a: (_ for _ in ()).throw(Stop()))
        train_model(filled, tiny())
    with filled.begin() as tx:
        image = tx.images.select(splits=[Split.TRAIN], supervision=Supervision.PARTLY)[0]
        tx.labels.append(NewLabel(image.id, present(), source=LocationSource.IMPORTED))
    with pytest.raises(CheckpointIncompatible, match="labels have changed"):
        train_model(filled, tiny(), resume=True)


def test_a_loss_that_is_not_finite_stops_before_the_step(filled, monkeypatch):
    real = torch.optim.AdamW.step
    stepped = []
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *a: stepped.append(1) or real(self, *a))
    monkeypatch.setattr(
        "learner.training.step.localization_loss", lambda logits, *a, **k: logits.mean(dim=(1, 2, 3)) * torch.nan
    )
    with pytest.raises(TrainingDiverged, match="stage 1, step 1"):
        train_model(filled, tiny())
    assert not stepped
    with filled.read() as tx:
        assert tx.runs.latest(RunStatus.FAILED).metrics["error"]


@pytest.mark.parametrize("place", ["train.train_epoch", "train.save_best", "train.summarize_results"])
def test_a_run_that_ends_with_any_error_does_not_stay_running(filled, monkeypatch, place):
    def fail(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(f"learner.training.{place}", fail)
    with pytest.raises(OSError, match="no space left"):
        train_model(filled, tiny())
    with filled.read() as tx:
        (run,) = tx.runs.all()
    assert (run.status, run.metrics["error"]) == (RunStatus.FAILED, "no space left on device")


@pytest.mark.thorough
def test_a_run_that_failed_after_an_epoch_goes_on_to_the_same_result(filled, monkeypatch):
    whole = train_model(filled, tiny())
    real = learner.training.train.save_last
    calls = []

    def full(*args):
        calls.append(1)
        if len(calls) == 3:
            raise OSError("no space left on device")
        real(*args)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr("learner.training.train.save_last", full)
        train_model(filled, tiny())
    again = train_model(filled, tiny(), resume=True)
    assert again.run == "run-2"
    assert (again.best, again.val) == (whole.best, whole.val)
    with filled.read() as tx:
        assert [run.status for run in tx.runs.all()] == [RunStatus.FINISHED] * 2


@pytest.mark.thorough
@pytest.mark.parametrize(("method", "cut_at", "place"), [("lanet", 8, (2, 1, 2)), ("deeplabv3", 3, (2, 1, 3))])
def test_a_run_cut_within_an_epoch_goes_on_to_the_same_result(filled, monkeypatch, method, cut_at, place):
    """DeepLabV3 has dropout, whose chance is torch's own."""
    wanted = tiny(batch_size=4, checkpoint_minutes=1e-9, method=method, stage1_epochs=1, stage2_epochs=1)
    whole = train_model(filled, replace(wanted, checkpoint_minutes=0.0))
    real, said, places = learner.training.train.save_last, Spoken(), []

    def stop(job, stage, epoch, within=None):
        real(job, stage, epoch, within)
        places.append((stage.number, epoch + 1, within.batches if within else None))
        if sum(step is not None for *_, step in places) == cut_at:
            raise Stop

    with monkeypatch.context() as patched, pytest.raises(Stop):
        patched.setattr("learner.training.train.save_last", stop)
        train_model(filled, wanted)
    again = train_model(filled, wanted, resume=True, progress=said)
    assert places[-1] == place
    stage, epoch, step = place
    assert f"run-2 resumes after step {step} of epoch {epoch} of stage {stage}" in said.lines
    first, second = (load_checkpoint(result.checkpoint) for result in (whole, again))
    assert all(torch.equal(value, second.tensors[name]) for name, value in first.tensors.items())
    assert first.description["history"] == second.description["history"]
    assert (again.val, again.epochs) == (whole.val, whole.epochs)


def test_any_seed_can_be_trained_with(filled):
    assert train_model(filled, tiny(seed=20240101, stage1_epochs=0)).epochs == 2
    with pytest.raises(ConfigInvalid, match="seed must be between"):
        tiny(seed=2**63)


def test_there_must_be_something_to_learn_from(registry, phantoms):
    with pytest.raises(DataInvalid, match="partly import"):
        train_model(registry, tiny())
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
    with pytest.raises(DataInvalid, match="known location"):
        train_model(registry, tiny())


def test_boxes_without_a_class_teach_location_and_classes_without_a_box_teach_class(registry, phantoms):
    """Twenty boxed images of no known class, and twenty of a known class without a box."""
    import_images(registry, ImportRequest(phantoms, "csv"))
    with registry.begin() as tx:
        images = [image for image in tx.images.select() if image.boxes][:40]
        for image in images[:20]:
            tx.images.set_facts(image.id, class_name=None, group=None, split=Split.TRAIN)
        for image in images[20:]:
            location = Location(LocationStatus.UNKNOWN)
            review = NewReview(image.id, ReviewOutcome.REJECTED, "x", image.id, "v1")
            connection = tx.connections.use(url="http://studio", project_id=1, media="local")
            tx.labels.append(
                NewLabel(image.id, location, LocationSource.WITHDRAWN, review_id=tx.reviews.add(connection.id, review))
            )
            tx.images.set_facts(image.id, class_name=image.class_name, group=None, split=Split.TRAIN)
        others = [image.id for image in tx.images.select() if image.id not in {kept.id for kept in images}]
        operation = tx.operations.begin(OperationKind.REMOVE, "rest", author="x")
        tx.images.set_removed(others, True, origin="x", operation_id=operation)
    assert train_model(registry, tiny()).epochs == 4
    with registry.begin() as tx:
        for image in tx.images.select(located=False)[:5]:
            tx.images.set_facts(image.id, class_name=None, group=None, split=Split.TRAIN)
    proposed = propose_locations(registry, ProposeRequest(tau=0.0))
    with registry.read() as tx:
        pool = tx.images.select(splits=[Split.TRAIN, None], located=False)
    # Validation images are reviewed without a proposal.
    assert any(image.class_name is None for image in pool)
    assert proposed.considered == len(pool) >= 15, "an image of no known class is proposed for too"


def test_a_data_set_that_is_not_registered_is_scored_and_stays_so(filled, phantoms):
    train_model(filled, tiny())
    images, _ = open_data_set(phantoms, "csv")
    report = evaluate_run(filled, images=images)
    assert report.summary.n == 48
    assert report.summary.localization.n == 41
    assert report.summary.empty.n == 7
    # It is the registered set itself, so all that was trained on is in it.
    with filled.read() as tx:
        assert tx.status.count().images["total"] == 48
        held_back = len(tx.images.select(splits=[Split.TEST]))
    assert report.leaks.n == 48 - held_back == len(report.leaks.images)
    assert report.leaks.without.n == held_back


def test_a_file_that_vanishes_is_left_out_not_fatal(filled, tmp_path, phantoms):
    copy = tmp_path / "copy"
    shutil.copytree(phantoms, copy)
    registry = create_registry(f"sqlite:///{tmp_path}/other.sqlite3", tmp_path)
    import_images(registry, ImportRequest(copy, "csv"))
    next((copy / "images").glob("benign*")).unlink()
    assert train_model(registry, tiny()).epochs == 4
    registry.close()


def test_a_damaged_checkpoint_is_refused(filled):
    result = train_model(filled, tiny())
    from pathlib import Path

    file = Path(result.checkpoint) / "checkpoint.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sha256": "0"}))
    with pytest.raises(LearnerError, match="damaged"):
        evaluate_run(filled)


def test_a_batch_that_does_not_fit_names_a_smaller_one(filled, monkeypatch):
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("learner.training.train.train_epoch", full)
    with pytest.raises(OutOfMemory, match="batch_size=4") as caught:
        train_model(filled, tiny(size=128))
    assert "size=64" in str(caught.value)
    assert "accumulate=2" in str(caught.value)
    with filled.read() as tx:
        assert tx.runs.all()[-1].status is RunStatus.FAILED


def import_some(registry, phantoms, tmp_path, wanted, **options):
    """Register the phantoms of some classes."""
    lines = (phantoms / "labels.csv").read_text().splitlines()
    folder = tmp_path / "some"
    shutil.copytree(phantoms, folder)
    chosen = [line for line in lines[1:] if line.split("/")[1].startswith(wanted)]
    (folder / "labels.csv").write_text("\n".join([lines[0], *chosen]))
    import_images(registry, ImportRequest(folder, "csv", **options))


def test_one_class_alone_is_trained_and_scored(registry, phantoms, tmp_path):
    import_some(registry, phantoms, tmp_path, "benign")
    report = train_model(registry, tiny(epochs=1)).val
    assert (report.classification.accuracy, report.classification.auc) == (1.0, None)
    assert report.localization.iou >= 0


@pytest.mark.parametrize("share", [0.05, 1.0], ids=["one location of a class", "all locations"])
def test_few_or_all_locations(registry, phantoms, share):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=share))
    assert train_model(registry, tiny(epochs=1)).epochs == 2


@pytest.mark.parametrize(("wanted", "message"), [("normal", "method=classifier"), ("benign_0001", "too few images")])
def test_what_cannot_be_trained_on_is_said(registry, phantoms, tmp_path, wanted, message):
    import_some(registry, phantoms, tmp_path, wanted)
    with pytest.raises(DataInvalid, match=message):
        train_model(registry, tiny())


def test_folds_keep_groups_whole_and_show_every_image_once(filled):
    with filled.begin() as tx:
        first, second = tx.images.select(splits=[Split.TRAIN])[:2]
        for image in (first, second):
            tx.images.set_facts(image.id, class_name=image.class_name, group="patient", split=Split.TRAIN)
    parts = [select_now(filled, tiny(folds=3, fold=fold)) for fold in range(3)]
    shown = [image_id for part in parts for image_id in part.val.ids]
    with filled.read() as tx:
        outside = {image.id for image in tx.images.select() if image.split is not Split.TEST}
    assert sorted(shown) == sorted(outside)
    for part in parts:
        of_val = set(part.val.ids)
        assert (first.id in of_val) == (second.id in of_val)
        assert of_val.isdisjoint(part.train.ids)
    with pytest.raises(DataInvalid, match="try fewer"):
        select_now(filled, tiny(folds=500))


def test_a_run_cannot_go_on_with_the_picture_of_a_test_image(filled, monkeypatch):
    train_and_cut(filled, monkeypatch, 1)
    with filled.begin() as tx:
        train, test = (tx.images.select(splits=[split])[0] for split in (Split.TRAIN, Split.TEST))
        for image, split in ((train, Split.TRAIN), (test, Split.TEST)):
            tx.images.set_facts(image.id, class_name=image.class_name, group="the same patient", split=split)
    with pytest.raises(CheckpointIncompatible, match="near-duplicates of one"):
        train_model(filled, tiny(), resume=True)


def test_a_network_that_cannot_be_compiled_is_said(filled, monkeypatch):
    def failing(*_):
        raise torch._dynamo.exc.TorchDynamoException("No working C++ compiler found")

    monkeypatch.setattr("learner.training.train.train_epoch", failing)
    with pytest.raises(LearnerError, match="compile=false"):
        train_model(filled, tiny(compile=True))


@pytest.mark.thorough
def test_compiled_networks_learn_the_same(filled, monkeypatch):
    # The tracing and the wrapping are real; the code is run by torch itself instead of being built for a minute.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    plain, compiled = (train_model(filled, tiny(epochs=1, compile=wanted)) for wanted in (False, True))
    assert compiled.val == plain.val


def test_a_set_that_does_not_fit_into_memory_gives_the_same_network(filled, monkeypatch):
    """Read row by row, ahead of the steps: the same weights, and the same rows of validation."""
    train_model(filled, tiny())
    monkeypatch.setattr("learner.data.dataset.IN_MEMORY_BYTES", 0)
    train_model(filled, tiny())
    with filled.read() as tx:
        small, large = (tx.runs.get(name) for name in ("run-1", "run-2"))
    first, second = (load_checkpoint(run.checkpoint) for run in (small, large))
    assert all(torch.equal(value, second.tensors[name]) for name, value in first.tensors.items())
    assert first.description["metrics"]["val"] == second.description["metrics"]["val"]


def test_a_round_decodes_every_image_once(filled, monkeypatch):
    decoded, read_image = [], framing.read_image
    monkeypatch.setattr(framing, "read_image", lambda file: (decoded.append(str(file)), read_image(file))[1])
    train_model(filled, tiny())
    propose_locations(filled, ProposeRequest(tau="auto"))
    evaluate_run(filled)
    evaluate_run(filled, split=Split.VAL)
    assert len(decoded) == len(set(decoded)) > 40
