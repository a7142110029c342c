"""Draws the pictures of the tutorials and explanations, from phantoms and simulated scores.

    python docs/pictures.py

The picture of the report is a screenshot of the tutorial's own:
chromium --headless --window-size=1100,1250 --screenshot=docs/images/report.png reports/run-1/index.html
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from annotator.datasets.phantoms import make_phantom
from db.records import Box
from learner.inference.certified_tau import certify_tau, delta_of_attempt, precision_lower_bound

IMAGES = Path(__file__).parent / "images"
GREEN, ORANGE, BLUE, GREY = "#1b7837", "#d95f02", "#2166ac", "#777777"
PROMISED, CONFIDENCE = 0.85, 0.8
DELTA = delta_of_attempt(1 - CONFIDENCE, 1)
"""What a first attempt may use of the chance of a wrong promise."""


def _box(axes: Axes, box: Box, color: str, style: str = "-") -> None:
    corner = (box.x, box.y)
    axes.add_patch(Rectangle(corner, box.width, box.height, fill=False, edgecolor=color, linewidth=2, linestyle=style))


def draw_supervision() -> Path:
    """Draw one phantom for each thing that can be known of a location."""
    rng = np.random.default_rng(11)
    shown = [
        ("malignant", "class and box known", "known"),
        ("benign", "class known, location not known", "unknown"),
        ("normal", "known: nothing to find", "empty"),
        ("benign", "class known, location proposed", "proposed"),
    ]
    figure, all_axes = plt.subplots(1, 4, figsize=(11, 3.4), dpi=120, layout="constrained")
    for axes, (class_name, what, state) in zip(all_axes, shown, strict=True):
        phantom = make_phantom(class_name, rng)
        axes.imshow(phantom.image_HW, cmap="gray", vmin=0, vmax=255, aspect="auto")
        axes.set_title(f"{class_name}\n{what}", fontsize=9)
        axes.set_xticks([], [])
        axes.set_yticks([], [])
        for box in phantom.boxes:
            if state == "known":
                _box(axes, box, GREEN)
            elif state == "proposed":
                _box(axes, Box(box.x - 3, box.y + 2, box.width + 5, box.height - 1), ORANGE)
    place = IMAGES / "supervision.png"
    figure.savefig(place)
    plt.close(figure)
    return place


def calibration(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores of images, and whether what was proposed is right: the surer, the more often."""
    rng = np.random.default_rng(seed)
    score_N = rng.beta(4, 1.6, count)
    correct_N = rng.random(count) < np.clip(0.25 + 0.78 * score_N, 0, 0.985)
    return score_N, correct_N


def draw_certificate() -> Path:
    """Draw how tau is found: sixty reviewed images by score, and what can be promised above each threshold."""
    score_N, correct_N = calibration(60, seed=0)
    found = certify_tau(score_N, correct_N, precision=PROMISED, delta=DELTA)
    figure, (above, below) = plt.subplots(2, 1, figsize=(8.4, 5.6), dpi=120, sharex=True, height_ratios=[1, 2])
    height_N = np.random.default_rng(0).uniform(-0.4, 0.4, len(score_N))
    for right, color, marker, label in ((True, GREEN, "o", "proposal right"), (False, ORANGE, "X", "proposal wrong")):
        chosen_N = correct_N == right
        above.scatter(score_N[chosen_N], height_N[chosen_N], c=color, marker=marker, s=42, label=label)
    above.set_ylim(-0.7, 0.7)
    above.set_yticks([], [])
    above.set_title(f"{len(score_N)} reviewed images, each at its score", fontsize=10, loc="left")
    above.legend(loc="lower left", fontsize=8, frameon=True)
    taus = np.linspace(score_N.min(), np.sort(score_N)[-4], 200)
    counts = [(int((score_N > tau).sum()), int(((score_N > tau) & ~correct_N).sum())) for tau in taus]
    share = [1 - errors / accepted for accepted, errors in counts]
    bound = [precision_lower_bound(accepted, errors, DELTA) for accepted, errors in counts]
    below.step(taus, share, color=GREEN, where="post", label="right among the images above the threshold")
    below.step(
        taus,
        bound,
        color=BLUE,
        where="post",
        label=f"what can be promised of it ({CONFIDENCE:.0%} sure, first attempt)",
    )
    below.axhline(PROMISED, color=GREY, linestyle=":")
    below.text(0.995, PROMISED + 0.006, f"promised: {PROMISED:.0%}", color=GREY, fontsize=8, ha="right",
               transform=below.get_yaxis_transform())  # fmt: skip
    for axes in (above, below):
        axes.axvline(found.tau, color="black", linewidth=1.4)
    below.text(found.tau + 0.006, 0.52, f"tau = {found.tau:.2f}: {found.accepted} images above,\n{found.errors} wrong",
               fontsize=9)  # fmt: skip
    below.set_ylim(0.5, 1.02)
    below.set_xlabel("score, and threshold")
    below.set_ylabel("share that is right")
    below.legend(loc="lower left", fontsize=8, frameon=True)
    figure.tight_layout()
    place = IMAGES / "certificate.png"
    figure.savefig(place)
    plt.close(figure)
    return place


if __name__ == "__main__":
    for made in (draw_supervision(), draw_certificate()):
        print(f"drawn: {made}")
