"""The report use-case: one HTML page about a run, with its numbers, curves, and the images it did worst on.

The page and its pictures lie in one folder and refer to nothing outside it.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from db.curation.leakage import group_names
from db.errors import ImageUnreadable, InvalidArgument
from db.imaging.geometry import boxes_iou
from db.progress import Progress
from db.records import Box, ImageRecord, Split
from db.registry import Registry
from learner.checkpoint import BEST, load_checkpoint
from learner.errors import DataInvalid
from learner.evaluation.aggregate import SIZES
from learner.evaluation.comparison import compare_runs
from learner.evaluation.evaluate import evaluate_run
from learner.evaluation.per_image import read_results
from learner.reporting.drawing import Panel, draw_page
from learner.reporting.explain import CLASS, LESION, explain_images
from learner.reporting.plots import plot_confusion, plot_curves, plot_history, plot_ious

GALLERY = 12
HEAT = 4
"""Images that are shown under their heat."""

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}
img{max-width:100%}figure{margin:1.5rem 0}figcaption{color:#555}"""


@dataclass(frozen=True, slots=True)
class Report:
    """What was written."""

    page: Path
    run: str
    split: str
    n: int
    figures: list[str]


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
    with registry.read() as tx:
        record = tx.runs.get(run) if run is not None else tx.runs.latest()
        counts = tx.status.count().splits
    chosen = split or (Split.TEST if counts[Split.TEST] else Split.VAL)
    scored, rows = _scored(registry, record.name, chosen, progress)
    description = load_checkpoint(record.checkpoint or out, BEST).description
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select(ids=[row["image"] for row in rows])}
    out.mkdir(parents=True, exist_ok=True)
    figures = _figures(out, description, rows, images)
    figures += _heat(registry, out, record.name, rows, scored, progress)
    comparison = ""
    if against is not None:
        _, others = _scored(registry, against, chosen, progress)
        comparison = _comparison(registry, record.name, against, rows, others)
        figures += _disagreements(out / "disagreements.png", against, rows, others, images)
    page = out / "index.html"
    page.write_text(_page(record.name, chosen, description, scored, figures, comparison), encoding="utf-8")
    return Report(page, record.name, str(chosen), len(rows), [name for name, _ in figures])


def _scored(
    registry: Registry, run: str, split: Split, progress: Progress | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    scored = evaluate_run(registry, run=run, split=split, progress=progress)
    with registry.read() as tx:
        checkpoint = tx.runs.get(run).checkpoint
    rows = read_results(checkpoint, split) if checkpoint is not None else None
    if not rows:
        raise DataInvalid(f"{run} has no results on {split}")
    return scored, rows


def _heat(
    registry: Registry,
    out: Path,
    run: str,
    rows: Sequence[Mapping[str, Any]],
    scored: Mapping[str, Any],
    progress: Progress | None,
) -> list[tuple[str, str]]:
    """Draw Grad-CAM over some images: those it did worst on where it draws boxes, else the surest mistakes."""
    ranked = sorted(rows, key=lambda row: (row["iou"] if row["iou"] is not None else 2.0, row["right"] or 0.0))
    ids = [row["image"] for row in ranked[:HEAT]]
    answers = [(CLASS, scored["classification"]["accuracy"]), (LESION, scored["localization"]["iou"])]
    found = []
    for target, measured in answers:
        if measured is None:
            continue
        try:
            done = explain_images(registry, out, run=run, image_ids=ids, target=target, progress=progress)
        except InvalidArgument:
            # An encoder without maps has nothing to show.
            continue
        caption = f"Grad-CAM for the {'predicted class' if target == CLASS else 'lesion'} at {done['layer']}."
        found += [(Path(item["picture"]).name, caption) for item in done["items"]]
    return found


def _comparison(
    registry: Registry, run: str, other: str, rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> str:
    with registry.read() as tx:
        groups = group_names(tx)
    found = compare_runs(rows, others, groups)
    if not found:
        return ""
    lines = [
        (f"{line['metric']} ({line['test']}, {line['n']} images)",
         f"{line['first']:.4f} against {line['second']:.4f}, p after Holm {line['p']:.3g}")
        for line in found
    ]  # fmt: skip
    return f"<h2>{html.escape(run)} against {html.escape(other)}</h2>{_table(lines)}"


def _disagreements(
    out: Path,
    other: str,
    rows: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    images: Mapping[int, ImageRecord],
) -> list[tuple[str, str]]:
    """Draw the images on which two runs differ most: another class, then the least overlap of their boxes."""
    theirs = {row["image"]: row for row in others}
    differing = []
    for row in rows:
        second = theirs.get(row["image"])
        if second is None:
            continue
        overlap = boxes_iou(_boxes(row["boxes"]), _boxes(second["boxes"]))
        other_class = row["predicted"] != second["predicted"]
        if other_class or overlap < 1:
            differing.append((not other_class, overlap, row["image"], row))
    differing.sort(key=lambda item: item[:3])
    chosen = [row for *_, row in differing[:GALLERY]]
    return _gallery(
        out,
        chosen,
        images,
        f"Where the two runs differ most: this one in orange, {other} in blue, known in green.",
        theirs,
    )


def _figures(
    out: Path, description: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], images: Mapping[int, ImageRecord]
) -> list[tuple[str, str]]:
    """Draw what there is to draw; returns file names and captions."""
    classes = list(description["classes"])
    found: list[tuple[str, str]] = []
    if description.get("history"):
        plot_history(description["history"], out / "history.svg")
        found.append(
            ("history.svg", "Losses and validation metrics by epoch; the dotted line is where stage 2 begins.")
        )
    told = [row for row in rows if row["predicted"] is not None and row["truth"] in classes]
    if told:
        truth = [row["truth"] for row in told]
        plot_confusion(truth, [row["predicted"] for row in told], classes, out / "confusion.svg")
        found.append(("confusion.svg", "Known classes against predicted ones, with shares of the known class."))
        plot_curves(truth, np.array([row["probability"] for row in told]), classes, out / "curves.svg")
        found.append(("curves.svg", "Each class against the others."))
    located = [row for row in rows if row["iou"] is not None]
    if located:
        plot_ious([row["iou"] for row in located], out / "ious.svg")
        found.append(("ious.svg", "A lesion that was not found counts as 0."))
        worst = sorted(located, key=lambda row: (row["iou"], row["image"]))[:GALLERY]
        found += _gallery(out / "worst.png", worst, images, "The lowest IoU: said in orange, known in green.")
        best = sorted(located, key=lambda row: (-row["iou"], row["image"]))[:GALLERY]
        found += _gallery(out / "best.png", best, images, "The highest IoU.")
    wrong = [row for row in told if row["predicted"] != row["truth"]]
    # The surest mistakes first: they are the ones to look at.
    wrong.sort(key=lambda row: (-max(row["probability"]), row["image"]))
    found += _gallery(
        out / "mistaken.png", wrong[:GALLERY], images, "Another class than the known one, the surest mistakes first."
    )
    invented = [row for row in rows if row["lesion"] is False and row["boxes"]]
    invented.sort(key=lambda row: (-row["score"], row["image"]))
    return found + _gallery(
        out / "invented.png", invented[:GALLERY], images, "A box where nothing is known to be, the surest first."
    )


def _boxes(numbers: Sequence[Sequence[float]] | None) -> tuple[Box, ...]:
    return tuple(Box(*box) for box in numbers or ())


def _gallery(
    out: Path,
    rows: Sequence[Mapping[str, Any]],
    images: Mapping[int, ImageRecord],
    caption: str,
    others: Mapping[int, Mapping[str, Any]] | None = None,
) -> list[tuple[str, str]]:
    panels = [
        Panel(
            path=images[row["image"]].path,
            caption=_caption(row),
            proposed=_boxes(row["boxes"]),
            truth=images[row["image"]].boxes,
            other=_boxes(others[row["image"]]["boxes"]) if others is not None else (),
        )
        for row in rows
        if row["image"] in images
    ]
    if not panels:
        return []
    try:
        draw_page(panels, out)
    except ImageUnreadable:
        # A file that has gone since it was scored takes one gallery with it, not the page.
        return []
    return [(out.name, caption)]


def _caption(row: Mapping[str, Any]) -> str:
    said = f"{row['truth']} > {row['predicted']}" if row["predicted"] is not None else str(row["truth"])
    return f"image {row['image']}  {said}" + (f"  IoU {row['iou']:.2f}" if row["iou"] is not None else "")


def _page(
    run: str,
    split: Split,
    description: Mapping[str, Any],
    scored: Mapping[str, Any],
    figures: Sequence[tuple[str, str]],
    comparison: str,
) -> str:
    metrics = [
        (f"{part} {name}", _number(value))
        for part in ("classification", "localization", "empty")
        for name, value in scored[part].items()
    ]
    title = f"{run} on {split}"
    pictures = "".join(
        f'<figure><img src="{html.escape(name)}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for name, caption in figures
    )
    left_out = f", {scored['left_out']} left out because the run has seen them or a copy" if scored["left_out"] else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"<p>{scored['n']} images{left_out}. Epoch {description['epoch']} of stage 2 was kept, chosen on validation. "
        f"Snapshot {html.escape(str(description['snapshot']))}.</p>"
        f"<h2>Numbers</h2>{_table(metrics)}{_strata(scored['strata'])}{comparison}<h2>Pictures</h2>{pictures}"
        f"<h2>Settings</h2>{_table(list(description['config'].items()))}</body></html>\n"
    )


def _strata(strata: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Write the numbers by class and by size of the lesion as one table."""
    columns = ("n", "accuracy", "iou", "dice", "ap50", "mask_iou", "mask_dice")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *columns))
    lines = "".join(
        "<tr>"
        + f"<td>{html.escape(f'{kind} {name}')}</td>"
        + "".join(f"<td>{_number(values[column])}</td>" for column in columns)
        + "</tr>"
        for kind, members in strata.items()
        for name, values in members.items()
    )
    limits = ", ".join(f"{name} from {low:.0%}" for name, low, _ in SIZES)
    return (
        f"<h2>By class and by size of the lesion</h2><table><tr>{head}</tr>{lines}</table>"
        f"<p>Sizes are shares of the image that the lesion's boxes cover: {limits}.</p>"
    )


def _number(value: object) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[tuple[str, object]]) -> str:
    cells = "".join(f"<tr><td>{html.escape(str(a))}</td><td>{html.escape(str(b))}</td></tr>" for a, b in rows)
    return f"<table>{cells}</table>"
