"""partly beside what people would pick instead: same images, same split, same boxes, same time on the same machine.

    python benchmarks/peers.py FOLDER --out DIR [--minutes 15] [--shares 0.1 0.25] [--seeds 3] [--only NAME ...]

FOLDER is a data set in the csv layout. Every method learns from the same share of the known locations and is tested
once on the same test images. What was done is kept in DIR: an interrupted comparison goes on, --only adds a method.
YOLO (ultralytics, AGPL-3.0) is installed into an environment of its own below DIR, or the one that --environment names.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from peer_methods import faster_rcnn, own, yolo
from peer_methods.answers import Answer, Outcome, read_outcome, rows_of, write_outcome
from peer_methods.task import Task, make_task, open_project
from rich.console import Console
from rich.table import Table

from db.progress import SilentProgress
from db.registry import Registry
from learner.config import parse_overrides
from learner.evaluation.aggregate import summarize_results
from learner.evaluation.comparison import MethodRuns, images_of, mean_statistic
from learner.evaluation.significance import statistic_interval

LICENCES = {"YOLO": "AGPL-3.0", "Faster R-CNN": "BSD-3-Clause", "U-Net": "MIT", "DeepLabV3": "MIT"}
REFERENCE = "default"
COMPARED = (("IoU", "iou", "shown"), ("AP50, all images", "ap50_all", "ranked"))
"""Column, metric, and which rows it is worked out on."""
Found = Mapping[str, Sequence[Outcome]]


def run_detector(
    name: str, share: float, task: Task, train: Callable[[], tuple[Sequence[Answer], str, str]], shown_from: float
) -> Outcome:
    """Train a detector and measure what it answers."""
    begun = time.monotonic()
    answers, weights, steps = train()
    minutes = (time.monotonic() - begun) / 60
    shown, ranked = rows_of(answers, task.test, task.classes, task.empty, shown_from=shown_from)
    return Outcome(name, share, task.seed, minutes, weights, steps, task.classes, tuple(shown), tuple(ranked))


def run_yolo(size: int, environment: Path, weights: Path | None, share: float, task: Task) -> Outcome:
    """Train YOLO at one size, in its own environment, and measure what it answers."""
    return run_detector(
        f"YOLO, {size} px",
        share,
        task,
        lambda: yolo.train(task, yolo.environment(environment), size, weights),
        yolo.SHOWN_FROM,
    )


def run_own(registry: Registry, overrides: Mapping[str, str], name: str, share: float, task: Task) -> Outcome:
    """Train one of partly's own methods and score it."""
    config = own.configure(name, share, task.seed, overrides)
    evaluation, weights, steps, minutes = own.train(registry, config, task.minutes, SilentProgress())
    rows = evaluation.rows
    return Outcome(name, share, task.seed, minutes, weights, steps, evaluation.classes, rows, rows)


def methods(registry: Registry, given: argparse.Namespace, out: Path) -> dict[str, Callable[[float, Task], Outcome]]:
    """Name every method, and how it is trained."""
    found: dict[str, Callable[[float, Task], Outcome]] = {}
    overrides = parse_overrides(given.settings)
    for name in own.METHODS:
        found[name] = partial(run_own, registry, overrides, name)
    found["Faster R-CNN"] = lambda share, task: run_detector(
        "Faster R-CNN", share, task, lambda: faster_rcnn.train(task), faster_rcnn.SHOWN_FROM
    )
    environment = given.environment or out / "yolo-environment"
    for size in given.yolo_sizes:
        found[f"YOLO, {size} px"] = partial(run_yolo, size, environment, given.yolo_weights)
    return found


def difference(ours: Sequence[Outcome], theirs: Sequence[Outcome], metric: str, rows: str, task: Task) -> str:
    """Write our lead over another method, seeds averaged, with its 95% interval over groups of test images."""
    one, other = (
        MethodRuns([getattr(outcome, rows) for outcome in outcomes], outcomes[0].classes) for outcomes in (ours, theirs)
    )
    ids = sorted(images_of(one, metric) & images_of(other, metric))
    first, second = mean_statistic(one, metric, ids), mean_statistic(other, metric, ids)
    if not ids or first is None or second is None:
        return ""

    def lead(weights_N: object) -> float | None:
        a, b = first(weights_N), second(weights_N)  # type: ignore[arg-type]
        return None if a is None or b is None else a - b

    found = statistic_interval(lead, [task.groups[key] for key in ids])
    if found is None:
        return ""
    return f"{fmean([found[0], found[1]]):+.3f} ({found[0]:+.3f} to {found[1]:+.3f})"


def table(share: float, found: Found, task: Task) -> tuple[Table, list[dict[str, object]]]:
    """Put the methods side by side."""
    shown = Table(title=f"{share:.0%} of the boxes, {task.minutes:g} minutes a training, {len(task.test)} test images")
    for column in ("method", "licence", "starts from", "minutes", "length", "seeds", "IoU", "AP50", "AUC"):
        shown.add_column(column)
    for column, _, _ in COMPARED:
        shown.add_column(f"lead of {REFERENCE}: {column}")
    documents: list[dict[str, object]] = []
    for name, outcomes in found.items():
        values: dict[str, list[float | None]] = {"iou": [], "ap50_all": [], "auc": []}
        for outcome in outcomes:
            of_shown = summarize_results(outcome.shown, outcome.classes)
            of_ranked = summarize_results(outcome.ranked, outcome.classes)
            values["iou"].append(of_shown.localization.iou)
            values["ap50_all"].append(of_ranked.localization.ap50_all)
            values["auc"].append(of_shown.classification.auc)
        means = {
            key: fmean(known) if (known := [v for v in of if v is not None]) else None for key, of in values.items()
        }
        leads = [
            difference(found[REFERENCE], outcomes, metric, rows, task)
            if REFERENCE in found and name != REFERENCE
            else ""
            for _, metric, rows in COMPARED
        ]
        licence = next((text for start, text in LICENCES.items() if name.startswith(start)), "this project's")
        minutes = fmean(outcome.minutes for outcome in outcomes)
        written = ["" if value is None else f"{value:.3f}" for value in means.values()]
        shown.add_row(
            name,
            licence,
            outcomes[0].weights,
            f"{minutes:.1f}",
            outcomes[0].steps,
            str(len(outcomes)),
            *written,
            *leads,
        )
        documents.append(
            {"method": name, "share": share, "minutes": minutes, "weights": outcomes[0].weights}
            | {"seeds": values, "means": means, "leads": dict(zip([one[1] for one in COMPARED], leads, strict=True))}
        )
    return shown, documents


def main() -> int:
    """Train what was not trained before, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.25])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="methods to train; what was done before is shown too")
    parser.add_argument("--yolo-sizes", type=int, nargs="+", default=[640, 256])
    parser.add_argument("--yolo-weights", type=Path, help="its pretrained weights (yolo11n.pt); without: from scratch")
    parser.add_argument("--environment", type=Path, help="folder of the environment that has ultralytics")
    parser.add_argument("--set", action="append", default=[], dest="settings", help="setting of partly's own methods")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    given = parser.parse_args()
    registry = open_project(given.data, given.out, SilentProgress())
    known = methods(registry, given, given.out)
    unknown = set(given.only or ()) - set(known)
    if unknown:
        parser.error(f"there is no method {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    console, documents = Console(), []
    for share in given.shares:
        found: dict[str, list[Outcome]] = {}
        for name, train in known.items():
            for seed in range(given.seeds):
                folder = given.out / "trained" / f"{name}, {share:g}, {seed}"
                task = make_task(registry, share, seed, given.minutes, folder)
                outcome = read_outcome(folder / "outcome.json")
                if outcome is None and (given.only is None or name in given.only):
                    folder.mkdir(parents=True, exist_ok=True)
                    console.print(f"{name}: {share:.0%} of the boxes, seed {seed}")
                    try:
                        outcome = train(share, task)
                    except (yolo.NotInstalled, subprocess.CalledProcessError) as exc:
                        console.print(f"{name} was not run: {exc}")
                        break
                    write_outcome(folder / "outcome.json", outcome)
                if outcome is not None:
                    found.setdefault(name, []).append(outcome)
        if found:
            shown, numbers = table(share, found, task)
            console.print(shown)
            documents += numbers
    if given.json is not None:
        given.json.write_text(json.dumps(documents, indent=1), encoding="utf-8")
    registry.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
