"""Retractions: labels retracted together, and undone retractions. Nothing is deleted.

The current label of an image is its newest one that is not retracted. Where a retraction changes that, it appends a
label that repeats the earlier one (or is `unknown`), so that history and snapshots see it like any other change.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session, aliased

from db.errors import NotFound
from db.queries.bulk import chunks, insert_rows
from db.queries.labels import LabelQueries, select_labels
from db.records import Location, LocationLabel, LocationSource, LocationStatus, NewLabel, RetractionRecord
from db.tables import LocationLabel as LabelRow
from db.tables import RetractedLabel, Retraction, Review


class RetractionQueries:
    """Retractions of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def statements(self, *, run_id: int | None, reviewer: str | None, since: datetime | None) -> list[tuple[int, int]]:
        """Return the labels that match all criteria and are not yet retracted, as (label id, image id)."""
        conditions = [LabelRow.retraction_id.is_(None), LabelRow.restores_id.is_(None), ~_is_taken_back()]
        if run_id is not None:
            conditions.append(LabelRow.run_id == run_id)
        if reviewer is not None:
            conditions.append(LabelRow.reviewer == reviewer)
        if since is not None:
            conditions.append(LabelRow.created_at >= since)
        rows = self._session.execute(select(LabelRow.id, LabelRow.image_id).where(*conditions).order_by(LabelRow.id))
        return [(row[0], row[1]) for row in rows]

    def statements_of_annotations(
        self, connection_id: int, annotation_ids: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Return the labels made by annotations that are not retracted, as (label id, image id, annotation id)."""
        found: list[tuple[int, int, int]] = []
        for chunk in chunks(annotation_ids):
            statement = (
                select(LabelRow.id, LabelRow.image_id, Review.external_id)
                .join(Review, Review.id == LabelRow.review_id)
                .where(
                    Review.connection_id == connection_id,
                    Review.external_id.in_(chunk),
                    LabelRow.retraction_id.is_(None),
                    LabelRow.restores_id.is_(None),
                    ~_is_taken_back(),
                )
            )
            found += [(row[0], row[1], row[2]) for row in self._session.execute(statement.order_by(LabelRow.id))]
        return found

    def standing(self, label_ids: Sequence[int]) -> set[int]:
        """Return those of these labels that are not retracted."""
        return set(label_ids) - self._taken_back(label_ids)

    def of_run(self, run_id: int) -> RetractionRecord | None:
        """Return the retraction of a whole run that is in force, if there is one."""
        for record in self._select(Retraction.run_id == run_id):
            if record.reviewer is None and record.since is None and not record.undone:
                return record
        return None

    def add(
        self,
        label_ids: Sequence[int],
        *,
        author: str,
        run_id: int | None = None,
        reviewer: str | None = None,
        since: datetime | None = None,
    ) -> int:
        """Retract labels and return the retraction's number; call `settle` afterwards."""
        row = Retraction(run_id=run_id, reviewer=reviewer, since=since, author=author)
        self._session.add(row)
        self._session.flush()
        links = [{"retraction_id": row.id, "label_id": label_id} for label_id in label_ids]
        insert_rows(self._session, RetractedLabel, links)
        return row.id

    def undo(self, retraction_id: int, *, author: str) -> int:
        """Undo a retraction and return the number of the undoing; call `settle` afterwards."""
        row = Retraction(undoes_id=retraction_id, author=author)
        self._session.add(row)
        self._session.flush()
        return row.id

    def settle(self, image_ids: Iterable[int], *, retraction_id: int) -> dict[int, LocationLabel | None]:
        """Make the newest label that is not retracted the current one of these images.

        Returns:
            The images that changed, with their current label; None where nothing is known.
        """
        ids = sorted(set(image_ids))
        statements: dict[int, list[LocationLabel]] = {image_id: [] for image_id in ids}
        current: dict[int, LocationLabel] = {}
        for label in select_labels(self._session, ids):
            current[label.image_id] = label
            if label.retraction_id is None and label.restores_id is None:
                statements[label.image_id].append(label)
        taken_back = self._taken_back([label.id for labels in statements.values() for label in labels])
        changed: dict[int, LocationLabel | None] = {}
        for image_id in ids:
            standing = [label for label in statements[image_id] if label.id not in taken_back]
            holds = standing[-1] if standing else None
            now_id = holds.id if holds is not None else None
            before = current.get(image_id)
            if before is not None and (before.restores_id or (None if before.retraction_id else before.id)) != now_id:
                changed[image_id] = holds
        self._append(changed, retraction_id)
        return changed

    def _append(self, changed: dict[int, LocationLabel | None], retraction_id: int) -> None:
        labels = LabelQueries(self._session)
        masks = labels.mask_hashes([label.id for label in changed.values() if label is not None and label.has_mask])
        labels.append_many(
            [
                NewLabel(
                    image_id,
                    Location(label.status, label.boxes) if label else Location(LocationStatus.UNKNOWN),
                    label.source if label else LocationSource.WITHDRAWN,
                    reviewer=label.reviewer if label else None,
                    review_id=label.review_id if label else None,
                    run_id=label.run_id if label else None,
                    origin=f"retraction {retraction_id}",
                    # Taking back is always on purpose.
                    on_test=True,
                    retraction_id=retraction_id,
                    restores_id=label.id if label else None,
                    mask_hash=masks.get(label.id) if label else None,
                )
                for image_id, label in changed.items()
            ]
        )

    def _taken_back(self, label_ids: Sequence[int]) -> set[int]:
        found: set[int] = set()
        for chunk in chunks(label_ids):
            statement = select(LabelRow.id).where(LabelRow.id.in_(chunk), _is_taken_back())
            found.update(self._session.scalars(statement))
        return found

    def images_of(self, retraction_id: int) -> list[int]:
        """Return the images whose labels were retracted by a retraction."""
        statement = (
            select(LabelRow.image_id)
            .join(RetractedLabel, RetractedLabel.label_id == LabelRow.id)
            .where(RetractedLabel.retraction_id == retraction_id)
        )
        return sorted(set(self._session.scalars(statement)))

    def get(self, retraction_id: int) -> RetractionRecord:
        """Return a retraction.

        Raises:
            NotFound: there is none with this number.
        """
        found = self._select(Retraction.id == retraction_id)
        if not found:
            raise NotFound(f"there is no retraction {retraction_id}; see: partly retract --list")
        return found[0]

    def all(self) -> list[RetractionRecord]:
        """Return all retractions, oldest first."""
        return self._select(Retraction.id > 0)

    def _select(self, condition: ColumnElement[bool]) -> list[RetractionRecord]:
        undoing = aliased(Retraction)
        count = (
            select(func.count())
            .select_from(RetractedLabel)
            .where(RetractedLabel.retraction_id == Retraction.id)
            .scalar_subquery()
        )
        undone = exists().where(undoing.undoes_id == Retraction.id)
        statement = select(Retraction, count, undone).where(Retraction.undoes_id.is_(None), condition)
        return [
            RetractionRecord(
                row.id, row.run_id, row.reviewer, row.since, row.author, row.created_at, labels, bool(gone)
            )
            for row, labels, gone in self._session.execute(statement.order_by(Retraction.id))
        ]


def _is_taken_back() -> ColumnElement[bool]:
    undoing = aliased(Retraction)
    return exists().where(
        RetractedLabel.label_id == LabelRow.id,
        ~exists().where(undoing.undoes_id == RetractedLabel.retraction_id),
    )
