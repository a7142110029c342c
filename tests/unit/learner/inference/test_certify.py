from dataclasses import replace

import pytest
import torch

from db.records import Box, LocationSource, NewLabel, Split
from db.records.certificates import CertificateKind
from learner.config import make_config
from learner.data.validation_cut import chosen_by
from learner.inference.certify import (
    attempt_on,
    calibration_images,
    certified_thresholds,
    certify_run,
    explain_certificates,
    is_correct,
)
from learner.inference.gate import Promise
from learner.inference.scored import Scored
from learner.inference.trained_model import TrainedModel
from tests.builders import EMPTY, add_images, image_record, label_record, new_image, present

HERE, THERE = Box(10, 10, 20, 20), Box(60, 50, 20, 20)


def fill(registry, *, located=0, empty=0, unknown=0, size=1):
    """Register validation images in groups, and return their numbers in this order."""
    count = located + empty + unknown
    images = [new_image(f"{n}.png", split=Split.VAL, group=f"patient {n // size}") for n in range(count)]
    ids = add_images(registry, *images)
    with registry.begin() as tx:
        for n, image_id in enumerate(ids[: located + empty]):
            known = present(HERE) if n < located else EMPTY
            tx.labels.append(NewLabel(image_id, known, source=LocationSource.IMPORTED))
    return ids


def model(registry, **fields):
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="sha256:0")
    return TrainedModel(run, None, make_config(), ["benign"], torch.device("cpu"), **fields)


def scorer(wrong=(), nothing=()):
    """A model that finds every lesion but for some, with scores that fall with the number of the image."""

    def score(images):
        return [
            Scored(
                image,
                () if image.id in nothing else (THERE if image.id in wrong else HERE,),
                "benign",
                0.9,
                1 - image.id / 1000,
            )
            for image in images
        ]

    return score


def certify(registry, run, score, promise=None):
    return certify_run(run, "class", promise or Promise(), calibration_images(registry, run), score)


def test_reviewed_validation_images_certify_boxes(registry):
    ids = fill(registry, located=30, unknown=5)
    (found,) = certify(registry, model(registry), scorer())
    assert (found.kind, found.is_certified, found.errors, found.needed) == (CertificateKind.BOXES, True, 0, 0)
    assert found.image_ids == tuple(ids[:30])
    assert found.lower_bound > 0.85
    assert (found.precision, found.confidence, found.gate) == (0.85, 0.8, "class")
    assert "at least 85% of images, at a confidence of 80%" in found.promise


def test_a_box_where_nothing_is_known_to_be_is_wrong(registry):
    fill(registry, located=2, empty=28)
    (found,) = certify(registry, model(registry), scorer())
    assert (found.is_certified, found.accepted, found.errors) == (False, 30, 28)


def test_of_a_group_one_image_counts(registry):
    fill(registry, located=40, size=4)
    (found,) = certify(registry, model(registry), scorer())
    assert len(found.image_ids) == 10
    assert (found.is_certified, found.needed) == (False, 4)


def test_attempts_are_those_on_other_images_that_could_have_passed():
    some, more = tuple(range(20)), tuple(range(40))
    assert attempt_on(some, [], Promise()) == (1, 2)
    assert attempt_on(some, [some, some], Promise()) == (1, 2)
    assert attempt_on(more, [some], Promise()) == (2, 3)
    assert attempt_on((1, 2, 3), [], Promise()) == (1, 1)
    assert attempt_on(some, [(), (1, 2, 3)], Promise()) == (1, 2)
    assert attempt_on(tuple(range(16)), [tuple(range(15))], Promise()) == (2, 2)


def test_a_second_attempt_needs_more_than_a_first(registry):
    """Right so often that one attempt passes; after an attempt on fewer images, its share of delta is a quarter."""
    ids = fill(registry, located=16, unknown=0)
    first = certify(registry, model(registry), scorer())
    assert first[0].is_certified
    with registry.begin() as tx:
        stored = tx.certificates.add(replace(first[0], run_id=1, image_ids=tuple(ids[:15]), tau=None, lower_bound=None))
    calibration = calibration_images(registry, model(registry))
    again = certify_run(model(registry), "class", Promise(), calibration, scorer(), [stored])
    assert not again[0].is_certified


@pytest.mark.parametrize("part", ["learned_from", "chose"])
def test_what_the_run_has_learned_from_or_was_chosen_by_certifies_nothing(registry, part):
    ids = fill(registry, located=40, unknown=4, size=2)
    # One of each of the first ten groups; the other image of it is out with it.
    run = model(registry, **{part: frozenset(ids[:20:2])})
    calibration = calibration_images(registry, run)
    assert [image.id for image in calibration.images] == ids[20:40]
    assert (calibration.learned, calibration.chose) == ((20, 0) if part == "learned_from" else (0, 20))
    assert (calibration.waiting, calibration.unreviewed) == (4, 4)


def test_a_run_that_all_of_validation_has_chosen_says_to_train_again(registry):
    ids = fill(registry, located=40, unknown=4)
    run = model(registry, chose=frozenset(ids))
    calibration = calibration_images(registry, run)
    found = certify_run(run, "class", Promise(), calibration, scorer())
    assert not found[0].is_certified
    assert found[0].needed == 14
    said = " ".join(explain_certificates(found, calibration, "run-1"))
    assert "40 validation images used to choose the epoch of run-1" in said
    assert "Train again" in said
    assert "partly train" in said


def test_too_few_images_say_how_many_more_and_what_to_type(registry):
    ids = fill(registry, located=5, unknown=20)
    run = model(registry)
    calibration = calibration_images(registry, run)
    found = certify_run(run, "class", Promise(), calibration, scorer())
    (said,) = explain_certificates(found, calibration, "run-1")
    assert "it takes at least 9 more" in said
    assert "partly push --audit-share 1 --limit 9, then partly pull" in said
    # Half of those that would be sent have chosen the epoch, so twice as many are sent.
    cut = replace(run, chose=frozenset(ids[5:15]))
    (said,) = explain_certificates(found, calibration_images(registry, cut), "run-1")
    assert "--limit 18" in said
    calibration = replace(calibration, waiting=0, unreviewed=0)
    (said,) = explain_certificates(found, calibration, "run-1")
    assert "import more images" in said


def test_nothing_to_find_is_a_promise_of_its_own(registry):
    ids = fill(registry, located=30, empty=30)
    found = certify(registry, model(registry), scorer(nothing=ids[30:]))
    assert [item.kind for item in found] == [CertificateKind.BOXES, CertificateKind.NOTHING]
    assert all(item.is_certified for item in found)
    boxes, nothing = found
    assert boxes.image_ids == tuple(ids[:30])
    assert nothing.image_ids == tuple(ids[30:])
    assert boxes.tau > nothing.tau, "each has a threshold of its own"
    thresholds = certified_thresholds(found)
    (item,) = scorer(nothing={50})([image_record(id=50)])
    assert thresholds.passes(replace(item, score=nothing.tau + 0.001))
    assert not thresholds.passes(replace(item, score=nothing.tau))


def test_a_kind_without_a_certificate_is_not_proposed_and_without_boxes_nothing_is(registry):
    ids = fill(registry, located=40, empty=30)
    run = model(registry)
    only_boxes = certified_thresholds(certify(registry, run, scorer(nothing=ids[30:50])))
    assert set(only_boxes.by_kind) == {CertificateKind.BOXES}
    only_nothing = certify(registry, run, scorer(wrong=ids[:40], nothing=ids[40:]))
    assert [item.is_certified for item in only_nothing] == [False, True]
    assert certified_thresholds(only_nothing).by_kind == {}


@pytest.mark.parametrize(
    ("label", "boxes", "correct"),
    [
        (label_record(HERE), (HERE,), True),
        (label_record(HERE), (THERE,), False),
        (label_record(), (HERE,), False),
        (None, (HERE,), False),
        (label_record(), (), True),
        (label_record(HERE), (), False),
        (None, (), False),
    ],
)
def test_what_nobody_knows_is_not_right(label, boxes, correct):
    assert is_correct(Scored(image_record(label=label), boxes, "benign", 0.9, 0.9)) is correct


@pytest.mark.parametrize(
    ("config", "more", "chose"),
    [
        ({"select": "dice_auc"}, {}, {3, 4}),
        ({}, {}, {3, 4}),
        ({"select": "accuracy"}, {"validation_cut": True, "choosing": [3]}, {3}),
        ({"select": "accuracy"}, {"validation_cut": False, "choosing": [3]}, {3, 4}),
        ({"select": "accuracy"}, {"validation_cut": True}, {3, 4}),
        ({"select": "last"}, {}, set()),
    ],
)
def test_which_images_chose_the_epoch_is_read_from_the_checkpoint(config, more, chose):
    assert chosen_by({"config": config, "images": {"train": [1, 2], "val": [3, 4]}, **more}) == chose
