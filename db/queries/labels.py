"""Location labels: append-only; the highest revision of an image is current (a trigger makes the image refer to it)."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.queries.bulk import chunks, insert_rows, reserve_ids
from db.records import Box, LocationLabel, LocationSource, LocationStatus, NewLabel
from db.tables import Image, LocationBox, Mask, Review, now
from db.tables import LocationLabel as LabelRow

LABEL_COLUMNS = (
    LabelRow.id,
    LabelRow.image_id,
    LabelRow.revision,
    LabelRow.status,
    LabelRow.mask_hash,
    LabelRow.source,
    LabelRow.reviewer,
    LabelRow.run_id,
    LabelRow.created_at,
    LabelRow.origin,
    LabelRow.review_id,
    LabelRow.retraction_id,
    LabelRow.restores_id,
)


class LabelQueries:
    """Location labels of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(self, label: NewLabel) -> int:
        """Add a statement about an image, which holds from now on, and return its id.

        Raises:
            Conflict: the image is in the test split and `on_test` is not set.
        """
        return self.append_many([label])[0]

    def append_many(self, labels: Sequence[NewLabel]) -> list[int]:
        """Append labels in this order and return their ids.

        Raises:
            Conflict: one of the images is in the test split and `on_test` is not set.
        """
        if not labels:
            return []
        session = self._session
        revisions = self._newest_revisions({label.image_id for label in labels})
        masks = self._put_masks(label.location.mask_png for label in labels if label.location.mask_png is not None)
        ids = reserve_ids(session, LabelRow, len(labels))
        at = now()
        rows: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        for label_id, label in zip(ids, labels, strict=True):
            png = label.location.mask_png
            revisions[label.image_id] += 1
            rows.append(
                {
                    "id": label_id,
                    "image_id": label.image_id,
                    "revision": revisions[label.image_id],
                    "status": label.location.status,
                    "num_boxes": len(label.location.boxes),
                    "mask_hash": masks[png] if png is not None else label.mask_hash,
                    "source": label.source,
                    "reviewer": label.reviewer,
                    "review_id": label.review_id,
                    "run_id": label.run_id,
                    "retraction_id": label.retraction_id,
                    "restores_id": label.restores_id,
                    "on_test": label.on_test,
                    "origin": label.origin,
                    "operation_id": label.operation_id,
                    "created_at": at,
                }
            )
            boxes += [
                {"label_id": label_id, "ordinal": n, "label_status": "present", **box_columns(box)}
                for n, box in enumerate(label.location.boxes)
            ]
        insert_rows(session, LabelRow, rows)
        insert_rows(session, LocationBox, boxes)
        return ids

    def _newest_revisions(self, image_ids: set[int]) -> dict[int, int]:
        found: dict[int, int] = defaultdict(int)
        newest = select(LabelRow.image_id, func.max(LabelRow.revision)).group_by(LabelRow.image_id)
        for chunk in chunks(sorted(image_ids)):
            found.update((row[0], row[1]) for row in self._session.execute(newest.where(LabelRow.image_id.in_(chunk))))
        return found

    def mask_pngs(self, label_ids: Sequence[int]) -> dict[int, bytes]:
        """Return the masks of many labels, by label id."""
        found: dict[int, bytes] = {}
        statement = select(LabelRow.id, Mask.png).join(Mask, LabelRow.mask_hash == Mask.hash)
        for chunk in chunks(label_ids):
            found.update((row[0], row[1]) for row in self._session.execute(statement.where(LabelRow.id.in_(chunk))))
        return found

    def mask_hashes(self, label_ids: Sequence[int]) -> dict[int, str]:
        """Return the content hashes of the masks of many labels, by label id."""
        found: dict[int, str] = {}
        statement = select(LabelRow.id, LabelRow.mask_hash).where(LabelRow.mask_hash.is_not(None))
        for chunk in chunks(label_ids):
            rows = self._session.execute(statement.where(LabelRow.id.in_(chunk)))
            found.update((row[0], str(row[1])) for row in rows)
        return found

    def history(self, image_id: int) -> list[LocationLabel]:
        """Return all location labels of an image, oldest first."""
        return select_labels(self._session, [image_id])

    def comes_from_annotation(self, image_id: int, connection_id: int, external_id: int) -> bool:
        """Return whether the current label of an image was made by this annotation (any version of it)."""
        statement = (
            select(func.count())
            .select_from(Image)
            .join(LabelRow, LabelRow.id == Image.label_id)
            .join(Review, Review.id == LabelRow.review_id)
            .where(Image.id == image_id, Review.connection_id == connection_id, Review.external_id == external_id)
        )
        return bool(self._session.scalar(statement))

    def _put_masks(self, pngs: Iterable[bytes]) -> dict[bytes, str]:
        digests = {png: "sha256:" + hashlib.sha256(png).hexdigest() for png in pngs}
        for chunk in chunks(list(digests.items())):
            stored = set(self._session.scalars(select(Mask.hash).where(Mask.hash.in_([item[1] for item in chunk]))))
            new = [{"hash": digest, "png": png} for png, digest in chunk if digest not in stored]
            insert_rows(self._session, Mask, new)
        return digests


def box_columns(box: Box) -> dict[str, float]:
    """Return a box as column values."""
    return {"x": box.x, "y": box.y, "width": box.width, "height": box.height}


def select_labels(session: Session, image_ids: Sequence[int]) -> list[LocationLabel]:
    """Return all location labels of images, by image and oldest first."""
    found: list[LocationLabel] = []
    for chunk in chunks(image_ids):
        statement = select(*LABEL_COLUMNS).where(LabelRow.image_id.in_(chunk))
        rows = session.execute(statement.order_by(LabelRow.image_id, LabelRow.revision)).all()
        boxes = list_boxes(session, [row.id for row in rows])
        found += [label_from_row(row, boxes.get(row.id, ())) for row in rows]
    return found


def labels_by_id(session: Session, label_ids: Sequence[int]) -> dict[int, LocationLabel]:
    """Return labels by id."""
    found: dict[int, LocationLabel] = {}
    for chunk in chunks(label_ids):
        rows = session.execute(select(*LABEL_COLUMNS).where(LabelRow.id.in_(chunk))).all()
        boxes = list_boxes(session, [row.id for row in rows if row.status == LocationStatus.PRESENT])
        found.update((row.id, label_from_row(row, boxes.get(row.id, ()))) for row in rows)
    return found


def list_boxes(session: Session, label_ids: Sequence[int]) -> dict[int, tuple[Box, ...]]:
    """Return the boxes of many labels, by label id."""
    found: dict[int, list[Box]] = defaultdict(list)
    columns = (LocationBox.label_id, LocationBox.x, LocationBox.y, LocationBox.width, LocationBox.height)
    for chunk in chunks(label_ids):
        statement = select(*columns).where(LocationBox.label_id.in_(chunk))
        for row in session.execute(statement.order_by(LocationBox.label_id, LocationBox.ordinal)):
            found[row[0]].append(Box(*row[1:]))
    return {label_id: tuple(boxes) for label_id, boxes in found.items()}


def label_from_row(row: Any, boxes: tuple[Box, ...]) -> LocationLabel:
    """Turn a row of LABEL_COLUMNS into a record."""
    return LocationLabel(
        id=row.id,
        image_id=row.image_id,
        revision=row.revision,
        status=LocationStatus(row.status),
        boxes=boxes,
        has_mask=row.mask_hash is not None,
        source=LocationSource(row.source),
        reviewer=row.reviewer,
        run_id=row.run_id,
        created_at=row.created_at,
        origin=row.origin,
        review_id=row.review_id,
        retraction_id=row.retraction_id,
        restores_id=row.restores_id,
    )
