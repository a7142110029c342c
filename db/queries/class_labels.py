"""Classes that reviewers stated: append-only. Which class holds is in the image's own row.

A statement stands unless its pull was undone, a later version of its annotation has replaced it, or it was retracted.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from db.queries.bulk import chunks, insert_rows, reserve_ids
from db.queries.status import stands
from db.records import OperationKind
from db.records.class_labels import ClassLabelRecord, ClassSource, NewClassLabel
from db.tables import ClassLabel, ImageClass, ImageVersion, Operation, Retraction, Review, now


class ClassLabelQueries:
    """Class labels of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_many(self, labels: Sequence[NewClassLabel]) -> None:
        """Store what reviewers stated; the images' own classes are not touched here.

        A class that no image has had so far is created.
        """
        if not labels:
            return
        names = {row[0]: row[1] for row in self._session.execute(select(ImageClass.name, ImageClass.id))}
        for name in sorted({label.class_name for label in labels} - set(names)):
            created = ImageClass(name=name)
            self._session.add(created)
            self._session.flush()
            names[name] = created.id
        at = now()
        ids = reserve_ids(self._session, ClassLabel, len(labels))
        rows = [
            {
                "id": label_id,
                "image_id": label.image_id,
                "class_id": names[label.class_name],
                "source": label.source,
                "reviewer": label.reviewer,
                "review_id": label.review_id,
                "run_id": label.run_id,
                "operation_id": label.operation_id,
                "created_at": at,
            }
            for label_id, label in zip(ids, labels, strict=True)
        ]
        insert_rows(self._session, ClassLabel, rows)

    def of_image(self, image_id: int) -> list[ClassLabelRecord]:
        """Return everything that was ever stated about an image's class, oldest first."""
        return self._select(ClassLabel.image_id == image_id)

    def standing(self, image_ids: Iterable[int]) -> dict[int, list[ClassLabelRecord]]:
        """Return the statements about these images' classes that stand, oldest first; images without one are absent."""
        found: dict[int, list[ClassLabelRecord]] = defaultdict(list)
        for chunk in chunks(sorted(set(image_ids))):
            for record in self._select(ClassLabel.image_id.in_(chunk), _is_standing()):
                found[record.image_id].append(record)
        return dict(found)

    def matching(
        self, *, run_id: int | None = None, reviewer: str | None = None, since: datetime | None = None
    ) -> list[ClassLabelRecord]:
        """Return the standing statements that match all criteria: what a retraction with them takes back."""
        conditions = [_is_standing()]
        if run_id is not None:
            conditions.append(ClassLabel.run_id == run_id)
        if reviewer is not None:
            conditions.append(ClassLabel.reviewer == reviewer)
        if since is not None:
            conditions.append(ClassLabel.created_at >= since)
        return self._select(*conditions)

    def stated_by_reviews(self, image_ids: Iterable[int]) -> set[int]:
        """Return the images whose class was last changed by a pull: what reviews state of it decides it.

        Every other class comes from an import or was set by hand, and no review changes it.
        """
        pulls = self._pulls()
        found: set[int] = set()
        for chunk in chunks(sorted(set(image_ids))):
            columns = (ImageVersion.image_id, ImageVersion.class_id, ImageVersion.operation_id)
            rows = select(*columns).where(ImageVersion.image_id.in_(chunk)).order_by(ImageVersion.id)
            before: dict[int, int | None] = {}
            changed_by: dict[int, int | None] = {}
            for image_id, class_id, operation_id in self._session.execute(rows):
                if image_id not in before or before[image_id] != class_id:
                    before[image_id], changed_by[image_id] = class_id, operation_id
            found |= {image_id for image_id, operation_id in changed_by.items() if operation_id in pulls}
        return found

    def last_pulls(self, image_ids: Iterable[int]) -> dict[int, int | None]:
        """Return the pull that brought the last statement about each of these images that has one."""
        found: dict[int, int | None] = {}
        for chunk in chunks(sorted(set(image_ids))):
            for record in self._select(ClassLabel.image_id.in_(chunk), ClassLabel.source != ClassSource.WITHDRAWN):
                found[record.image_id] = record.operation_id
        return found

    def _pulls(self) -> set[int]:
        """Return the pulls, and the undoings of pulls (and of those)."""
        rows = select(Operation.id, Operation.kind, Operation.undoes_id).order_by(Operation.id)
        found: set[int] = set()
        for number, kind, undoes_id in self._session.execute(rows):
            if kind == OperationKind.PULL or undoes_id in found:
                found.add(number)
        return found

    def _select(self, *conditions: ColumnElement[bool]) -> list[ClassLabelRecord]:
        statement = (
            select(ClassLabel, ImageClass.name, Review.connection_id, Review.external_id)
            .join(ImageClass, ImageClass.id == ClassLabel.class_id)
            .join(Review, Review.id == ClassLabel.review_id)
            .where(*conditions)
            .order_by(ClassLabel.id)
        )
        return [
            ClassLabelRecord(
                id=row.id,
                image_id=row.image_id,
                class_name=name,
                source=ClassSource(row.source),
                reviewer=row.reviewer,
                review_id=row.review_id,
                run_id=row.run_id,
                operation_id=row.operation_id,
                created_at=row.created_at,
                connection_id=connection_id,
                annotation_id=annotation_id,
            )
            for row, name, connection_id, annotation_id in self._session.execute(statement)
        ]


def _is_standing() -> ColumnElement[bool]:
    newer, withdrawn = aliased(Review), aliased(ClassLabel)
    replaced = exists().where(
        newer.connection_id == Review.connection_id,
        newer.external_id == Review.external_id,
        newer.id > Review.id,
        stands(newer),
    )
    taken_back = exists().where(withdrawn.review_id == ClassLabel.review_id, withdrawn.source == ClassSource.WITHDRAWN)
    return and_(stands(Review), ~replaced, ~taken_back, ~_is_retracted())


def _is_retracted() -> ColumnElement[bool]:
    """Say of a class label that a retraction in force takes it back: one whose criteria it matches, and later than it.

    Retractions without a criterion are of deleted annotations or undone pulls, and list location labels.
    """
    undoing = aliased(Retraction)
    criteria = (Retraction.run_id, Retraction.reviewer, Retraction.since)
    return exists().where(
        Retraction.undoes_id.is_(None),
        or_(*(criterion.is_not(None) for criterion in criteria)),
        ~exists().where(undoing.undoes_id == Retraction.id),
        ClassLabel.created_at <= Retraction.created_at,
        and_(
            or_(Retraction.run_id.is_(None), Retraction.run_id == ClassLabel.run_id),
            or_(Retraction.reviewer.is_(None), Retraction.reviewer == ClassLabel.reviewer),
            or_(Retraction.since.is_(None), Retraction.since <= ClassLabel.created_at),
        ),
    )
