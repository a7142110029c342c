"""The certificate of `--tau auto` with a real training: what it rests on, what is stored, and who sees it."""

import json
from pathlib import Path

import numpy as np
import pytest

from db.progress import SilentProgress
from db.records import LocationSource, NewLabel, Split, Supervision
from db.records.certificates import CertificateKind
from learner.config import make_config
from learner.distributed import Processes
from learner.inference.certified_tau import certify_tau, delta_of_attempt
from learner.inference.gate import Promise
from learner.inference.live import LiveProposer
from learner.inference.propose import ProposeRequest, propose_locations, score_images
from learner.inference.trained_model import open_run
from learner.reporting.report import write_report
from learner.training.train import train_model
from tests.builders import present

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "stage1_epochs": 3, "stage2_epochs": 1, "gate": "class"}  # fmt: skip
EASY = Promise(precision=0.5, confidence=0.5)


def describe(registry, **fields):
    """Write into the checkpoint of the newest run how its epoch was chosen."""
    with registry.read() as tx:
        file = Path(tx.runs.latest().checkpoint) / "checkpoint.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.fixture
def agreed(filled):
    """A run whose boxes reviewers have found right on all of validation, none of which chose its epoch."""
    train_model(filled, make_config("default", TINY))
    describe(filled, validation_cut=True, choosing=[])
    model = open_run(filled)
    with filled.read() as tx:
        images = tx.images.select(splits=[Split.VAL])
    scored = score_images(filled, model, images, "class", Processes(), SilentProgress())
    found = [item for item in scored if item.boxes]
    assert len(found) >= 4, "this model finds nothing; the test needs it to"
    with filled.begin() as tx:
        for item in found:
            tx.labels.append(NewLabel(item.image.id, present(*item.boxes), source=LocationSource.IMPORTED))
    return filled


def auto(**fields):
    return ProposeRequest(**{"tau": "auto", "gate": "class", "promise": EASY, **fields})


def test_every_proposal_carries_the_certificate_that_it_was_made_under(agreed, tmp_path):
    rehearsed = propose_locations(agreed, auto(), dry_run=True)
    with agreed.read() as tx:
        assert tx.certificates.of_run(1) == {}, "a dry run stores none"
    result = propose_locations(agreed, auto())
    assert (result.calibration, result.tau, result.items) == (rehearsed.calibration, rehearsed.tau, rehearsed.items)
    with agreed.read() as tx:
        certificate = tx.certificates.of_run(1)[CertificateKind.BOXES]
        stored = tx.proposals.of_run(1)
        val = {image.id for image in tx.images.select(splits=[Split.VAL])}
    assert certificate.is_certified
    assert result.calibration.certified
    assert result.calibration.tau == result.tau == certificate.tau
    assert (result.calibration.needed, result.calibration.errors) == (0, 0)
    assert result.calibration.lower_bound >= 0.5
    assert result.calibration.delta == 0.5
    assert result.proposed == len(stored) > 0, "this model proposes nothing; the test needs it to"
    assert {proposal.certificate_id for proposal in stored} == {certificate.id}
    assert {proposal.image_id for proposal in stored}.isdisjoint(val)
    assert set(certificate.image_ids) <= val
    write_report(agreed, tmp_path / "report")
    assert "at least 50% of images, at a confidence of 50%" in (tmp_path / "report" / "index.html").read_text()


def test_live_proposals_carry_it_too_and_validation_images_get_none(agreed):
    proposer = LiveProposer(agreed, tau="auto", promise=EASY)
    with agreed.read() as tx:
        everything = {image.id for image in tx.images.select()}
        outside = {image.id for image in tx.images.select(splits=[Split.VAL, Split.TEST])}
        certificates = tx.certificates.of_run(1)
    proposed = proposer.propose(everything)
    assert certificates[CertificateKind.BOXES].is_certified
    assert proposed, "this model proposes nothing; the test needs it to"
    assert set(proposed).isdisjoint(outside)
    ids = {certificate.id for certificate in certificates.values()}
    assert {proposal.certificate_id for proposal in proposed.values()} <= ids
    strict = LiveProposer(agreed, tau="auto", promise=Promise(0.99, 0.99))
    with agreed.read() as tx:
        assert not tx.certificates.of_run(1)[CertificateKind.BOXES].is_certified
    # What was proposed under a certificate stays; nothing new is.
    assert strict.propose(everything) == proposed


def test_where_nothing_can_be_certified_the_pool_is_not_scored(agreed, monkeypatch):
    scored = []
    real = score_images

    def counting(registry, model, images, *rest):
        scored.extend(images)
        return real(registry, model, images, *rest)

    monkeypatch.setattr("learner.inference.propose.score_images", counting)
    result = propose_locations(agreed, auto(promise=Promise(0.99, 0.99)))
    assert (result.tau, result.considered, result.proposed, result.items) == (None, 0, 0, ())
    assert (result.calibration.certified, result.calibration.lower_bound) == (False, None)
    assert result.calibration.needed > 100
    assert {image.split for image in scored} == {Split.VAL}
    with agreed.read() as tx:
        assert not tx.certificates.of_run(1)[CertificateKind.BOXES].is_certified
        assert tx.proposals.of_run(1) == []


def test_a_run_whose_epoch_all_of_validation_chose_cannot_be_certified(agreed):
    describe(agreed, validation_cut=False)
    config = json.loads((agreed.root / "runs" / "run-1" / "checkpoint.json").read_text())["config"]
    describe(agreed, config=config | {"select": "dice_auc"})
    result = propose_locations(agreed, auto())
    assert (result.tau, result.calibration.accepted, result.proposed) == (None, 0, 0)


def test_the_half_that_did_not_choose_certifies(agreed):
    with agreed.read() as tx:
        val = [image.id for image in tx.images.select(splits=[Split.VAL], supervision=Supervision.FULLY)]
    describe(agreed, choosing=val[: len(val) // 2])
    config = json.loads((agreed.root / "runs" / "run-1" / "checkpoint.json").read_text())["config"]
    describe(agreed, config=config | {"select": "dice_auc"})
    propose_locations(agreed, auto())
    with agreed.read() as tx:
        found = tx.certificates.of_run(1)
    certifying = {image_id for certificate in found.values() for image_id in certificate.image_ids}
    assert certifying
    assert certifying.isdisjoint(val[: len(val) // 2])


def asked_until_it_passes(deltas, trials=400):
    """Share of false promises of somebody who asks after every ten reviews, of images of which too few are right."""
    rng, false = np.random.default_rng(7), 0
    for _ in range(trials):
        scores, right = rng.random(150), rng.random(150) < 0.82
        false += any(
            certify_tau(scores[:count], right[:count], precision=0.85, delta=delta).is_certified
            for count, delta in zip(range(20, 151, 10), deltas, strict=True)
        )
    return false / trials


def test_who_asks_until_it_passes_is_not_promised_too_much():
    # Two standard errors of .2 in 400 trials are .04.
    assert asked_until_it_passes([delta_of_attempt(0.2, attempt) for attempt in range(1, 15)]) <= 0.2 + 0.04
    assert asked_until_it_passes([0.2] * 14) > 0.3, "with the whole delta each time"
