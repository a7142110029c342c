"""Rounds of the loop as records: what each knew, trained, asked, and what people said since. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from db.records import ReviewRecord, RunRecord, Split
from db.records.asked import NewRound, Part, QueryRecord, RoundRecord
from db.records.certificates import CertificateKind
from db.registry import Registry, Transaction
from learner.errors import DataInvalid

NO_ROUND = "no round has trained anything yet; run one with: partly round --strategy typical"


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """Summary of one round."""

    round: int
    run: str | None
    """The run it trained; None if no location was known yet."""
    snapshot: str | None
    """Snapshot of the registry that the run was trained on."""
    seed: int | None
    begun: str
    located: int
    """Images outside test and validation whose location was known."""
    reviews: int
    """Since the previous round."""
    minutes: float | None
    """Time that these took, as far as it is known."""
    iou: float | None
    """Of the run, on the validation images of that time."""
    ap50_all: float | None
    auc: float | None
    tau: float | None
    """Certified for boxes; None if none was."""
    query: int | None
    strategy: str | None
    asked: dict[str, int]
    """Images by part of the query."""
    answered: int
    """How many of these images have a location now."""


def note_round(registry: Registry, run: RunRecord | None, query_id: int | None) -> RoundRecord | None:
    """Store a round, unless it is the last one, repeated.

    Args:
        registry: where it was made.
        run: what it trained, or would have trained had it not been trained before.
        query_id: what it asked; None where it made no query.

    Returns:
        The round; None where nothing new was done.
    """
    run_id = run.id if run is not None else None
    with registry.begin() as tx:
        rounds = tx.asked.rounds()
        last = rounds[-1] if rounds else None
        if query_id is None and (run_id is None or (last is not None and last.run_id == run_id)):
            return None
        reviews = _since(tx.reviews.all(), last)
        known = [review.seconds for review in reviews if review.seconds is not None]
        return tx.asked.add_round(
            NewRound(
                run_id=run_id,
                query_id=query_id,
                located=tx.images.count(splits=[Split.TRAIN, None], located=True),
                reviews=len(reviews),
                minutes=sum(known) / 60 if known else None,
            )
        )


def _since(reviews: Sequence[ReviewRecord], last: RoundRecord | None) -> list[ReviewRecord]:
    return [review for review in reviews if last is None or review.created_at > last.created_at]


def list_rounds(registry: Registry) -> list[RoundSummary]:
    """Return all rounds, oldest first."""
    with registry.read() as tx:
        waiting = tx.asked.waiting()
        queries = {query.id: query for query in tx.asked.history()}
        return [
            _summary(tx, item, queries.get(item.query_id) if item.query_id is not None else None, waiting)
            for item in tx.asked.rounds()
        ]


def _summary(tx: Transaction, item: RoundRecord, query: QueryRecord | None, waiting: set[int]) -> RoundSummary:
    run = tx.runs.get(item.run_id) if item.run_id is not None else None
    val = (run.metrics.get("val") or {}) if run is not None else {}
    certificate = tx.certificates.of_run(run.id).get(CertificateKind.BOXES) if run is not None else None
    questions = query.questions if query is not None else ()
    return RoundSummary(
        round=item.id,
        run=run.name if run is not None else None,
        snapshot=run.snapshot if run is not None else None,
        seed=run.config.get("seed") if run is not None else None,
        begun=f"{item.created_at:%Y-%m-%d %H:%M}",
        located=item.located,
        reviews=item.reviews,
        minutes=item.minutes,
        iou=val.get("localization", {}).get("iou"),
        ap50_all=val.get("localization", {}).get("ap50_all"),
        auc=val.get("classification", {}).get("auc"),
        tau=certificate.tau if certificate is not None else None,
        query=query.id if query is not None else None,
        strategy=query.strategy if query is not None else None,
        asked={part.value: sum(question.part is part for question in questions) for part in Part},
        answered=sum(question.image not in waiting for question in questions),
    )


def check_rounds(registry: Registry) -> None:
    """Check that a round was made, which a learning curve rests on.

    Raises:
        DataInvalid: there is none.
    """
    if not any(found.run for found in list_rounds(registry)):
        raise DataInvalid(NO_ROUND)
