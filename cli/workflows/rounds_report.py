"""The page about the rounds: what people did comes from the annotator's side, the curve from the learner's."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from annotator.review_statistics import ReviewSummary, summarize_reviews
from db.progress import Progress
from db.records import ReviewOutcome, ReviewRecord
from db.registry import Registry
from learner.errors import DataInvalid
from learner.query.plan_rounds import LoopPlan, plan_rounds
from learner.query.rounds import list_rounds
from learner.reporting.rounds_page import ReviewNumbers, ScoreRow, ShownRow, write_rounds_page


@dataclass(frozen=True, slots=True)
class RoundsReport:
    """What was written."""

    page: Path
    rounds: int
    reviews: int
    advice: str | None
    """None if there is nothing to base it on yet."""


def write_rounds_report(registry: Registry, out: Path, *, title: str, progress: Progress) -> RoundsReport:
    """Write the page about all rounds so far, into a folder.

    Raises:
        RegistryError, LearnerError: as measuring the rounds' runs does.
    """
    rounds = list_rounds(registry)
    plan: LoopPlan | None = None
    try:
        plan = plan_rounds(registry, progress=progress)
    except DataInvalid as exc:
        progress.say(f"no learning curve: {exc}")
    with registry.read() as tx:
        reviews = tx.reviews.all()
        newest = next((item.run_id for item in reversed(tx.asked.rounds()) if item.run_id is not None), None)
        certificates = tx.certificates.of_run(newest).values() if newest is not None else ()
    numbers = review_numbers(summarize_reviews(registry, limit=0), reviews)
    promises = [f"{found.run_name}: {found.promise}" for found in certificates]
    page = write_rounds_page(out / "rounds.html", title, rounds, numbers, plan, promises)
    return RoundsReport(page, len(rounds), numbers.reviews, plan.advice if plan is not None else None)


def review_numbers(summary: ReviewSummary, reviews: list[ReviewRecord]) -> ReviewNumbers:
    """Take from the reviews what the page shows."""
    drawn = _seconds(reviews, ReviewOutcome.DRAWN)
    proposed = _seconds(reviews, ReviewOutcome.ACCEPTED, ReviewOutcome.EDITED)
    return ReviewNumbers(
        reviews=summary.reviews,
        minutes=summary.minutes,
        people=len(summary.reviewers),
        by_score=tuple(
            ScoreRow(f"{item.low:.1f} to {item.high:.1f}", item.n, item.accepted, item.edited, item.rejected)
            for item in summary.by_score
        ),
        shown=tuple(
            ShownRow(item.group == "proposed", item.reviews, item.agreed, item.seconds) for item in summary.control
        ),
        drawn_seconds=fmean(drawn) if drawn else None,
        proposed_seconds=fmean(proposed) if proposed else None,
        proposed=len(proposed),
    )


def _seconds(reviews: list[ReviewRecord], *outcomes: ReviewOutcome) -> list[float]:
    return [review.seconds for review in reviews if review.outcome in outcomes and review.seconds is not None]
