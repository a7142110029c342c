"""Proposals: locations that runs suggest. None becomes a label without a review."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session, aliased

from db.queries.bulk import chunks, insert_rows, reserve_ids
from db.queries.labels import box_columns
from db.queries.status import is_pending, stands
from db.records import Box, NewProposal, ProposalRecord, ReviewOutcome
from db.tables import Image, ImageClass, Proposal, ProposalBox, Review, now


class ProposalQueries:
    """Proposals of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        proposals: Sequence[NewProposal],
        *,
        run_id: int,
        tau: float,
        gate: str,
        certificate_id: int | None = None,
    ) -> int:
        """Store a run's proposals and return how many were new.

        A run proposes once for an image: a proposal that is there already stays as it is.

        Args:
            proposals: what it suggests.
            run_id: the run.
            tau: what their scores are above.
            gate: what the scores are.
            certificate_id: the certificate that promises how many of them are right, where there is one.

        Raises:
            Conflict: one of the images is in the test split, for which nothing is ever proposed.
        """
        known: set[int] = set()
        for ids in chunks([proposal.image_id for proposal in proposals]):
            of_run = select(Proposal.image_id).where(Proposal.run_id == run_id, Proposal.image_id.in_(ids))
            known.update(self._session.scalars(of_run))
        new = [proposal for proposal in proposals if proposal.image_id not in known]
        if not new:
            return 0
        classes = {row[0]: row[1] for row in self._session.execute(select(ImageClass.name, ImageClass.id))}
        numbers = reserve_ids(self._session, Proposal, len(new))
        at = now()
        rows = [
            {
                "id": proposal_id,
                "image_id": proposal.image_id,
                "run_id": run_id,
                "class_id": classes[proposal.class_name],
                "class_probability": proposal.class_probability,
                "known_class_probability": proposal.known_class_probability,
                "presence": proposal.presence,
                "score": proposal.score,
                "tau": tau,
                "gate": gate,
                "certificate_id": certificate_id,
                "created_at": at,
            }
            for proposal_id, proposal in zip(numbers, new, strict=True)
        ]
        insert_rows(self._session, Proposal, rows)
        boxes = [
            {"proposal_id": proposal_id, "ordinal": n, "score": score, **box_columns(box)}
            for proposal_id, proposal in zip(numbers, new, strict=True)
            for n, (box, score) in enumerate(
                zip(proposal.boxes, proposal.box_scores or [None] * len(proposal.boxes), strict=True)
            )
        ]
        insert_rows(self._session, ProposalBox, boxes)
        return len(new)

    def pending(self, *, limit: int | None = None) -> list[ProposalRecord]:
        """Return the proposals awaiting review (at most `limit`), highest score first."""
        return self._select(is_pending(), limit=limit)

    def pending_for(self, image_ids: Iterable[int]) -> list[ProposalRecord]:
        """Return the proposals for these images that await review."""
        found: list[ProposalRecord] = []
        for chunk in chunks(sorted(set(image_ids))):
            found += self._select(and_(is_pending(), Proposal.image_id.in_(chunk)))
        return found

    def newest_for(self, image_ids: Iterable[int]) -> dict[int, ProposalRecord]:
        """Return the newest run's proposal for each of these images that has one."""
        found: dict[int, ProposalRecord] = {}
        for chunk in chunks(sorted(set(image_ids))):
            for proposal in sorted(self._select(Proposal.image_id.in_(chunk)), key=lambda item: item.run_id):
                found[proposal.image_id] = proposal
        return found

    def of_run(self, run_id: int, image_ids: Iterable[int] | None = None) -> list[ProposalRecord]:
        """Return a run's proposals (for these images), highest score first."""
        if image_ids is None:
            return self._select(Proposal.run_id == run_id)
        found: list[ProposalRecord] = []
        for chunk in chunks(sorted(set(image_ids))):
            found += self._select(and_(Proposal.run_id == run_id, Proposal.image_id.in_(chunk)))
        return found

    def rejected_for(self, image_ids: Iterable[int]) -> set[int]:
        """Return those of these images that have a proposal which a reviewer rejected."""
        later = aliased(Review)
        last = ~exists().where(later.proposal_id == Review.proposal_id, later.id > Review.id, stands(later))
        rejected = and_(Review.outcome == ReviewOutcome.REJECTED, stands(Review), last)
        found: set[int] = set()
        for chunk in chunks(sorted(set(image_ids))):
            statement = select(Proposal.image_id).join(Review, Review.proposal_id == Proposal.id)
            found |= set(self._session.scalars(statement.where(rejected, Proposal.image_id.in_(chunk))))
        return found

    def by_id(self, ids: Iterable[int]) -> dict[int, ProposalRecord]:
        """Return these proposals by id."""
        found: dict[int, ProposalRecord] = {}
        for chunk in chunks(sorted(set(ids))):
            records = self._select(Proposal.id.in_(chunk))
            found.update((record.id, record) for record in records)
        return found

    def of_image(self, image_id: int) -> list[ProposalRecord]:
        """Return all proposals for an image, highest score first."""
        return self._select(Proposal.image_id == image_id)

    def _select(self, condition: ColumnElement[bool], *, limit: int | None = None) -> list[ProposalRecord]:
        statement = (
            select(Proposal, ImageClass.name)
            .join(Image, Image.id == Proposal.image_id)
            .join(ImageClass, ImageClass.id == Proposal.class_id)
            .where(condition)
            .order_by(Proposal.score.desc(), Proposal.id)
            .limit(limit)
        )
        rows = self._session.execute(statement).all()
        ids = [proposal.id for proposal, _ in rows]
        boxes: dict[int, list[Box]] = defaultdict(list)
        scores: dict[int, list[float]] = defaultdict(list)
        outcomes: dict[int, ReviewOutcome] = {}
        for chunk in chunks(ids):
            of_chunk = select(ProposalBox).where(ProposalBox.proposal_id.in_(chunk))
            for row in self._session.scalars(of_chunk.order_by(ProposalBox.proposal_id, ProposalBox.ordinal)):
                boxes[row.proposal_id].append(Box(row.x, row.y, row.width, row.height))
                scores[row.proposal_id] += [row.score] if row.score is not None else []
            reviews = select(Review.proposal_id, Review.outcome).where(Review.proposal_id.in_(chunk), stands(Review))
            for proposal_id, outcome in self._session.execute(reviews.order_by(Review.id)):
                if proposal_id is not None:
                    outcomes[proposal_id] = ReviewOutcome(outcome)
        return [
            ProposalRecord(
                id=proposal.id,
                image_id=proposal.image_id,
                run_id=proposal.run_id,
                class_name=class_name,
                class_probability=proposal.class_probability,
                score=proposal.score,
                tau=proposal.tau,
                gate=proposal.gate,
                boxes=tuple(boxes[proposal.id]),
                outcome=outcomes.get(proposal.id),
                created_at=proposal.created_at,
                box_scores=tuple(scores[proposal.id]),
                presence=proposal.presence,
                known_class_probability=proposal.known_class_probability,
                certificate_id=proposal.certificate_id,
            )
            for proposal, class_name in rows
        ]
