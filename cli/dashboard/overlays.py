"""What is drawn over an image: known boxes by where they come from, the mask's outline, proposals; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotator.shapes.polygons import polygons_from_mask
from db.imaging.decode import mask_from_png, png_from_mask
from db.records import Box, ImageRecord, ProposalRecord

WORDS = {
    "imported": "imported",
    "drawn": "drawn by a reviewer",
    "accepted": "proposal accepted by a reviewer",
    "edited": "proposal edited by a reviewer",
}
"""Where a known location comes from."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A box, and what is written beside it."""

    box: Box
    text: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """What can be shown or hidden as one."""

    key: str
    """Names it on the page."""
    kind: str
    """Decides its colour: a source, mask, or proposed."""
    title: str
    marks: tuple[Mark, ...] = ()
    outlines: tuple[str, ...] = ()
    """Points of closed lines, as SVG writes them, in pixels of the upright image."""
    shown: bool = True
    """From the beginning."""
    note: str = ""
    """What cannot be drawn."""


def known_layer(record: ImageRecord) -> Layer | None:
    """Return the boxes that are known; None where none are."""
    label = record.label
    if label is None or not label.boxes:
        return None
    title = f"known: {WORDS.get(label.source, label.source)}"
    return Layer("known", str(label.source), title, tuple(Mark(box) for box in label.boxes))


def mask_layer(png: bytes) -> Layer:
    """Return the outline of a mask.

    Args:
        png: 1-bit PNG of the image's upright size.
    """
    try:
        found = polygons_from_mask(mask_from_png(png))
    except ValueError as exc:
        return Layer("mask", "mask", "mask", note=str(exc))
    lines = tuple(" ".join(f"{x:.1f},{y:.1f}" for x, y in points) for points in found)
    return Layer("mask", "mask", "mask outline", outlines=lines)


def proposal_layer(proposal: ProposalRecord, *, is_pending: bool) -> Layer:
    """Return what a run proposes; it is hidden at first unless it waits for review."""
    scores: Sequence[float] = proposal.box_scores or [proposal.score] * len(proposal.boxes)
    marks = tuple(Mark(box, f"{score:.2f}") for box, score in zip(proposal.boxes, scores, strict=False))
    state = "waits for review" if is_pending else str(proposal.outcome or "not reviewed")
    nothing = ", nothing to find" if proposal.is_nothing else ""
    title = f"{proposal.run_name}: proposed, score {proposal.score:.2f}{nothing} ({state})"
    return Layer(proposal.run_name, "proposed", title, marks, shown=is_pending)


def load_tools() -> None:
    """Load what outlines are traced with, which the first one would wait for."""
    mask_layer(png_from_mask(np.ones((2, 2), dtype=bool)))
