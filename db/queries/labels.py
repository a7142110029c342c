"""Location labels: append-only, the highest revision of an image holds."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db.records import Box, Location, LocationLabel, LocationSource, LocationStatus
from db.tables import LocationBox, Mask, Review
from db.tables import LocationLabel as LabelRow

CHUNK = 500


class LabelQueries:
    """Location labels of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(
        self,
        image_id: int,
        location: Location,
        *,
        source: LocationSource,
        reviewer: str | None = None,
        review_id: int | None = None,
        run_id: int | None = None,
    ) -> int:
        """Add a statement about an image, which holds from now on, and return its id.

        Args:
            image_id: the image.
            location: what is said.
            source: who or what says it; all but imported labels need `review_id`.
            reviewer: the person.
            review_id: the review it was made by.
            run_id: the run whose proposal was accepted or edited.
        """
        session = self._session
        newest = session.scalar(select(func.max(LabelRow.revision)).where(LabelRow.image_id == image_id))
        label = LabelRow(
            image_id=image_id,
            revision=(newest or 0) + 1,
            status=location.status,
            num_boxes=len(location.boxes),
            mask_hash=self._put_mask(location.mask_png) if location.mask_png is not None else None,
            source=source,
            reviewer=reviewer,
            review_id=review_id,
            run_id=run_id,
        )
        session.add(label)
        session.flush()
        if location.boxes:
            session.execute(
                insert(LocationBox),
                [
                    {"label_id": label.id, "ordinal": n, "label_status": "present", **box_columns(box)}
                    for n, box in enumerate(location.boxes)
                ],
            )
        return label.id

    def mask_pngs(self, label_ids: Sequence[int]) -> dict[int, bytes]:
        """Return the masks of many labels, by label id."""
        found: dict[int, bytes] = {}
        statement = select(LabelRow.id, Mask.png).join(Mask, LabelRow.mask_hash == Mask.hash)
        for start in range(0, len(label_ids), CHUNK):
            chunk = label_ids[start : start + CHUNK]
            found.update((row[0], row[1]) for row in self._session.execute(statement.where(LabelRow.id.in_(chunk))))
        return found

    def history(self, image_id: int) -> list[LocationLabel]:
        """Return everything ever said about an image's location, oldest first."""
        statement = select(LabelRow).where(LabelRow.image_id == image_id).order_by(LabelRow.revision)
        rows = self._session.scalars(statement).all()
        boxes = list_boxes(self._session, [row.id for row in rows])
        return [label_from_row(row, boxes.get(row.id, ())) for row in rows]

    def comes_from_annotation(self, image_id: int, connection_id: int, external_id: int) -> bool:
        """Say whether the label that holds for an image was made by this annotation (any version of it)."""
        newest = select(func.max(LabelRow.revision)).where(LabelRow.image_id == image_id).scalar_subquery()
        statement = (
            select(func.count())
            .select_from(LabelRow)
            .join(Review, Review.id == LabelRow.review_id)
            .where(
                LabelRow.image_id == image_id,
                LabelRow.revision == newest,
                Review.connection_id == connection_id,
                Review.external_id == external_id,
            )
        )
        return bool(self._session.scalar(statement))

    def _put_mask(self, png: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(png).hexdigest()
        if self._session.get(Mask, digest) is None:
            self._session.add(Mask(hash=digest, png=png))
            self._session.flush()
        return digest


def box_columns(box: Box) -> dict[str, float]:
    """Return a box as column values."""
    return {"x": box.x, "y": box.y, "width": box.width, "height": box.height}


def list_boxes(session: Session, label_ids: Sequence[int]) -> dict[int, tuple[Box, ...]]:
    """Return the boxes of many labels, by label id."""
    found: dict[int, list[Box]] = defaultdict(list)
    for start in range(0, len(label_ids), CHUNK):
        statement = (
            select(LocationBox)
            .where(LocationBox.label_id.in_(label_ids[start : start + CHUNK]))
            .order_by(LocationBox.label_id, LocationBox.ordinal)
        )
        for row in session.scalars(statement):
            found[row.label_id].append(Box(row.x, row.y, row.width, row.height))
    return {label_id: tuple(boxes) for label_id, boxes in found.items()}


def label_from_row(row: LabelRow, boxes: tuple[Box, ...]) -> LocationLabel:
    """Turn a row into what callers receive."""
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
    )
