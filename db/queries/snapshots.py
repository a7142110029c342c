"""Snapshots: states of the registry, named by the hash of their content, that stay readable."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.errors import Conflict, NotFound
from db.history.snapshot_hash import EMPTY_STATE, ImageState, hash_state, update_state
from db.imaging.paths import ProjectPaths
from db.queries.bulk import chunks
from db.queries.images import PAGE, records_from_rows
from db.queries.labels import LabelQueries
from db.records import ImageRecord, SnapshotRecord
from db.tables import Image, ImageClass, ImageVersion, Snapshot, now

VERSION_COLUMNS = (
    ImageVersion.image_id.label("id"),
    ImageVersion.uri,
    Image.content_hash,
    Image.width,
    Image.height,
    ImageClass.name.label("class_name"),
    ImageVersion.group_key,
    ImageVersion.split,
    ImageVersion.label_id,
    ImageVersion.removed,
)
SHORTEST_HASH = 6


class SnapshotQueries:
    """Snapshots of the registry."""

    def __init__(self, session: Session, paths: ProjectPaths) -> None:
        self._session = session
        self._paths = paths

    def take(self, *, store: bool = True) -> SnapshotRecord:
        """Store the current state of the registry, in time proportional to the changes since the last snapshot.

        If all is as it was in some earlier snapshot, that one is returned.

        Args:
            store: only say what it would be, where it is False.
        """
        session = self._session
        last = session.scalar(select(Snapshot).order_by(Snapshot.position.desc(), Snapshot.id.desc()).limit(1))
        position = self.position()
        state, after = (last.state, last.position) if last is not None else (EMPTY_STATE, 0)
        total = last.num_images if last is not None else 0
        for chunk in chunks(self._changed(after, position)):
            removed = self._states(self.images_at(after, chunk)) if after else []
            added = self._states(self.images_at(position, chunk))
            state = update_state(state, removed, added)
            total += len(added) - len(removed)
        digest = hash_state(state)
        found = session.scalar(select(Snapshot).where(Snapshot.hash == digest))
        if found is None:
            found = Snapshot(hash=digest, position=position, num_images=total, state=state, created_at=now())
            if store:
                session.add(found)
                session.flush()
        return _record(found)

    def position(self) -> int:
        """Return the number of the last change of any image."""
        return self._session.scalar(select(func.max(ImageVersion.id))) or 0

    def _changed(self, after: int, until: int) -> list[int]:
        changed = select(ImageVersion.image_id).where(ImageVersion.id > after, ImageVersion.id <= until)
        return sorted(set(self._session.scalars(changed)))

    def changed_between(self, first: SnapshotRecord, second: SnapshotRecord) -> list[int]:
        """Return the ids of images that changed between two snapshots."""
        positions = sorted((first.position, second.position))
        return self._changed(*positions)

    def images_at(self, position: int, ids: Iterable[int] | None = None) -> list[ImageRecord]:
        """Return images (all of them, or these) as they were known after that many changes, in order of id."""
        newest = select(func.max(ImageVersion.id)).where(ImageVersion.id <= position).group_by(ImageVersion.image_id)
        pieces: Iterator[Any] = iter([newest])
        if ids is not None:
            pieces = (newest.where(ImageVersion.image_id.in_(chunk)) for chunk in chunks(sorted(set(ids))))
        return [record for piece in pieces for record in self._records(piece)]

    def each_image_at(self, position: int) -> Iterator[ImageRecord]:
        """Yield the images that `images_at` returns, a page of them in memory at a time."""
        newest = select(func.max(ImageVersion.id)).where(ImageVersion.id <= position).group_by(ImageVersion.image_id)
        last = self._session.scalar(select(func.max(ImageVersion.image_id)).where(ImageVersion.id <= position)) or 0
        for start in range(0, last + 1, PAGE):
            yield from self._records(newest.where(ImageVersion.image_id.between(start, start + PAGE - 1)))

    def _records(self, versions: Any) -> list[ImageRecord]:
        statement = (
            select(*VERSION_COLUMNS)
            .join(Image, Image.id == ImageVersion.image_id)
            .outerjoin(ImageClass, ImageClass.id == ImageVersion.class_id)
            .where(ImageVersion.id.in_(versions), ImageVersion.removed.is_(False))
            .order_by(ImageVersion.image_id)
        )
        return records_from_rows(self._session, self._paths, self._session.execute(statement).all())

    def states_at(self, position: int) -> list[ImageState]:
        """Return the image states that a snapshot at this position is the hash of."""
        return self._states(self.images_at(position))

    def _states(self, images: Sequence[ImageRecord]) -> list[ImageState]:
        masked = [image.label.id for image in images if image.label is not None and image.label.has_mask]
        masks = LabelQueries(self._session).mask_hashes(masked)
        return [
            ImageState(
                uri=self._paths.uri_from_file(image.path),
                content_hash=image.content_hash,
                width=image.width,
                height=image.height,
                class_name=image.class_name,
                group=image.group,
                split=image.split,
                status=image.location_status,
                boxes=image.boxes,
                mask_hash=masks.get(image.label.id) if image.label else None,
                source=image.label.source if image.label else None,
                reviewer=image.label.reviewer if image.label else None,
                run_id=image.label.run_id if image.label else None,
            )
            for image in images
        ]

    def get(self, name: str) -> SnapshotRecord:
        """Return a snapshot by its hash, or the start of it.

        Raises:
            NotFound: there is none; Conflict: several begin like that.
        """
        digest = name.removeprefix("sha256:").lower()
        found: list[Snapshot] = []
        if len(digest) >= SHORTEST_HASH and all(letter in "0123456789abcdef" for letter in digest):
            found = list(self._session.scalars(select(Snapshot).where(Snapshot.hash.startswith(f"sha256:{digest}"))))
        if not found:
            raise NotFound(
                f"there is no snapshot {name!r} (give at least {SHORTEST_HASH} characters of its hash); training runs "
                "from before the registry kept its history have no readable one; see: partly snapshots"
            )
        if len(found) > 1:
            raise Conflict(f"several snapshots begin with {name!r}; give more characters of the hash")
        return _record(found[0])

    def all(self) -> list[SnapshotRecord]:
        """Return all snapshots, oldest first."""
        return [_record(row) for row in self._session.scalars(select(Snapshot).order_by(Snapshot.id))]


def _record(row: Snapshot) -> SnapshotRecord:
    return SnapshotRecord(row.id, row.hash, row.position, row.num_images, row.created_at)
