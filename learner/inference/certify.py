"""The certificate behind `--tau auto`: which images it may rest on, and the thresholds that come of it.

It rests on validation images that people have reviewed, and that had no part in the run: not learned from, and not in
the half of validation that chose the epoch. One of each patient, video or picture counts. Proposed boxes and proposals
that there is nothing to find are two promises, each with calibration images and a threshold of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from db.curation.leakage import group_names, relatives
from db.imaging.geometry import boxes_iou
from db.records import ImageRecord, LocationStatus, NewProposal, Split
from db.records.certificates import CertificateKind, CertificateRecord, NewCertificate
from db.registry import Registry
from learner.inference.certified_tau import boxes_needed, certify_tau, delta_of_attempt, one_of_each
from learner.inference.gate import Promise
from learner.inference.judged_images import judged_images
from learner.inference.scored import Scored
from learner.inference.trained_model import TrainedModel

CORRECT_IOU = 0.5

Score = Callable[[list[ImageRecord]], list[Scored]]
"""Runs a model on images; those that cannot be read are left out."""


@dataclass(frozen=True, slots=True)
class CalibrationImages:
    """What a certificate may rest on, and what it may not."""

    images: list[ImageRecord]
    """Their location is known, or a reviewer rejected what was proposed."""
    groups: Mapping[int, str]
    learned: int = 0
    """Reviewed validation images that are left out because the run has learned from them or from a relative."""
    chose: int = 0
    """Those left out because they, or a relative, chose the epoch."""
    waiting: int = 0
    """Validation images that would count once they are reviewed."""
    unreviewed: int = 0
    """All validation images that nobody has reviewed yet."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How tau was certified."""

    certified: bool
    precision: float
    """Share of the proposals above tau promised to be correct."""
    confidence: float
    """Chance that the promise holds."""
    delta: float
    """Chance that it does not."""
    tau: float | None
    accepted: int
    """Calibration images above tau; if nothing was certified, all of them."""
    errors: int
    """Those of them that were wrong."""
    lower_bound: float | None
    """Of the precision, at this confidence."""
    needed: int
    """Minimum number of further reviewed validation images that a certificate needs."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What proposals have to be above, by what they propose; a kind without a threshold is not proposed."""

    by_kind: Mapping[CertificateKind, float]
    certificates: Mapping[CertificateKind, NewCertificate] = field(default_factory=dict)
    """What was certified, or could not be; none where a threshold was given."""

    def passes(self, item: Scored) -> bool:
        """Say whether an item is proposed."""
        tau = self.by_kind.get(kind_of(item))
        return tau is not None and item.score > tau

    def certificate_id(self, kind: CertificateKind) -> int | None:
        """Return the stored certificate that proposals of a kind are made under, if there is one."""
        found = self.certificates.get(kind)
        return found.id if isinstance(found, CertificateRecord) else None

    def calibration(self, kind: CertificateKind) -> Calibration | None:
        """Say how the threshold of a kind was certified; None where it was given, or nothing of the kind was scored."""
        found = self.certificates.get(kind)
        if found is None:
            return None
        return Calibration(
            certified=found.is_certified,
            precision=found.precision,
            confidence=found.confidence,
            delta=Promise(found.precision, found.confidence).delta,
            tau=found.tau,
            accepted=found.accepted,
            errors=found.errors,
            lower_bound=found.lower_bound,
            needed=found.needed,
        )


def kind_of(item: Scored | NewProposal) -> CertificateKind:
    """Say what an item proposes: boxes, or that there is nothing to find."""
    return CertificateKind.BOXES if item.boxes else CertificateKind.NOTHING


def certified_thresholds(certificates: Sequence[NewCertificate]) -> Thresholds:
    """Return the thresholds of certificates; none at all where boxes have none."""
    found = {item.kind: item for item in certificates}
    taus = {kind: item.tau for kind, item in found.items() if item.tau is not None}
    return Thresholds(taus if CertificateKind.BOXES in taus else {}, found)


def calibration_images(registry: Registry, model: TrainedModel) -> CalibrationImages:
    """Choose the images that a run's certificate may rest on.

    A proposal that was rejected says that the run's proposals can be wrong there, so its image counts although nobody
    knows its location: without it only what went well would count.
    """
    with registry.read() as tx:
        located = tx.images.select(splits=[Split.VAL], located=True)
        unknown = tx.images.select(splits=[Split.VAL], located=False)
        rejected = tx.proposals.rejected_for(image.id for image in unknown)
        reviewed = [*located, *(image for image in unknown if image.id in rejected)]
        usable = {image.id for image in judged_images(tx, model, [*located, *unknown])}
        choosing = relatives(tx, model.chose)
        groups = group_names(tx)
    unreviewed = [image for image in unknown if image.id not in rejected]
    judged = [image for image in reviewed if image.id in usable]
    images = [image for image in judged if image.id not in choosing]
    return CalibrationImages(
        images,
        groups,
        learned=len(reviewed) - len(judged),
        chose=len(judged) - len(images),
        waiting=sum(image.id in usable and image.id not in choosing for image in unreviewed),
        unreviewed=len(unreviewed),
    )


def is_correct(item: Scored) -> bool:
    """Say whether what an item proposes is right, as far as reviewers know; what nobody knows counts as wrong."""
    if kind_of(item) is CertificateKind.NOTHING:
        return item.image.location_status is LocationStatus.EMPTY
    return boxes_iou(item.boxes, item.image.boxes) >= CORRECT_IOU


def certify_run(
    model: TrainedModel,
    gate: str,
    promise: Promise,
    calibration: CalibrationImages,
    score: Score,
    earlier: Sequence[CertificateRecord] = (),
) -> list[NewCertificate]:
    """Certify a run's proposals of boxes, and where it makes some on calibration images those of nothing to find.

    Args:
        model: the run.
        gate: what its scores are.
        promise: what has to be certified about each kind.
        calibration: what the certificates may rest on.
        score: runs the model on images.
        earlier: what was certified about the run before, or could not be, oldest first: every attempt on other images
            takes its share of the chance of a wrong promise.

    Returns:
        One certificate a kind, that of boxes first; those without a tau say that nothing could be certified.
    """
    scored = score(calibration.images)
    found = []
    for kind in CertificateKind:
        items = [item for item in scored if kind_of(item) is kind]
        # One image of a patient, video or picture: the others of it are no further evidence.
        drawn = one_of_each(items, lambda item: calibration.groups[item.image.id], model.config.seed)
        if drawn or kind is CertificateKind.BOXES:
            before = [item for item in earlier if (item.kind, item.gate) == (kind, gate) and _is_about(item, promise)]
            found.append(_certificate(model, kind, gate, promise, drawn, before))
    return found


def _is_about(certificate: NewCertificate, promise: Promise) -> bool:
    return (certificate.precision, certificate.confidence) == (promise.precision, promise.confidence)


def attempt_on(image_ids: Sequence[int], earlier: Sequence[Sequence[int]], promise: Promise) -> tuple[int, int]:
    """Number an attempt to certify a promise, given the calibration images of it and of the attempts before it.

    The same images again are no further attempt, nor are so few that nothing could pass.

    Returns:
        The number of this attempt, counted from 1, and that of one on further images.
    """
    count, last = 0, None
    for of_attempt in earlier:
        if tuple(of_attempt) != last and _could_pass(of_attempt, count + 1, promise):
            count, last = count + 1, tuple(of_attempt)
    if tuple(image_ids) == last:
        return count, count + 1
    return count + 1, count + 1 + _could_pass(image_ids, count + 1, promise)


def _could_pass(image_ids: Sequence[int], attempt: int, promise: Promise) -> bool:
    return len(image_ids) > boxes_needed(promise.precision, delta_of_attempt(promise.delta, attempt))


def _certificate(
    model: TrainedModel,
    kind: CertificateKind,
    gate: str,
    promise: Promise,
    items: Sequence[Scored],
    earlier: Sequence[NewCertificate],
) -> NewCertificate:
    image_ids = tuple(sorted(item.image.id for item in items))
    attempt, following = attempt_on(image_ids, [item.image_ids for item in earlier], promise)
    certified = certify_tau(
        [item.score for item in items],
        [is_correct(item) for item in items],
        precision=promise.precision,
        delta=delta_of_attempt(promise.delta, attempt),
        next_delta=delta_of_attempt(promise.delta, following),
    )
    return NewCertificate(
        run_id=model.run.id,
        kind=kind,
        gate=gate,
        tau=certified.tau if certified.is_certified else None,
        precision=promise.precision,
        confidence=promise.confidence,
        accepted=certified.accepted,
        errors=certified.errors,
        lower_bound=certified.lower_bound,
        needed=certified.needed,
        image_ids=image_ids,
    )


def explain_certificates(certificates: Sequence[NewCertificate], calibration: CalibrationImages, run: str) -> list[str]:
    """Say in words what was certified, what was left out, and where nothing was certified what to type."""
    said = []
    if calibration.learned:
        said.append(f"left out of the certificate: {calibration.learned} validation images that the run learned from")
    if calibration.chose:
        said.append(
            f"left out of the certificate: {calibration.chose} validation images used to choose the epoch of {run}, "
            "which therefore cannot judge it"
        )
    said += [certificate.promise for certificate in certificates if certificate.is_certified]
    (boxes,) = (item for item in certificates if item.kind is CertificateKind.BOXES)
    if not boxes.is_certified:
        said.append(f"no tau can be certified: {boxes.promise}. Nothing was proposed. {_remedy(boxes, calibration)}")
    return said


def _remedy(boxes: NewCertificate, calibration: CalibrationImages) -> str:
    given = "or set a threshold without a guarantee: partly propose --tau 0.8"
    if calibration.chose and not calibration.images and not calibration.waiting:
        return f"Train again, so that a part of validation is kept for the certificate: partly train; {given}"
    if not calibration.waiting:
        return (
            "There is no validation image left to review: import more images and put a share of them into validation "
            f"(partly split), then train again; {given}"
        )
    # What is sent is drawn from all of validation, also from the half that does not count.
    limit = min(calibration.unreviewed, math.ceil(boxes.needed * calibration.unreviewed / calibration.waiting))
    return f"Review more of them: partly push --audit-share 1 --limit {limit}, then partly pull; {given}"
