"""The report use-case: one HTML page about a run, with its numbers, curves, and the images it did worst on.

The page and its pictures lie in one folder and refer to nothing outside it.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from db.errors import ImageUnreadable
from db.progress import Progress
from db.records import Box, ImageRecord, Split
from db.registry import Registry
from learner.checkpoint import BEST, load_checkpoint
from learner.errors import DataInvalid
from learner.evaluate import evaluate_run
from learner.image_results import read_results
from learner.overlays import Panel, draw_page
from learner.plots import plot_confusion, plot_curves, plot_history, plot_ious

GALLERY = 12

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
    progress: Progress | None = None,
) -> Report:
    """Score a run on a split and write a page about it.

    Args:
        registry: where the run and the images are.
        out: folder for the page, made where it is missing; a report that is there is replaced.
        run: its name, None for the newest finished one.
        split: which images; None for test, or validation where there is no test image.
        progress: where to show how far it is.

    Raises:
        DataInvalid: there is no image to score; NotFound, CheckpointIncompatible: the run cannot be used.
    """
    with registry.read() as tx:
        record = tx.runs.get(run) if run is not None else tx.runs.latest()
        counts = tx.status.count().splits
    chosen = split or (Split.TEST if counts[Split.TEST] else Split.VAL)
    scored = evaluate_run(registry, run=record.name, split=chosen, progress=progress)
    rows = read_results(record.checkpoint, chosen) if record.checkpoint is not None else None
    if not rows or record.checkpoint is None:
        raise DataInvalid(f"{record.name} has no results on {chosen}")
    description = load_checkpoint(record.checkpoint, BEST).description
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select(ids=[row["image"] for row in rows])}
    out.mkdir(parents=True, exist_ok=True)
    figures = _figures(out, description, rows, images)
    page = out / "index.html"
    page.write_text(_page(record.name, chosen, description, scored, figures), encoding="utf-8")
    return Report(page, record.name, str(chosen), len(rows), [name for name, _ in figures])


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
    return found + _gallery(
        out / "mistaken.png", wrong[:GALLERY], images, "Another class than the known one, the surest mistakes first."
    )


def _gallery(
    out: Path, rows: Sequence[Mapping[str, Any]], images: Mapping[int, ImageRecord], caption: str
) -> list[tuple[str, str]]:
    panels = [
        Panel(
            path=images[row["image"]].path,
            caption=_caption(row),
            proposed=tuple(Box(*numbers) for numbers in row["boxes"] or []),
            truth=images[row["image"]].boxes,
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
) -> str:
    metrics = [
        (f"{part} {name}", "-" if value is None else f"{value:.4f}" if isinstance(value, float) else value)
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
        f"<h2>Numbers</h2>{_table(metrics)}<h2>Pictures</h2>{pictures}"
        f"<h2>Settings</h2>{_table(list(description['config'].items()))}</body></html>\n"
    )


def _table(rows: Sequence[tuple[str, object]]) -> str:
    cells = "".join(f"<tr><td>{html.escape(str(a))}</td><td>{html.escape(str(b))}</td></tr>" for a, b in rows)
    return f"<table>{cells}</table>"
