"""review: the queue, and what became of what was in it."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.command import command
from cli.context import Workspace


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "review")(review)


def review(
    work: Workspace,
    limit: Annotated[int, typer.Option(metavar="N", help="Show so many of the queue, surest first.")] = 10,
) -> None:
    """Show what waits for review, what became of proposals by score, minutes spent, and how far people agree."""
    from annotator.review_summary import agreements, influences, reviewer_summaries, score_bins

    with work.registry.read() as tx:
        counts = tx.status.count().proposals
        waiting = tx.proposals.pending(limit=max(limit, 0))
        images = {image.id: image for image in tx.images.select(ids=[proposal.image_id for proposal in waiting])}
        reviews = tx.reviews.all()
        said = tx.reviews.statements([item.id for item in reviews])
        held_back = tx.proposals.newest_for(tx.connections.control_images())
    bins, people, pairs = score_bins(reviews), reviewer_summaries(reviews), agreements(reviews, said)
    groups = influences(reviews, said, held_back)
    queue = [
        {
            "image": item.image_id,
            "path": str(images[item.image_id].path),
            "class": item.class_name,
            "score": item.score,
            "run": item.run_name,
        }
        for item in waiting
    ]
    document: dict[str, Any] = {
        "pending": counts["pending"],
        "queue": queue,
        "outcomes": {name: count for name, count in counts.items() if name != "pending"},
        "reviews": len(reviews),
        "minutes": sum(person.minutes for person in people),
        "by_score": [asdict(item) | {"accept_rate": item.accept_rate} for item in bins],
        "reviewers": [asdict(person) for person in people],
        "agreement": [asdict(pair) for pair in pairs],
        "control": [asdict(group) for group in groups],
    }
    work.output.line(
        f"{counts['pending']} proposals wait for review; {len(reviews)} reviews, {document['minutes']:.1f} minutes"
    )
    tables: list[Any] = []
    if queue:
        tables.append((("image", "path", "class", "score", "run"), [tuple(item.values()) for item in queue]))
    if bins:
        rows = [
            (f"{item.low:.1f} to {item.high:.1f}", item.n, item.accepted, item.edited, item.rejected,
             item.accept_rate, item.iou)
            for item in bins
        ]  # fmt: skip
        tables.append((("score", "reviews", "accepted", "edited", "rejected", "accept rate", "IoU kept"), rows))
    if people:
        told = [
            (p.reviewer, p.reviews, p.minutes, ", ".join(f"{n} {what}" for what, n in p.outcomes.items()))
            for p in people
        ]
        tables.append((("reviewer", "reviews", "minutes", "outcomes"), told))
    if pairs:
        shown = [(p.first, p.second, p.images, p.agreed, p.iou) for p in pairs]
        tables.append((("reviewer", "and", "images of both", "agreed", "IoU"), shown))
    if groups:
        compared = [(g.group, g.reviews, g.iou, g.agreed, g.seconds) for g in groups]
        tables.append((("proposal was", "reviews", "IoU with it", "agreed", "seconds an image"), compared))
    work.output.document(document, *tables)
