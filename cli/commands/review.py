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
    limit: Annotated[int, typer.Option(metavar="N", help="Number of queue entries to show, highest score first.")] = 10,
) -> None:
    """Show the review queue, outcomes by score, time spent, and agreement between reviewers."""
    from annotator.review_statistics import (
        agreements,
        catch_summaries,
        influences,
        reviewer_summaries,
        score_bins,
        waiting_for_second,
    )

    with work.registry.read() as tx:
        counts = tx.status.count().proposals
        waiting = tx.proposals.pending(limit=max(limit, 0))
        images = {image.id: image for image in tx.images.select(ids=[proposal.image_id for proposal in waiting])}
        reviews = tx.reviews.all()
        said = tx.reviews.statements([item.id for item in reviews])
        held_back = tx.proposals.newest_for(tx.connections.control_images())
        wanted = tx.connections.readers_wanted()
        planted, answers = tx.trials.count(), tx.trials.reviews()
    people = reviewer_summaries(reviews)
    document: dict[str, Any] = {
        "pending": counts["pending"],
        "queue": [
            {
                "image": item.image_id,
                "path": str(images[item.image_id].path),
                "class": item.class_name,
                "score": item.score,
                "run": item.run_name,
            }
            for item in waiting
        ],
        "outcomes": {name: count for name, count in counts.items() if name != "pending"},
        "reviews": len(reviews),
        "minutes": sum(person.minutes for person in people),
        "by_score": [asdict(item) | {"accept_rate": item.accept_rate} for item in score_bins(reviews)],
        "reviewers": [asdict(person) for person in people],
        "agreement": [asdict(pair) for pair in agreements(reviews, said)],
        "control": [asdict(group) for group in influences(reviews, said, held_back)],
        "second": {"wanted": len(wanted), "waiting": waiting_for_second(wanted, reviews)},
        "catch": {
            "planted": planted,
            "answers": len(answers),
            "missed": sum(answer.missed for answer in answers),
            "reviewers": [asdict(summary) for summary in catch_summaries(answers)],
        },
    }
    work.output.line(
        f"{counts['pending']} proposals wait for review; {len(reviews)} reviews, {document['minutes']:.1f} minutes"
    )
    if wanted:
        left = document["second"]["waiting"]
        work.output.line(f"{len(wanted)} images are for two people; {len(left)} of them wait for somebody")
    work.output.document(document, *_tables(document))


def _tables(document: dict[str, Any]) -> list[Any]:
    """Write what there is as tables for people."""

    def rows(items: list[dict[str, Any]], *keys: str) -> list[tuple[Any, ...]]:
        return [tuple(item[key] for key in keys) for item in items]

    bins = [item | {"range": f"{item['low']:.1f} to {item['high']:.1f}"} for item in document["by_score"]]
    people = [
        item | {"told": ", ".join(f"{n} {what}" for what, n in item["outcomes"].items())}
        for item in document["reviewers"]
    ]
    tables = [
        (
            ("image", "path", "class", "score", "run"),
            rows(document["queue"], "image", "path", "class", "score", "run"),
        ),
        (
            ("score", "reviews", "accepted", "edited", "rejected", "accept rate", "IoU kept"),
            rows(bins, "range", "n", "accepted", "edited", "rejected", "accept_rate", "iou"),
        ),
        (("reviewer", "reviews", "minutes", "outcomes"), rows(people, "reviewer", "reviews", "minutes", "told")),
        (
            ("reviewer", "and", "images of both", "agreed", "IoU"),
            rows(document["agreement"], "first", "second", "images", "agreed", "iou"),
        ),
        (
            ("proposal was", "reviews", "IoU with it", "agreed", "seconds an image"),
            rows(document["control"], "group", "reviews", "iou", "agreed", "seconds"),
        ),
        (
            ("reviewer", "wrong proposals shown", "missed", "IoU with the truth"),
            rows(document["catch"]["reviewers"], "reviewer", "shown", "missed", "truth_iou"),
        ),
    ]
    return [table for table in tables if table[1]]
