"""The history of an image (who or what changed it, when, from which run), and operations that can be undone."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.errors import NotFound
from db.queries.bulk import chunks
from db.queries.class_labels import ClassLabelQueries
from db.queries.labels import select_labels
from db.queries.loop.certificates import CertificateQueries
from db.queries.proposals import ProposalQueries
from db.records import (
    Event,
    ImageChange,
    ImageFacts,
    LocationLabel,
    LocationStatus,
    OperationKind,
    OperationRecord,
    ProposalRecord,
    Split,
    run_name,
)
from db.records.certificates import CertificateRecord
from db.records.class_labels import ClassLabelRecord
from db.tables import Image, ImageClass, ImageVersion, Operation, Review
from db.tables import LocationLabel as LabelRow


class HistoryQueries:
    """Histories of images."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_image(self, image_id: int) -> list[Event]:
        """Return all events of an image, oldest first."""
        proposals = {record.id: record for record in ProposalQueries(self._session).of_image(image_id)}
        under = {record.certificate_id for record in proposals.values() if record.certificate_id is not None}
        certificates = CertificateQueries(self._session).by_id(under)
        labels = select_labels(self._session, [image_id])
        # At the same moment: registered before proposed, proposed before reviewed, reviewed before located.
        events = [
            *self._changes(image_id),
            *(_proposed(proposal, certificates.get(proposal.certificate_id or 0)) for proposal in proposals.values()),
            *self._reviews(image_id, proposals),
            *(_classed(label) for label in ClassLabelQueries(self._session).of_image(image_id)),
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
                if before.removed != row.removed:
                    events.append(Event(row.created_at, "removed" if row.removed else "put back", row.origin, ""))
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


def _proposed(proposal: ProposalRecord, certificate: CertificateRecord | None) -> Event:
    if proposal.created_at is None:
        raise RuntimeError("a stored proposal has a time")
    count = len(proposal.boxes)
    what = "nothing to find" if proposal.is_nothing else f"{count} {'box' if count == 1 else 'boxes'}"
    return Event(
        proposal.created_at,
        "proposed",
        proposal.run_name,
        f"{what}, class {proposal.class_name} {proposal.class_probability:.2f}, gate {proposal.gate}"
        + (f", certified: {certificate.promise}" if certificate is not None else ""),
        run=proposal.run_name,
        tau=proposal.tau,
        score=proposal.score,
    )


def _classed(label: ClassLabelRecord) -> Event:
    return Event(
        label.created_at, "classed", label.reviewer, f"{label.class_name} ({label.source})", run=label.run_name
    )


def _located(label: LocationLabel, proposals: dict[int, ProposalRecord]) -> Event:
    run = run_name(label.run_id) if label.run_id is not None else None
    of_run = [proposal for proposal in proposals.values() if proposal.run_id == label.run_id]
    count = len(label.boxes)
    what = {
        LocationStatus.PRESENT: f"{count} {'box' if count == 1 else 'boxes'}{' and a mask' if label.has_mask else ''}",
        LocationStatus.EMPTY: "nothing to find",
        LocationStatus.UNKNOWN: "no longer known",
    }[label.status]
    kind = "retracted" if label.retraction_id is not None and label.restores_id is None else "located"
    detail = f"{what} ({label.source})" if kind == "located" else what
    if label.restores_id is not None:
        kind, detail = "restored", f"{what} ({label.source}), as before"
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


class OperationQueries:
    """Imports, pulls, splits and changes by hand, each of which can be undone as a whole."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, kind: OperationKind, detail: str, *, author: str, undoes: int | None = None) -> int:
        """Note an operation and return its number, which everything that it stores carries."""
        row = Operation(kind=kind, detail=detail, author=author, undoes_id=undoes)
        self._session.add(row)
        self._session.flush()
        return row.id

    def all(self) -> list[OperationRecord]:
        """Return all operations, oldest first."""
        return [_operation(row) for row in self._session.scalars(select(Operation).order_by(Operation.id))]

    def get(self, number: int) -> OperationRecord:
        """Return an operation.

        Raises:
            NotFound: there is none with this number.
        """
        row = self._session.get(Operation, number)
        if row is None:
            raise NotFound(f"there is no operation {number}; list them: partly undo --list")
        return _operation(row)

    def close_undo(self, number: int, *, retraction: int | None) -> None:
        """Note that an undoing is done: what it undoes counts as undone, and what that had undone as done again."""
        row = self._session.get_one(Operation, number)
        row.retraction_id = retraction
        undone, found = True, row.undoes_id
        while found is not None:
            earlier = self._session.get_one(Operation, found)
            earlier.undone = undone
            undone, found = not undone, earlier.undoes_id
        self._session.flush()

    def last_undo(self) -> int:
        """Return the number of the last undoing, 0 where there was none."""
        undoings = select(func.max(Operation.id)).where(Operation.kind == OperationKind.UNDO)
        return self._session.scalar(undoings) or 0

    def labels(self, number: int) -> list[tuple[int, int]]:
        """Return the labels that an operation stored, as (label id, image id)."""
        own = LabelRow.operation_id == number
        statement = select(LabelRow.id, LabelRow.image_id).where(own, LabelRow.restores_id.is_(None))
        return [(row[0], row[1]) for row in self._session.execute(statement.order_by(LabelRow.id))]

    def reviews(self, number: int) -> int:
        """Count the reviews that an operation stored."""
        return self._session.scalar(select(func.count()).where(Review.operation_id == number)) or 0

    def changes(self, number: int) -> list[ImageChange]:
        """Return what an operation made of images, and what has become of them since, in order of image."""
        names = {row[0]: row[1] for row in self._session.execute(select(ImageClass.id, ImageClass.name))}
        ranges = select(ImageVersion.image_id, func.min(ImageVersion.id), func.max(ImageVersion.id))
        of_operation = ranges.where(ImageVersion.operation_id == number).group_by(ImageVersion.image_id)
        rows = self._session.execute(of_operation.order_by(ImageVersion.image_id)).all()
        found: list[ImageChange] = []
        for chunk in chunks([(row[0], row[1], row[2]) for row in rows]):
            ids = [image_id for image_id, _, _ in chunk]
            versions = select(ImageVersion).where(ImageVersion.image_id.in_(ids)).order_by(ImageVersion.id)
            by_image: dict[int, list[ImageVersion]] = {}
            for version in self._session.scalars(versions):
                by_image.setdefault(version.image_id, []).append(version)
            for image_id, first, last in chunk:
                own = by_image[image_id]
                before = [version for version in own if version.id < first]
                after = next(version for version in own if version.id == last)
                found.append(
                    ImageChange(
                        image_id,
                        before=_facts(before[-1], names) if before else None,
                        after=_facts(after, names),
                        now=_facts(own[-1], names),
                    )
                )
        return found


def _operation(row: Operation) -> OperationRecord:
    return OperationRecord(
        id=row.id,
        kind=OperationKind(row.kind),
        detail=row.detail,
        author=row.author,
        created_at=row.created_at,
        undone=row.undone,
        undoes_id=row.undoes_id,
        retraction_id=row.retraction_id,
    )


def _facts(version: ImageVersion, names: dict[int, str]) -> ImageFacts:
    return ImageFacts(
        class_name=names.get(version.class_id or 0),
        group=version.group_key,
        split=Split(version.split) if version.split else None,
        removed=version.removed,
    )
