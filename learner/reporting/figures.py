"""Curves and galleries of a report, as files beside its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from db.errors import ImageUnreadable
from db.imaging.geometry import boxes_iou
from db.records import ImageRecord
from learner.evaluation.per_image import ImageResult
from learner.reporting.drawing import Panel, draw_page, ending
from learner.reporting.plots import plot_confusion, plot_curves, plot_history, plot_ious

GALLERY = 12
"""Images of a gallery."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of a page."""

    name: str
    """File beside the page."""
    caption: str


def draw_figures(
    out: Path, description: Mapping[str, Any], rows: Sequence[ImageResult], images: Mapping[int, ImageRecord]
) -> list[Figure]:
    """Draw what can be drawn from a checkpoint's description and the rows of a split.

    Args:
        out: folder for the files.
        description: JSON document of the checkpoint: its history and classes.
        rows: one an image.
        images: registered images by number.
    """
    found: list[Figure] = []
    if description.get("history"):
        plot_history(description["history"], out / "history.svg")
        caption = "Losses and validation metrics by epoch; the dotted line is where stage 2 begins."
        found.append(Figure("history.svg", caption))
    found += _class_figures(out, list(description["classes"]), rows)
    found += _location_figures(out, rows, images)
    wrong = [row for row in rows if row.predicted is not None and row.truth in description["classes"]]
    wrong = [row for row in wrong if row.predicted != row.truth]
    wrong.sort(key=lambda row: (-max(row.probability or (0.0,)), row.image or 0))
    caption = "Misclassified images, the most confident mistakes first."
    found += _gallery(out / "mistaken.png", wrong, images, caption)
    invented = [row for row in rows if row.lesion is False and row.boxes]
    invented.sort(key=lambda row: (-row.score, row.image or 0))
    caption = "A box on an image that is known to be empty, the most confident first."
    return found + _gallery(out / "invented.png", invented, images, caption)


def _class_figures(out: Path, classes: Sequence[str], rows: Sequence[ImageResult]) -> list[Figure]:
    predicted = [row for row in rows if row.predicted is not None and row.truth in classes]
    if not predicted:
        return []
    truth = [row.truth or "" for row in predicted]
    plot_confusion(truth, [row.predicted or "" for row in predicted], classes, out / "confusion.svg")
    plot_curves(truth, np.array([row.probability for row in predicted]), classes, out / "curves.svg")
    return [
        Figure("confusion.svg", "Known classes against predicted ones, with shares of the known class."),
        Figure("curves.svg", "Each class against the others."),
    ]


def _location_figures(out: Path, rows: Sequence[ImageResult], images: Mapping[int, ImageRecord]) -> list[Figure]:
    located = [(row.iou, row) for row in rows if row.iou is not None]
    if not located:
        return []
    plot_ious([iou for iou, _ in located], out / "ious.svg")
    ranked = [row for _, row in sorted(located, key=lambda pair: (pair[0], pair[1].image or 0))]
    # Where there are few images, half of them are shown as the worst, and no image twice.
    half = min(GALLERY, (len(ranked) + 1) // 2)
    worst, best = ranked[:half], ranked[half:][::-1]
    return [
        Figure("ious.svg", "IoU of predicted and known boxes; a lesion that was not found counts as 0."),
        *_gallery(out / "worst.png", worst, images, "The lowest IoU: predicted in orange, known in green."),
        *_gallery(out / "best.png", best, images, "The highest IoU."),
    ]


def draw_disagreements(
    out: Path,
    other: str,
    rows: Sequence[ImageResult],
    others: Sequence[ImageResult],
    images: Mapping[int, ImageRecord],
) -> list[Figure]:
    """Draw the images on which two runs differ most: another class first, then the least overlap of their boxes."""
    theirs = {row.image: row for row in others}
    differing = []
    for row in rows:
        second = theirs.get(row.image)
        if second is None:
            continue
        overlap = boxes_iou(row.boxes or (), second.boxes or ())
        other_class = row.predicted != second.predicted
        if other_class or overlap < 1:
            differing.append((not other_class, overlap, row.image or 0, row))
    differing.sort(key=lambda item: item[:3])
    caption = f"Where the two runs differ most: this one in orange, {other} in blue, known in green."
    return _gallery(out, [row for *_, row in differing], images, caption, theirs)


def _gallery(
    out: Path,
    rows: Sequence[ImageResult],
    images: Mapping[int, ImageRecord],
    caption: str,
    others: Mapping[int | None, ImageResult] | None = None,
) -> list[Figure]:
    panels = [
        Panel(
            path=images[row.image].path,
            caption=_caption(row, images[row.image].path.name),
            proposed=row.boxes or (),
            truth=images[row.image].boxes,
            other=others[row.image].boxes or () if others is not None else (),
        )
        for row in rows[:GALLERY]
        if row.image is not None and row.image in images
    ]
    if not panels:
        return []
    try:
        draw_page(panels, out)
    except ImageUnreadable:
        # A file that has gone since it was scored takes one gallery with it, not the page.
        return []
    return [Figure(out.name, caption)]


def _caption(row: ImageResult, file: str) -> str:
    classes = f"{row.truth} > {row.predicted}" if row.predicted is not None else str(row.truth)
    return f"{row.image} {ending(file)}  {classes}" + (f"  IoU {row.iou:.2f}" if row.iou is not None else "")
