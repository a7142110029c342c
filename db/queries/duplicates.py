"""Fingerprints of images, and the near-duplicates among them."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from db.queries.bulk import chunks, insert_rows
from db.tables import Fingerprint, Image, NearDuplicate, Thumbnail


class DuplicateQueries:
    """Near-duplicates in the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hashes(self) -> list[tuple[int, bytes]]:
        """Return the perceptual hash of every image that has one, by image id."""
        statement = select(Fingerprint.image_id, Fingerprint.hash).where(Fingerprint.image_id.not_in(_removed()))
        rows = self._session.execute(statement.order_by(Fingerprint.image_id))
        return [(row[0], row[1]) for row in rows if row[1]]

    def not_compared(self) -> list[int]:
        """Return the images not yet compared with the others."""
        new = Fingerprint.compared.is_(False) & Fingerprint.image_id.not_in(_removed())
        statement = select(Fingerprint.image_id).where(new)
        return list(self._session.scalars(statement.order_by(Fingerprint.image_id)))

    def without_fingerprint(self) -> list[int]:
        """Return the images without a fingerprint (registered by an older version)."""
        statement = select(Image.id).outerjoin(Fingerprint, Fingerprint.image_id == Image.id)
        lacking = statement.where(Fingerprint.image_id.is_(None), Image.removed.is_(False))
        return list(self._session.scalars(lacking.order_by(Image.id)))

    def thumbnails(self, image_ids: Sequence[int]) -> dict[int, bytes]:
        """Return thumbnails by image id."""
        found: dict[int, bytes] = {}
        for chunk in chunks(image_ids):
            statement = select(Thumbnail.image_id, Thumbnail.pixels).where(Thumbnail.image_id.in_(chunk))
            found.update((row[0], row[1]) for row in self._session.execute(statement))
        return found

    def add(self, pairs: Iterable[tuple[int, int, float]], *, compared: Sequence[int]) -> int:
        """Store near-duplicates as (smaller id, larger id, correlation) and return how many are new.

        Args:
            pairs: some of them may be stored already.
            compared: images that are now compared with all others.
        """
        new = {(first, second): correlation for first, second, correlation in pairs}
        for chunk in chunks(sorted({first for first, _ in new})):
            statement = select(NearDuplicate.first_id, NearDuplicate.second_id)
            for row in self._session.execute(statement.where(NearDuplicate.first_id.in_(chunk))):
                new.pop((row[0], row[1]), None)
        rows = [
            {"first_id": first, "second_id": second, "correlation": correlation}
            for (first, second), correlation in new.items()
        ]
        insert_rows(self._session, NearDuplicate, rows)
        for chunk in chunks(compared):
            self._session.execute(update(Fingerprint).where(Fingerprint.image_id.in_(chunk)).values(compared=True))
        return len(rows)

    def pairs(self, image_ids: Sequence[int] | None = None) -> list[tuple[int, int, float]]:
        """Return near-duplicates (all, or those of these images) as (smaller id, larger id, correlation)."""
        statement = select(NearDuplicate.first_id, NearDuplicate.second_id, NearDuplicate.correlation)
        statement = statement.where(
            NearDuplicate.first_id.not_in(_removed()), NearDuplicate.second_id.not_in(_removed())
        )
        ordered = statement.order_by(NearDuplicate.first_id, NearDuplicate.second_id)
        if image_ids is None:
            return [(row[0], row[1], row[2]) for row in self._session.execute(ordered)]
        found: set[tuple[int, int, float]] = set()
        for chunk in chunks(image_ids):
            mine = or_(NearDuplicate.first_id.in_(chunk), NearDuplicate.second_id.in_(chunk))
            found.update((row[0], row[1], row[2]) for row in self._session.execute(ordered.where(mine)))
        return sorted(found)


def _removed() -> Select[Any]:
    return select(Image.id).where(Image.removed.is_(True))
