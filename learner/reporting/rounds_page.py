"""One page about the loop that a clinician can read: rounds, curve, certificate, reviews, time. No network, no script.

The page is one HTML file that refers to nothing outside it; it follows the reader's light or dark setting, and prints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from db.atomic_write import write_text
from learner.query.plan_rounds import LoopPlan
from learner.query.rounds import RoundSummary

WIDTH, HEIGHT = 640, 300
"""Of the curve, in the units of its drawing."""
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 12, 40
AHEAD = 1.3
"""How far the curve is drawn beyond the last round, as a factor of its locations."""
STEPS = 60


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What became of proposals of one range of scores."""

    scores: str
    n: int
    accepted: int
    edited: int
    rejected: int


@dataclass(frozen=True, slots=True)
class ShownRow:
    """Reviews of images whose proposal was shown, or withheld."""

    shown: bool
    reviews: int
    agreed: int
    """With the proposal: the same place, or nothing, both times."""
    seconds: float | None
    """Mean an image."""


@dataclass(frozen=True, slots=True)
class ReviewNumbers:
    """What people did, as far as the page shows it."""

    reviews: int
    minutes: float
    people: int
    by_score: tuple[ScoreRow, ...]
    shown: tuple[ShownRow, ...]
    """Empty unless proposals were both shown and withheld."""
    drawn_seconds: float | None
    """Mean of a location that was drawn without a proposal; None where none was timed."""
    proposed_seconds: float | None
    """Mean of a proposal that was accepted or corrected."""
    proposed: int
    """How many were timed."""

    @property
    def saved_minutes(self) -> float | None:
        """Time that proposals saved against drawing everything; negative where they cost time."""
        if self.drawn_seconds is None or self.proposed_seconds is None:
            return None
        return self.proposed * (self.drawn_seconds - self.proposed_seconds) / 60


def write_rounds_page(
    out: Path,
    title: str,
    rounds: Sequence[RoundSummary],
    reviews: ReviewNumbers,
    plan: LoopPlan | None,
    promises: Sequence[str],
) -> Path:
    """Write the page.

    Args:
        out: HTML file; its folder is made where it is missing.
        title: of the project.
        rounds: oldest first.
        reviews: what people did.
        plan: learning curve and advice; None where there is nothing to judge by yet.
        promises: what is certified about the newest run, in words.
    """
    environment = Environment(loader=PackageLoader(__package__), autoescape=True)
    environment.filters["number"] = lambda value: "-" if value is None else f"{value:.2f}"
    environment.filters["minutes"] = lambda value: "-" if value is None else f"{value:.0f} min"
    page = environment.get_template("rounds.html.j2").render(
        title=title,
        rounds=rounds,
        last=next((item for item in reversed(rounds) if item.run is not None), None),
        reviews=reviews,
        plan=plan,
        now=plan.points[-1] if plan is not None and plan.points else None,
        curve=Markup(draw_curve(plan)) if plan is not None else None,
        promises=promises,
    )
    write_text(out, page)
    return out


def draw_curve(plan: LoopPlan) -> str:
    """Draw IoU over known locations: the rounds with their intervals, and the curve through them.

    Returns:
        An SVG element whose colours are the page's.
    """
    most = max(point.located for point in plan.points) * AHEAD or 1.0

    def x(located: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * located / most

    def y(iou: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(1.0, max(0.0, iou)))

    parts = []
    for tenth in range(0, 11, 2):
        level = tenth / 10
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level:g}</text>')
    if plan.curve is not None:
        first = min(point.located for point in plan.points)
        steps = [first + (most - first) * n / STEPS for n in range(STEPS + 1)]
        line = " ".join(f"{x(at):.1f},{y(plan.curve.iou(at)):.1f}" for at in steps)
        parts.append(f'<polyline class="curve" points="{line}"/>')
    for point in plan.points:
        at = x(point.located)
        parts.append(
            f'<line class="interval" x1="{at:.1f}" x2="{at:.1f}" y1="{y(point.low):.1f}" y2="{y(point.high):.1f}"/>'
        )
        parts.append(f'<circle class="round" cx="{at:.1f}" cy="{y(point.iou):.1f}" r="5"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{point.located}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 4}" text-anchor="middle">images with a known location</text>')
    label = "Overlap of the model's boxes with the true ones (IoU) after each round"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
