"""The report use-case: one HTML page about a run, with its numbers, curves, and the images it did worst on.

The page and its pictures lie in one folder and refer to nothing outside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from db.atomic_write import write_text
from db.curation.leakage import group_names
from db.errors import InvalidArgument
from db.progress import Progress
from db.records import RunRecord, Split
from db.records.certificates import CertificateRecord
from db.registry import Registry
from learner.checkpoint import BEST, load_checkpoint
from learner.config import PRESETS
from learner.errors import DataInvalid
from learner.evaluation.aggregate import SIZES
from learner.evaluation.comparison import Comparison, compare_runs
from learner.evaluation.evaluate import Evaluation, evaluate_run
from learner.evaluation.few import metric_intervals, warn_of_few
from learner.evaluation.per_image import ImageResult
from learner.reporting.explain import CLASS, LESION, ExplainRequest, explain_images
from learner.reporting.figures import Figure, draw_disagreements, draw_figures

HEAT = 4
"""Images that are shown under their heat map."""

COLUMNS = ("n", "accuracy", "iou", "dice", "ap50_all", "ap50", "mask_iou", "mask_dice")


@dataclass(frozen=True, slots=True)
class Report:
    """What was written."""

    page: Path
    run: str
    split: str
    n: int
    figures: tuple[str, ...]


def write_report(
    registry: Registry,
    out: Path,
    *,
    run: str | None = None,
    split: Split | None = None,
    against: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Score a run on a split and write a page about it.

    Args:
        registry: where the run and the images are.
        out: folder for the page, made where it is missing; a report that is there is replaced.
        run: its name, None for the newest finished one.
        split: which images; None for test, or validation where there is no test image.
        against: another run to compare it with, on the same images.
        progress: where to show how far it is.

    Raises:
        DataInvalid: there is no image to score; NotFound, CheckpointIncompatible: a run cannot be used.
    """
    record, chosen = _choose(registry, run, split)
    evaluation = _scored(registry, record.name, chosen, progress)
    description = load_checkpoint(record.checkpoint or out, BEST).description
    with registry.read() as tx:
        wanted = [row.image for row in evaluation.rows if row.image is not None]
        images = {image.id: image for image in tx.images.select(ids=wanted)}
        certificates = list(tx.certificates.of_run(record.id).values())
    out.mkdir(parents=True, exist_ok=True)
    figures = draw_figures(out, description, evaluation.rows, images)
    figures += _heat(registry, out, evaluation, progress)
    comparison: list[Comparison] = []
    if against is not None:
        other = _scored(registry, against, chosen, progress)
        with registry.read() as tx:
            groups = group_names(tx)
        comparison = compare_runs(evaluation.rows, other.rows, groups, (evaluation.classes, other.classes))
        figures += draw_disagreements(out / "disagreements.png", against, evaluation.rows, other.rows, images)
    few = warn_of_few(evaluation.summary)
    ends: Mapping[str, tuple[float, float]] = {}
    if few is not None:
        with registry.read() as tx:
            ends = metric_intervals(evaluation.rows, evaluation.classes, group_names(tx))
    page = out / "index.html"
    write_text(page, _page(chosen, description, evaluation, certificates, figures, (comparison, against), (few, ends)))
    return Report(page, record.name, str(chosen), len(evaluation.rows), tuple(figure.name for figure in figures))


def _choose(registry: Registry, run: str | None, split: Split | None) -> tuple[RunRecord, Split]:
    with registry.read() as tx:
        record = tx.runs.get(run) if run is not None else tx.runs.latest()
        counts = tx.status.count().splits
    return record, split or (Split.TEST if counts[Split.TEST] else Split.VAL)


def _scored(registry: Registry, run: str, split: Split, progress: Progress | None) -> Evaluation:
    evaluation = evaluate_run(registry, run=run, split=split, progress=progress)
    if not evaluation.rows:
        raise DataInvalid(f"{run} has no results on {split}")
    return evaluation


def _heat(registry: Registry, out: Path, evaluation: Evaluation, progress: Progress | None) -> list[Figure]:
    """Draw Grad-CAM for the lesion over images with the lowest IoU, for the class over other ones, mistaken first."""
    summary = evaluation.summary
    found: list[Figure] = []
    shown: set[int | None] = set()
    for target, measured, order in (
        (LESION, summary.localization.iou, _least_overlap),
        (CLASS, summary.classification.accuracy, _mistaken_first),
    ):
        ranked = sorted(evaluation.rows, key=order)
        # Other images where there are any.
        ranked = [row for row in ranked if row.image not in shown] or ranked
        ids = tuple(row.image for row in ranked[:HEAT] if row.image is not None)
        if measured is None or not ids:
            continue
        shown |= set(ids)
        request = ExplainRequest(run=evaluation.run, image_ids=ids, target=target)
        try:
            done = explain_images(registry, out, request, progress=progress)
        except InvalidArgument:
            # An encoder without maps has nothing to show.
            continue
        caption = f"Grad-CAM for the {'predicted class' if target == CLASS else 'lesion'} at {done.layer}."
        found += [Figure(item.picture.name, caption) for item in done.items]
    return found


def _least_overlap(row: ImageResult) -> tuple[float, float]:
    return (row.iou if row.iou is not None else 2.0, row.right or 0.0)


def _mistaken_first(row: ImageResult) -> tuple[float, float]:
    """Order by the most confident mistakes, then by the least confident right answers."""
    right = row.right if row.right is not None else 2.0
    confident = max(row.probability or (0.0,))
    return (right, confident if right else -confident)


def _page(
    split: Split,
    description: Mapping[str, Any],
    evaluation: Evaluation,
    certificates: Sequence[CertificateRecord],
    figures: Sequence[Figure],
    compared: tuple[Sequence[Comparison], str | None],
    few: tuple[str | None, Mapping[str, tuple[float, float]]],
) -> str:
    environment = Environment(loader=PackageLoader(__package__), autoescape=True)
    environment.filters["number"] = _number
    summary = evaluation.summary
    parts = {name: getattr(summary, name) for name in ("classification", "localization", "empty")}
    metrics = [(f"{part} {name}", value) for part, record in parts.items() for name, value in asdict(record).items()]
    return environment.get_template("report.html.j2").render(
        run=evaluation.run,
        split=split,
        left_out=evaluation.left_out,
        summary=summary,
        metrics=metrics,
        columns=COLUMNS,
        sizes=", ".join(f"{name} from {low:.0%}" for name, low, _ in SIZES),
        description=description,
        figures=figures,
        certificates=certificates,
        comparison=compared[0],
        against=compared[1],
        few=few[0],
        intervals=few[1],
        changed=_changed(description["config"]),
    )


def _changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run that are not those of its preset."""
    preset = PRESETS.get(str(config.get("preset")), PRESETS["default"]).to_dict()
    return {name: value for name, value in config.items() if name in preset and preset[name] != value}


def _number(value: object) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
