"""What a model card says, gathered: from the checkpoint, and from the registry where the run is one of a project."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from db.curation.leakage import group_names
from db.errors import Conflict, NotFound
from db.records import Split, Supervision
from db.registry import Registry
from learner.config import STARTED_FROM, TrainConfig, config_from_dict
from learner.errors import CheckpointIncompatible, ConfigInvalid
from learner.evaluation.aggregate import Summary, summarize_results
from learner.evaluation.few import metric_intervals
from learner.evaluation.per_image import ImageResult, read_results
from learner.evaluation.significance import share_interval
from learner.evaluation.weighted import weighted_mean
from learner.export.source import RunSource

MEASURES = (
    ("accuracy", "classification", "accuracy"),
    ("macro F1", "classification", "f1"),
    ("ROC AUC", "classification", "auc"),
    ("box IoU, a miss counts as 0", "localization", "iou"),
    ("box Dice, a miss counts as 0", "localization", "dice"),
    ("AP50, every image with a known location", "localization", "ap50_all"),
    ("AP50, images with a lesion", "localization", "ap50"),
    ("mask IoU", "localization", "mask_iou"),
    ("mask Dice", "localization", "mask_dice"),
    ("share of empty images with a box", "empty", "false_positive_rate"),
    ("AUC of presence", "empty", "presence_auroc"),
)
"""What it is called, and where an evaluation's summary has it."""
SUPERVISIONS = tuple(Supervision)


@dataclass(frozen=True, slots=True)
class Measure:
    """One number about a run, with its 95% interval over groups of images where that is known."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A run on a split."""

    n: int
    measures: tuple[Measure, ...]
    with_intervals: bool


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that a card says of one run."""

    run: str
    config: TrainConfig
    classes: tuple[str, ...]
    weights_sha256: str
    epoch: int | None
    """Of the second stage, that is kept."""
    snapshot: str | None
    begun: datetime | None
    ended: datetime | None
    started_from: Mapping[str, Any] | None
    licence: str | None
    """Of the weights it started from, where it is known."""
    counts: Mapping[tuple[str, str], Mapping[str, int]] | None
    """Images of the snapshot by class and split, then by supervision; None where the snapshot cannot be read."""
    measured: Mapping[str, Measured | None]
    """By split; None where nothing is stored."""
    certificates: tuple[str, ...] = field(default=())
    """In words."""


def gather_facts(source: RunSource) -> CardFacts:
    """Gather what is known of a run.

    Raises:
        CheckpointIncompatible: its settings cannot be used.
    """
    description, record, registry = source.description, source.record, source.registry
    try:
        config = config_from_dict(description["config"])
    except ConfigInvalid as exc:
        raise CheckpointIncompatible(
            f"{source.folder}: the settings stored with the weights cannot be used: {exc}"
        ) from exc
    started = description.get(STARTED_FROM)
    classes = tuple(description["classes"])
    stored = dict(description.get("metrics", {})) | dict(record.metrics if record is not None else {})
    counts, certificates, groups = None, tuple[str, ...](), dict[int, str]()
    if record is not None and registry is not None:
        counts = _counts(registry, record.snapshot)
        with registry.read() as tx:
            certificates = tuple(found.promise for found in tx.certificates.of_run(record.id).values())
            groups = dict(group_names(tx))
    return CardFacts(
        run=source.name,
        config=config,
        classes=classes,
        weights_sha256=source.weights_sha256,
        epoch=description.get("epoch"),
        snapshot=description.get("snapshot"),
        begun=record.created_at if record is not None else None,
        ended=record.finished_at if record is not None else None,
        started_from=started,
        licence=_licence(started, config.encoder),
        counts=counts,
        measured={
            split: _measured(read_results(source.folder, split), classes, groups) or _stored(stored.get(split))
            for split in (Split.VAL.value, Split.TEST.value)
        },
        certificates=certificates,
    )


def _counts(registry: Registry, snapshot: str) -> dict[tuple[str, str], dict[str, int]] | None:
    """Count the images of a snapshot."""
    found: Counter[tuple[str, str, str]] = Counter()
    try:
        with registry.read() as tx:
            for image in tx.snapshots.each_image_at(tx.snapshots.get(snapshot).position):
                found[image.class_name or "", image.split or "", image.supervision] += 1
    except (NotFound, Conflict):
        return None
    order = [*map(str, Split), ""]
    places = sorted({place[:2] for place in found}, key=lambda place: (place[0], order.index(place[1])))
    return {place: {kind: found[(*place, kind)] for kind in SUPERVISIONS} for place in places}


def _measured(rows: Sequence[ImageResult] | None, classes: Sequence[str], groups: Mapping[int, str]) -> Measured | None:
    """Work out the measures of rows that were kept beside the checkpoint, with intervals over groups of images."""
    if not rows:
        return None
    known = {row.image: groups.get(row.image, f"image {row.image}") for row in rows if row.image is not None}
    summary, intervals = summarize_results(rows, classes), metric_intervals(rows, classes, known)
    measures = []
    for name, part, key in MEASURES:
        value = _value(summary, part, key)
        if value is None:
            continue
        ends = intervals.get(f"{part} {key}")
        if key == "false_positive_rate":
            empty = [row for row in rows if row.lesion is False and row.boxes is not None and row.image is not None]
            rate = weighted_mean(np.array([float(bool(row.boxes)) for row in empty]))
            ends = share_interval(rate, [known[row.image] for row in empty if row.image is not None])
        measures.append(Measure(name, value, *(ends or (None, None))))
    return Measured(len(rows), tuple(measures), True)


def _value(summary: Summary, part: str, key: str) -> float | None:
    value: float | None = getattr(getattr(summary, part), key)
    return value


def _stored(document: object) -> Measured | None:
    """Read the numbers of an evaluation as they are stored with a run; None where there are none."""
    if not isinstance(document, Mapping) or not isinstance(document.get("n"), int):
        return None
    measures = []
    for name, part, key in MEASURES:
        numbers = document.get(part)
        value = numbers.get(key) if isinstance(numbers, Mapping) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            measures.append(Measure(name, float(value)))
    return Measured(document["n"], tuple(measures), False) if measures else None


def _licence(started_from: Mapping[str, Any] | None, encoder: str) -> str | None:
    """Return the licence of ImageNet weights, as timm states it for the model that they are of."""
    if started_from is None or started_from.get("kind") not in ("hub", "package"):
        return None
    from learner.timm_import import timm

    name = str(started_from.get("name") or "").rpartition("/")[2] if started_from["kind"] == "hub" else encoder
    for wanted in (name, encoder):
        try:
            known = timm.models.get_pretrained_cfg(wanted)
        except (RuntimeError, ValueError, KeyError, AssertionError):
            continue
        if known is not None and known.license:
            return str(known.license)
    return None
