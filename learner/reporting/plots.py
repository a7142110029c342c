"""Figures of a run, as SVG files. The one place that knows matplotlib; nothing is shown on a screen.

Shape legend: N images, K classes.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from db.atomic_write import replacing
from db.plain_text import shown
from learner.evaluation.estimates import Estimate

BINS = 20


P = ParamSpec("P")


def _literally(draw: Callable[P, Path]) -> Callable[P, Path]:
    """Draw names as they are: a dollar in a class's name begins no formula."""

    @functools.wraps(draw)
    def drawing(*arguments: P.args, **named: P.kwargs) -> Path:
        from matplotlib import rc_context

        with rc_context({"text.parse_math": False}):
            return draw(*arguments, **named)

    return drawing


def _name(text: str) -> str:
    """Return a name as matplotlib draws it: a label that begins with an underscore is one that it hides."""
    text = shown(text)
    return f" {text}" if text.startswith("_") else text


@_literally
def plot_history(history: Sequence[Mapping[str, Any]], out: Path) -> Path:
    """Draw losses and validation metrics over the epochs of both stages."""
    figure, (losses, metrics) = _figure(2)
    epochs = range(1, len(history) + 1)
    for name in ("loss", "classification", "localization", "pseudo", "presence"):
        values = [entry.get(name) for entry in history]
        if any(value is not None for value in values):
            losses.plot(epochs, [np.nan if value is None else value for value in values], label=name)
    for name in ("accuracy", "auc", "dice", "empty"):
        values = [(entry.get("val") or {}).get(name) for entry in history]
        if any(value is not None for value in values):
            metrics.plot(epochs, [np.nan if value is None else value for value in values], label=name)
    first_of_two = next((n for n, entry in enumerate(history, start=1) if entry["stage"] == 2), None)
    for axes, title in ((losses, "training losses"), (metrics, "validation, in the square, one view")):
        if first_of_two is not None and first_of_two > 1:
            axes.axvline(first_of_two - 0.5, color="grey", linewidth=0.8, linestyle=":")
        axes.set(title=title, xlabel="epoch (both stages)")
        if axes.lines:
            axes.legend(fontsize=8)
    return _save(figure, out)


@_literally
def plot_confusion(truth_N: Sequence[str], predicted_N: Sequence[str], classes: Sequence[str], out: Path) -> Path:
    """Draw the confusion matrix, counts and shares of each true class."""
    counts_KK = confusion_matrix(truth_N, predicted_N, labels=list(classes))
    shares_KK = counts_KK / np.maximum(counts_KK.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = _figure(1)
    axes.imshow(shares_KK, vmin=0, vmax=1, cmap="Blues")
    for row, column in np.ndindex(*counts_KK.shape):
        share = shares_KK[row, column]
        axes.text(
            column, row, f"{counts_KK[row, column]}\n{share:.0%}", ha="center", va="center", fontsize=9,
            color="white" if share > 0.5 else "black",
        )  # fmt: skip
    axes.set(title="confusion", xlabel="predicted", ylabel="known")
    axes.set_xticks(range(len(classes)), [_name(name) for name in classes])
    axes.set_yticks(range(len(classes)), [_name(name) for name in classes])
    return _save(figure, out)


@_literally
def plot_curves(
    truth_N: Sequence[str], probability_NK: NDArray[np.floating], classes: Sequence[str], out: Path
) -> Path:
    """Draw ROC and precision over recall, one class against the others."""
    figure, (roc, pr) = _figure(2)
    known_N = np.asarray(truth_N)
    for index, name in enumerate(classes):
        is_class_N = known_N == name
        if is_class_N.all() or not is_class_N.any():
            continue
        wrong, right, _ = roc_curve(is_class_N, probability_NK[:, index])
        precision, recall, _ = precision_recall_curve(is_class_N, probability_NK[:, index])
        roc.plot(wrong, right, label=_name(name))
        pr.plot(recall, precision, label=_name(name))
    roc.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    pr.set(title="precision over recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    for axes in (roc, pr):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    return _save(figure, out)


@_literally
def plot_ious(ious: Sequence[float], out: Path) -> Path:
    """Draw how many located images have which box IoU; a miss is 0."""
    figure, (axes,) = _figure(1)
    axes.hist(ious, bins=np.linspace(0, 1, BINS + 1).tolist(), color="#ff8c00", edgecolor="white")
    axes.axvline(float(np.mean(ious)), color="black", linewidth=1, label=f"mean {np.mean(ious):.3f}")
    axes.set(title="box IoU of located images", xlabel="IoU", ylabel="images")
    axes.legend(fontsize=8)
    return _save(figure, out)


@_literally
def plot_table(
    title: str, rows: Sequence[tuple[str, Mapping[str, Estimate]]], metrics: Sequence[str], out: Path
) -> Path:
    """Draw a bench's methods: means with their intervals over trainings, and the paper's own numbers as crosses.

    Args:
        title: of the whole figure.
        rows: methods with their estimates by metric, the first on top.
        metrics: one panel each.
        out: SVG file to write.
    """
    figure, panels = _figure(len(metrics), width=3.2, height=1.2 + 0.32 * len(rows))
    places = list(range(len(rows)))[::-1]
    for axes, metric in zip(panels, metrics, strict=True):
        for place, (_, estimates) in zip(places, rows, strict=True):
            value = estimates[metric]
            if value.mean is not None:
                axes.errorbar(value.mean, place, xerr=value.ci95 or 0.0, fmt="o", color="#ff8c00", capsize=3)
            if value.paper is not None:
                axes.plot(value.paper, place, "x", color="grey")
        axes.set(title=metric, xlim=(0, 1.02), ylim=(-0.6, len(rows) - 0.4))
        names = [method for method, _ in rows] if axes is panels[0] else [""] * len(rows)
        axes.set_yticks(places, names, fontsize=8)
        axes.grid(axis="x", linewidth=0.3)
    shown = any(estimates[metric].paper is not None for _, estimates in rows for metric in metrics)
    note = "; x: the paper, its own split" if shown else ""
    figure.suptitle(f"{title} (mean, 95% interval over trainings{note})", fontsize=10)
    return _save(figure, out)


@_literally
def plot_learning(
    curves: Sequence[tuple[str, Sequence[tuple[float, float, float, float | None]]]],
    reference: float | None,
    out: Path,
) -> Path:
    """Draw how strategies learn: IoU over locations, and over the minutes that people spent.

    Args:
        curves: of each strategy its points: locations, minutes, IoU, half the width of its interval.
        reference: IoU with all boxes.
        out: SVG file to write.
    """
    figure, panels = _figure(2)
    for axes, column, label in zip(panels, (0, 1), ("known locations", "minutes of review"), strict=True):
        for name, points in curves:
            values = [point[2] for point in points]
            halves = [point[3] or 0.0 for point in points]
            axes.errorbar([point[column] for point in points], values, yerr=halves, marker="o", capsize=2, label=name)
        if reference is not None:
            axes.axhline(reference, color="grey", linewidth=0.8, linestyle=":", label="all boxes")
        axes.set(xlabel=label, ylabel="box IoU of held-out images")
        axes.grid(linewidth=0.3)
    panels[0].legend(fontsize=8)
    figure.suptitle("mean over seeds, 95% interval", fontsize=10)
    return _save(figure, out)


def _figure(count: int, *, width: float = 5.2, height: float = 3.8) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    # Without pyplot there is no state and no window.
    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    return figure, tuple(axes)


def _save(figure: Any, out: Path) -> Path:
    from matplotlib import rc_context

    # Ids drawn from the content, and no date: the same numbers give the same file.
    with rc_context({"svg.hashsalt": "partly"}), replacing(out, durable=False) as draft:
        figure.savefig(draft, format="svg", metadata={"Date": None})
    return out
