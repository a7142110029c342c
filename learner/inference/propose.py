"""The proposal use-case: a run suggests locations for images that have none, and only the sure ones are kept.

A proposal is a suggestion for a person. Nothing here makes a label.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db.errors import InvalidArgument
from db.imaging.geometry import boxes_iou
from db.progress import Progress, SilentProgress
from db.records import Box, ImageRecord, NewProposal, Split, Supervision
from db.registry import Registry
from learner.data.dataset import examples_from_records
from learner.distributed import Processes
from learner.inference.certified_tau import CertifiedTau, boxes_needed, certify_tau
from learner.inference.predict import known_classes, predict
from learner.inference.trained_model import TrainedModel, frame_share, open_run

CORRECT_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says about an image, with what that is gated by."""

    image: ImageRecord
    boxes: tuple[Box, ...]
    class_name: str
    class_probability: float
    score: float


def propose_locations(
    registry: Registry,
    *,
    run: str | None = None,
    tau: float | str | None = None,
    gate: str | None = None,
    budget: int | None = None,
    dry_run: bool = False,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score the partly-labeled images outside test, and store the locations that pass the gate.

    Args:
        registry: where the images are and the proposals go.
        run: which run proposes, None for the newest finished one.
        tau: the score must be above it; a number, `auto` (certified on validation boxes), None for the run's own.
        gate: `class` or `agreement`, None for the run's own.
        budget: at most this many, surest first.
        dry_run: score, but store nothing.
        processes: those that share the work; the first one stores.
        progress: where to show how far it is.

    Returns:
        run, tau, gate, considered, proposed, items: see the command line's contract; `calibration` where tau is auto.

    Raises:
        InvalidArgument: tau, gate or budget is out of range.
        NotFound, CheckpointIncompatible: the run cannot be used.
    """
    processes, progress = processes or Processes(), progress or SilentProgress()
    if budget is not None and budget < 1:
        raise InvalidArgument(f"--budget must be at least 1, got {budget}")
    model = open_run(registry, run, processes=processes)
    gate = gate or model.config.gate
    if gate not in ("class", "agreement"):
        raise InvalidArgument(f"--gate is class or agreement, got {gate!r}")
    threshold, certified = choose_tau(registry, model, gate, tau, processes, progress)
    with registry.read() as tx:
        images = tx.images.select(splits=[Split.TRAIN, Split.VAL, None], supervision=Supervision.PARTLY)
    scored = score_images(registry, model, images, gate, processes, progress)
    passing = [item for item in scored if item.score > threshold and item.boxes]
    passing.sort(key=lambda item: (-item.score, item.image.id))
    passing = passing[:budget]
    proposals = [to_proposal(item) for item in passing]
    if not dry_run and proposals:
        processes.first(lambda: _store(registry, proposals, model, threshold, gate))
    result: dict[str, Any] = {
        "run": model.run.name,
        "tau": threshold if math.isfinite(threshold) else None,
        "gate": gate,
        "considered": len(scored),
        "proposed": len(proposals),
        "items": [_item(item, proposal) for item, proposal in zip(passing, proposals, strict=True)],
    }
    if certified is not None:
        result["calibration"] = {
            "certified": certified.is_certified,
            "precision": certified.precision,
            "delta": certified.delta,
            "accepted": certified.accepted,
            "errors": certified.errors,
        }
    return result


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
    threshold = float(wanted)
    if not 0 <= threshold <= 1:
        raise InvalidArgument(f"--tau is a number from 0 to 1, or auto; got {wanted}")
    return threshold, None


def parse_tau(text: str | None) -> float | str | None:
    """Parse --tau: a number, `auto`, or None for the run's own.

    Raises:
        InvalidArgument: it is neither.
    """
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise InvalidArgument(f"--tau is a number from 0 to 1, or auto; got {text!r}") from None


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


def _item(item: Scored, proposal: NewProposal) -> dict[str, Any]:
    return {
        "image": item.image.id,
        "path": str(item.image.path),
        "class": proposal.class_name,
        "class_probability": proposal.class_probability,
        "score": proposal.score,
        "boxes": [[box.x, box.y, box.width, box.height] for box in proposal.boxes],
    }


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
        images = tx.images.select(splits=[Split.VAL], supervision=Supervision.FULLY)
    scored = score_images(registry, model, images, gate, processes, progress)
    found = [item for item in scored if item.boxes]
    correct = [boxes_iou(item.boxes, item.image.boxes) >= CORRECT_IOU for item in found]
    certified = certify_tau([item.score for item in found], correct)
    if not certified.is_certified:
        needed = boxes_needed(certified.precision, certified.delta)
        progress.say(
            f"no tau can be certified: of {len(found)} located validation images {sum(correct)} are right; a precision "
            f"of {certified.precision:.0%} needs at least {needed} without an error. Nothing is proposed; "
            "name a threshold with --tau, or have more validation images located"
        )
    return certified
