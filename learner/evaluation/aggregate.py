"""Rows of images -> the numbers of a report: pure. Also by class, and by the size of the lesion."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from db.records import Box
from learner.evaluation.metrics import average_precision, classification_metrics

Row = Mapping[str, Any]

SIZES = (("small", 0.0, 0.05), ("medium", 0.05, 0.2), ("large", 0.2, np.inf))
"""Lesions by the share of the image that their boxes cover: name, from, to below."""


def summarize_results(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, Any]:
    """Turn rows into the report that `partly evaluate` prints.

    Localization counts the images with a known lesion, a miss as 0; images known to be empty are counted apart. What
    a method does not answer is not measured, rather than counted as wrong.

    Args:
        rows: as `learner.evaluation.per_image` writes them.
        classes: names in the order of the probabilities.

    Returns:
        n, classification, localization, empty: see the command line's contract; `strata`: the same metrics by class
        and by size of the lesion.
    """
    empty = [row for row in rows if row["lesion"] is False]
    drawn = [bool(row["boxes"]) for row in empty if row["boxes"] is not None]
    return {
        "n": len(rows),
        "classification": _classification(rows, classes),
        "localization": _localization(rows),
        "empty": {"n": len(empty), "false_positive_rate": sum(drawn) / len(drawn) if drawn else None},
        "strata": _strata(rows),
    }


def _classification(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, float | None]:
    index = {name: n for n, name in enumerate(classes)}
    told = [row for row in rows if row["probability"] is not None and row["truth"] in index]
    truth_N = np.array([index[row["truth"]] for row in told], dtype=np.int64)
    return classification_metrics(truth_N, np.array([row["probability"] for row in told]))


def _localization(rows: Sequence[Row]) -> dict[str, Any]:
    located = [row for row in rows if row["lesion"]]
    answered = [row for row in located if row["boxes"] is not None]
    return {
        "n": len(located),
        **{name: mean(row[name] for row in answered) for name in ("iou", "dice")},
        "ap50": average_precision(
            [_boxes(row["truth_boxes"]) for row in answered],
            [_boxes(row["boxes"]) for row in answered],
            [row["score"] for row in answered],
        ),
        **{name: mean(row[name] for row in answered) for name in ("mask_iou", "mask_dice")},
    }


def _strata(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    names = sorted({row["truth"] for row in rows if row["truth"] is not None})
    by_class = {name: [row for row in rows if row["truth"] == name] for name in names}
    by_size = {
        name: [row for row in rows if row["lesion_share"] is not None and low <= row["lesion_share"] < high]
        for name, low, high in SIZES
    }
    return {
        kind: {
            name: {"n": len(members), "accuracy": mean(row["right"] for row in members)}
            | {key: value for key, value in _localization(members).items() if key != "n"}
            for name, members in strata.items()
            if members
        }
        for kind, strata in (("class", by_class), ("size", by_size))
    }


def _boxes(numbers: Iterable[Sequence[float]]) -> list[Box]:
    return [Box(*box) for box in numbers]


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
