"""The proposal use-case: a run suggests locations for images that have none, and only the sure ones are kept.

A proposal is a suggestion for a person. Nothing here makes a label.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from db.curation.leakage import group_names
from db.errors import InvalidArgument
from db.imaging.geometry import boxes_iou
from db.progress import Progress, SilentProgress
from db.records import Box, ImageRecord, NewProposal, Split
from db.registry import Registry
from learner.data.dataset import examples_from_records
from learner.distributed import Processes
from learner.inference.certified_tau import CertifiedTau, boxes_needed, certify_tau, one_of_each
from learner.inference.gate import check_gate, check_tau
from learner.inference.judged_images import judged_images
from learner.inference.predict import known_classes, predict
from learner.inference.strategies import Scored, most_confident
from learner.inference.trained_model import TrainedModel, frame_share, open_run

CORRECT_IOU = 0.5


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """Which run proposes, and what passes."""

    run: str | None = None
    """None for the newest finished one."""
    tau: float | str | None = None
    """The score must be above it: a number from 0 to 1, `auto` (certified on validation boxes), None for the run's."""
    gate: str | None = None
    """`class` or `agreement`, None for the run's."""
    budget: int | None = None
    """Largest number of proposals, the most confident first; None for all that pass."""

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise InvalidArgument(f"--budget must be at least 1, got {self.budget}")
        if self.gate is not None:
            check_gate(self.gate)


@dataclass(frozen=True, slots=True)
class ProposedItem:
    """One proposal, with the image that it is for."""

    image: int
    path: str
    class_name: str
    class_probability: float
    score: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How tau was certified."""

    certified: bool
    precision: float
    delta: float
    accepted: int
    errors: int


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """What a run proposes."""

    run: str
    tau: float | None
    """None where no threshold could be certified."""
    gate: str
    considered: int
    proposed: int
    items: tuple[ProposedItem, ...]
    calibration: Calibration | None = None
    """None where tau was given."""


def propose_locations(
    registry: Registry,
    request: ProposeRequest | None = None,
    *,
    dry_run: bool = False,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> ProposeResult:
    """Score the images outside test whose location is not known, and store the locations that pass the gate.

    Args:
        registry: where the images are and the proposals go.
        request: which run, tau, gate and budget; None for the newest run and its own settings.
        dry_run: score, but store nothing.
        processes: those that share the work; the first one stores.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: tau is out of range.
        NotFound, CheckpointIncompatible: the run cannot be used.
    """
    request, processes = request or ProposeRequest(), processes or Processes()
    progress = progress or SilentProgress()
    model = open_run(registry, request.run, processes=processes)
    gate = request.gate or model.config.gate
    threshold, certified = choose_tau(registry, model, gate, request.tau, processes, progress)
    with registry.read() as tx:
        images = tx.images.select(splits=[Split.TRAIN, Split.VAL, None], located=False)
    scored = score_images(registry, model, images, gate, processes, progress)
    passing = most_confident([item for item in scored if item.score > threshold and item.boxes])[: request.budget]
    proposals = [to_proposal(item) for item in passing]
    if not dry_run and proposals:
        processes.first(lambda: _store(registry, proposals, model, threshold, gate))
    return ProposeResult(
        run=model.run.name,
        tau=threshold if math.isfinite(threshold) else None,
        gate=gate,
        considered=len(scored),
        proposed=len(proposals),
        items=tuple(_item(item, proposal) for item, proposal in zip(passing, proposals, strict=True)),
        calibration=_calibration(certified) if certified is not None else None,
    )


def _calibration(certified: CertifiedTau) -> Calibration:
    return Calibration(
        certified.is_certified, certified.precision, certified.delta, certified.accepted, certified.errors
    )


def _store(registry: Registry, proposals: Sequence[NewProposal], model: TrainedModel, tau: float, gate: str) -> None:
    with registry.begin() as tx:
        tx.proposals.add(proposals, run_id=model.run.id, tau=tau, gate=gate)


def choose_tau(
    registry: Registry,
    model: TrainedModel,
    gate: str,
    tau: float | str | None,
    processes: Processes,
    progress: Progress,
) -> tuple[float, CertifiedTau | None]:
    """Work out the threshold that a run's proposals have to pass.

    Returns:
        The threshold (infinite where none can be certified), and how it was certified where tau is `auto`.

    Raises:
        InvalidArgument: tau is out of range.
    """
    wanted = model.config.tau if tau is None else tau
    if wanted == "auto":
        certified = _certify(registry, model, gate, processes, progress)
        return certified.tau, certified
    return check_tau(wanted), None


def score_images(
    registry: Registry,
    model: TrainedModel,
    images: list[ImageRecord],
    gate: str,
    processes: Processes,
    progress: Progress,
) -> list[Scored]:
    """Run a model on images and score what it finds by a gate; images that cannot be read are left out."""
    if not images:
        return []
    with registry.read() as tx:
        examples = examples_from_records(tx, images)
    data = frame_share(model, examples, processes, progress)
    for problem in data.unreadable:
        progress.say(f"left out: {problem}")
    known = known_classes(data.examples, model.classes)
    predictions = predict(model.network, data, model.config, model.device, progress=progress)
    scored = [
        Scored(
            images[position],
            prediction.boxes,
            model.classes[prediction.class_index],
            float(prediction.class_probability_K[prediction.class_index]),
            prediction.score(gate, index),
        )
        for position, prediction, index in zip(data.positions, predictions, known, strict=True)
    ]
    return processes.gather(zip(data.positions, scored, strict=True))


def _item(item: Scored, proposal: NewProposal) -> ProposedItem:
    return ProposedItem(
        image=item.image.id,
        path=str(item.image.path),
        class_name=proposal.class_name,
        class_probability=proposal.class_probability,
        score=proposal.score,
        boxes=proposal.boxes,
    )


def to_proposal(item: Scored) -> NewProposal:
    """Write what a model found as a proposal."""
    return NewProposal(
        image_id=item.image.id,
        class_name=item.class_name,
        class_probability=item.class_probability,
        score=min(1.0, item.score),
        boxes=item.boxes,
    )


def _certify(
    registry: Registry, model: TrainedModel, gate: str, processes: Processes, progress: Progress
) -> CertifiedTau:
    with registry.read() as tx:
        located = tx.images.select(splits=[Split.VAL], located=True)
        images = judged_images(tx, model, located)
        groups = group_names(tx)
    scored = score_images(registry, model, images, gate, processes, progress)
    # One image of a patient, video or picture: the others of it are no further evidence.
    found = one_of_each([item for item in scored if item.boxes], lambda item: groups[item.image.id], model.config.seed)
    correct = [boxes_iou(item.boxes, item.image.boxes) >= CORRECT_IOU for item in found]
    certified = certify_tau([item.score for item in found], correct)
    if len(images) < len(located):
        progress.say(
            f"left out of the certificate: {len(located) - len(images)} validation images that the run has seen"
        )
    if not certified.is_certified:
        needed = boxes_needed(certified.precision, certified.delta)
        progress.say(
            f"no tau can be certified: of {len(found)} located validation images, one a group, {sum(correct)} are "
            "correct; a "
            f"precision of {certified.precision:.0%} needs at least {needed} without an error. Nothing was proposed; "
            "set a threshold with --tau, or label more validation images"
        )
    return certified
