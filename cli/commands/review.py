"""review: the queue, and what became of what was in it."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.command import command
from cli.context import Workspace
from cli.output import Table
from db.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annotator.review_statistics import ReviewSummary, ScoreBin


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "review")(review)


def review(
    work: Workspace,
    limit: Annotated[int, typer.Option(metavar="N", help="Number of queue entries to show, highest score first.")] = 10,
) -> None:
    """Show what is waiting for review, and how reviews went.

    Lists the queue, outcomes by score, minutes spent, and agreement between reviewers.
    """
    from annotator.review_statistics import summarize_reviews

    found = summarize_reviews(work.registry, limit=limit)
    work.output.line(
        f"waiting for review: {counted(found.pending, 'proposal')}; done: {counted(found.reviews, 'review')}, "
        f"{found.minutes:.1f} minutes"
    )
    if found.second.wanted:
        left = len(found.second.waiting)
        work.output.line(
            f"two annotators are wanted for {counted(found.second.wanted, 'image')}; still missing for {left}"
        )
    work.output.document(found, *_tables(found))


def _bins(bins: "Sequence[ScoreBin]") -> list[tuple[object, ...]]:
    return [
        (
            f"{item.low:.1f} to {item.high:.1f}",
            item.n,
            item.accepted,
            item.edited,
            item.rejected,
            item.accept_rate,
            item.iou,
        )
        for item in bins
    ]


def _tables(found: "ReviewSummary") -> list[Table]:
    """Lay out as tables what there is to show."""
    tables: list[Table] = [
        (
            ("image", "path", "class", "score", "run", "proposes"),
            [
                (item.image, item.path, item.class_name, item.score, item.run, "nothing" if item.nothing else "boxes")
                for item in found.queue
            ],
        ),
        (
            ("score", "reviews", "accepted", "edited", "rejected", "accept rate", "IoU kept"),
            _bins(found.by_score),
        ),
        (
            ('score of "nothing to find"', "reviews", "accepted", "edited", "rejected", "accept rate", "IoU kept"),
            _bins(found.nothing_by_score),
        ),
        (
            ("reviewer", "reviews", "minutes", "outcomes"),
            [
                (
                    item.reviewer,
                    item.reviews,
                    item.minutes,
                    ", ".join(f"{n} {what}" for what, n in item.outcomes.items()),
                )
                for item in found.reviewers
            ],
        ),
        (
            ("reviewer", "and", "shared images", "agreed", "IoU"),
            [(item.first, item.second, item.images, item.agreed, item.iou) for item in found.agreement],
        ),
        (
            ("proposal was", "reviews", "IoU with it", "agreed", "seconds per image"),
            [(item.group, item.reviews, item.iou, item.agreed, item.seconds) for item in found.control],
        ),
        (
            ("reviewer", "wrong proposals shown", "missed", "IoU with the truth"),
            [(item.reviewer, item.shown, item.missed, item.truth_iou) for item in found.catch.reviewers],
        ),
    ]
    return [table for table in tables if table[1]]
