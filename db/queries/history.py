"""The history of an image: who or what changed it, when, and from which run and score."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.queries.labels import select_labels
from db.queries.proposals import ProposalQueries
from db.records import Event, LocationLabel, LocationStatus, ProposalRecord, run_name
from db.tables import Image, ImageClass, ImageVersion, Review


class HistoryQueries:
    """Histories of images."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_image(self, image_id: int) -> list[Event]:
        """Return all events of an image, oldest first."""
        proposals = {record.id: record for record in ProposalQueries(self._session).of_image(image_id)}
        labels = select_labels(self._session, [image_id])
        # At the same moment: registered before proposed, proposed before reviewed, reviewed before located.
        events = [
            *self._changes(image_id),
            *(_proposed(proposal) for proposal in proposals.values()),
            *self._reviews(image_id, proposals),
            *(_located(label, proposals) for label in labels),
        ]
        return sorted(events, key=lambda event: event.at)

    def _changes(self, image_id: int) -> list[Event]:
        names = {row[0]: row[1] for row in self._session.execute(select(ImageClass.id, ImageClass.name))}
        rows = self._session.scalars(
            select(ImageVersion).where(ImageVersion.image_id == image_id).order_by(ImageVersion.id)
        ).all()
        registered_at = self._session.scalars(select(Image.created_at).where(Image.id == image_id)).one()
        events = []
        before: ImageVersion | None = None
        for row in rows:
            facts = {
                "class": (names.get(before.class_id or 0) if before else None, names.get(row.class_id or 0)),
                "group": (before.group_key if before else None, row.group_key),
                "split": (before.split if before else None, row.split),
            }
            changes = [
                f"{name} {new or 'none'}" + (f" (was {old})" if old else "")
                for name, (old, new) in facts.items()
                if old != new
            ]
            if before is None:
                detail = ", ".join([row.uri, *changes])
                events.append(Event(registered_at, "registered", row.origin, detail))
            else:
                if before.uri != row.uri:
                    changes.insert(0, f"file {row.uri} (was {before.uri})")
                if changes:
                    events.append(Event(row.created_at, "changed", row.origin, ", ".join(changes)))
            before = row
        return events

    def _reviews(self, image_id: int, proposals: dict[int, ProposalRecord]) -> list[Event]:
        rows = self._session.scalars(select(Review).where(Review.image_id == image_id).order_by(Review.id))
        events = []
        for row in rows:
            proposal = proposals.get(row.proposal_id) if row.proposal_id is not None else None
            parts = [row.outcome]
            if row.seconds is not None:
                parts.append(f"{row.seconds:.1f} s")
            events.append(
                Event(
                    row.created_at,
                    "reviewed",
                    row.reviewer,
                    ", ".join(parts),
                    run=proposal.run_name if proposal else None,
                    tau=proposal.tau if proposal else None,
                    score=proposal.score if proposal else None,
                    iou=row.iou,
                )
            )
        return events


def _proposed(proposal: ProposalRecord) -> Event:
    if proposal.created_at is None:
        raise RuntimeError("a stored proposal has a time")
    count = len(proposal.boxes)
    return Event(
        proposal.created_at,
        "proposed",
        proposal.run_name,
        f"{count} {'box' if count == 1 else 'boxes'}, class {proposal.class_name} "
        f"{proposal.class_probability:.2f}, gate {proposal.gate}",
        run=proposal.run_name,
        tau=proposal.tau,
        score=proposal.score,
    )


def _located(label: LocationLabel, proposals: dict[int, ProposalRecord]) -> Event:
    run = run_name(label.run_id) if label.run_id is not None else None
    of_run = [proposal for proposal in proposals.values() if proposal.run_id == label.run_id]
    count = len(label.boxes)
    what = {
        LocationStatus.PRESENT: f"{count} {'box' if count == 1 else 'boxes'}{' and a mask' if label.has_mask else ''}",
        LocationStatus.EMPTY: "nothing to find",
        LocationStatus.UNKNOWN: "not known any more",
    }[label.status]
    kind = "retracted" if label.retraction_id is not None and label.restores_id is None else "located"
    detail = f"{what} ({label.source})" if kind == "located" else what
    if label.restores_id is not None:
        kind, detail = "restored", f"{what} ({label.source}), as said before"
    by = label.origin if label.retraction_id is not None else label.reviewer or label.origin
    return Event(
        label.created_at,
        kind,
        by,
        detail,
        run=run,
        tau=of_run[0].tau if of_run else None,
        score=of_run[0].score if of_run else None,
    )
