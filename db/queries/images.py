"""Images: add, find, list with what is currently known, count."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, or_, select, update
from sqlalchemy.orm import Session

from db.errors import Conflict, ImageUnknown
from db.imaging.files import ImageFile
from db.imaging.paths import ProjectPaths
from db.queries.bulk import chunks, insert_rows, reserve_ids
from db.queries.labels import labels_by_id
from db.records import ImageRecord, LocationStatus, NewImage, Split, Supervision
from db.tables import Fingerprint, Image, ImageClass, Thumbnail, now

PAGE = 5000
"""Rows that are read at a time where all are asked for."""
MOST_NAMES = 2000
"""Names that a mistyped one is compared with; comparing more takes seconds."""
IMAGE_COLUMNS = (
    Image.id,
    Image.uri,
    Image.content_hash,
    Image.width,
    Image.height,
    ImageClass.name.label("class_name"),
    Image.group_key,
    Image.split,
    Image.label_id,
    Image.removed,
)


class ImageQueries:
    """Images of the registry."""

    def __init__(self, session: Session, paths: ProjectPaths) -> None:
        self._session = session
        self._paths = paths

    def class_ids(self, names: Iterable[str]) -> dict[str, int]:
        """Return the ids of these classes, creating missing ones."""
        known = {row.name: row.id for row in self._session.execute(select(ImageClass.name, ImageClass.id))}
        for name in sorted(set(names) - set(known)):
            created = ImageClass(name=name)
            self._session.add(created)
            self._session.flush()
            known[name] = created.id
        return known

    def class_names(self) -> list[str]:
        """Return the classes that images have, in alphabetical order."""
        used = exists().where(Image.class_id == ImageClass.id, Image.removed.is_(False))
        return list(self._session.scalars(select(ImageClass.name).where(used).order_by(ImageClass.name)))

    def add(self, images: Sequence[NewImage]) -> list[int]:
        """Register images and return their ids in the same order; locations are not written here."""
        if not images:
            return []
        session = self._session
        classes = self.class_ids({image.class_name for image in images if image.class_name is not None})
        ids = reserve_ids(session, Image, len(images))
        at = now()
        rows = [
            {
                "id": image_id,
                "uri": self._paths.uri_from_file(image.path),
                "content_hash": image.content_hash,
                "width": image.width,
                "height": image.height,
                "class_id": classes[image.class_name] if image.class_name is not None else None,
                "group_key": image.group,
                "split": image.split,
                "location_status": LocationStatus.UNKNOWN,
                "origin": image.origin,
                "operation_id": image.operation_id,
                "created_at": at,
            }
            for image_id, image in zip(ids, images, strict=True)
        ]
        insert_rows(session, Image, rows)
        seen = [
            (image_id, image.thumbnail)
            for image_id, image in zip(ids, images, strict=True)
            if image.thumbnail is not None
        ]
        self.add_fingerprints(seen)
        return ids

    def add_fingerprints(self, thumbnails: Sequence[tuple[int, bytes]]) -> None:
        """Store fingerprints of images, given as (image id, thumbnail); the images are compared later."""
        # Loads NumPy, which most commands do without.
        from db.imaging.fingerprints import hash_thumbnails

        hashes = hash_thumbnails([thumbnail for _, thumbnail in thumbnails])
        insert_rows(
            self._session,
            Fingerprint,
            [
                {"image_id": image_id, "hash": digest, "compared": not digest}
                for (image_id, _), digest in zip(thumbnails, hashes, strict=True)
            ],
        )
        pixels = [{"image_id": image_id, "pixels": thumbnail} for image_id, thumbnail in thumbnails]
        insert_rows(self._session, Thumbnail, pixels)

    def set_facts(
        self,
        image_id: int,
        *,
        class_name: str | None,
        group: str | None,
        split: Split | None,
        origin: str | None = None,
        operation_id: int | None = None,
    ) -> None:
        """Store class, group and split of a registered image.

        Raises:
            Conflict: it is in test and would leave it.
        """
        class_id = self.class_ids([class_name])[class_name] if class_name is not None else None
        values = {"class_id": class_id, "group_key": group, "split": split, "origin": origin}
        values["operation_id"] = operation_id
        self._session.execute(update(Image).where(Image.id == image_id).values(**values))

    def set_removed(self, image_ids: Iterable[int], removed: bool, *, origin: str, operation_id: int) -> None:
        """Take images out of the data set, or put them back. Nothing that is known of them is lost."""
        values = {"removed": removed, "origin": origin, "operation_id": operation_id}
        for chunk in chunks(sorted(set(image_ids))):
            changed = Image.id.in_(chunk) & (Image.removed.is_(not removed))
            self._session.execute(update(Image).where(changed).values(**values))
            if not removed:
                # Those registered meanwhile have not been compared with it.
                again = update(Fingerprint).where(Fingerprint.image_id.in_(chunk), Fingerprint.hash != b"")
                self._session.execute(again.values(compared=False))

    def move(self, image_id: int, new: NewImage) -> None:
        """Store the new path of an image whose file was moved; its content is unchanged."""
        uri = self._paths.uri_from_file(new.path)
        values: dict[str, Any] = {"uri": uri, "origin": new.origin, "operation_id": new.operation_id}
        self._session.execute(update(Image).where(Image.id == image_id).values(**values))

    def set_splits(
        self, splits: dict[int, Split], *, origin: str | None = None, operation_id: int | None = None
    ) -> None:
        """Assign splits to images.

        Raises:
            Conflict: one of them is in test and would leave it, which the registry itself refuses.
        """
        told = {"origin": origin, "operation_id": operation_id}
        rows = [{"key": image_id, "split": split, **told} for image_id, split in splits.items()]
        if rows:
            table = Image.__table__
            changes = and_(table.c.id == bindparam("key"), table.c.split.is_distinct_from(bindparam("split")))
            values: dict[str, Any] = {name: bindparam(name) for name in ("split", *told)}
            self._session.connection().execute(update(table).where(changes).values(**values), rows)  # type: ignore[arg-type]

    def find(self, images: Sequence[NewImage]) -> list[ImageRecord]:
        """Return the registered images at these paths or with these content hashes, removed ones among them."""
        found: dict[int, ImageRecord] = {}
        for chunk in chunks(images):
            uris = [self._paths.uri_from_file(item.path) for item in chunk]
            hashes = [item.content_hash for item in chunk]
            for record in [*self._select(Image.uri.in_(uris)), *self._select(Image.content_hash.in_(hashes))]:
                found[record.id] = record
        return [found[key] for key in sorted(found)]

    def at(self, files: Sequence[ImageFile]) -> list[ImageRecord]:
        """Return the registered images at these paths."""
        found: list[ImageRecord] = []
        for chunk in chunks(files):
            uris = [self._paths.uri_from_file(file) for file in chunk]
            found += self._select(Image.removed.is_(False), Image.uri.in_(uris))
        return found

    def count_at(self, files: Sequence[ImageFile]) -> int:
        """Count the files that are registered, removed ones among them."""
        known = set(self._session.scalars(select(Image.uri)))
        return sum(self._paths.uri_from_file(file) in known for file in files) if known else 0

    def select(
        self,
        *,
        splits: Iterable[Split | None] | None = None,
        supervision: Supervision | None = None,
        located: bool | None = None,
        ids: Iterable[int] | None = None,
        limit: int | None = None,
        removed: bool = False,
    ) -> list[ImageRecord]:
        """Return images in order of id, each with its current label.

        Args:
            splits: only these splits (None stands for images without one); None for all.
            supervision: only images with this supervision.
            located: only images whose location is known (an empty one is), or only those whose location is not,
                whatever is known of their class.
            ids: only these images.
            limit: at most this many.
            removed: those taken out of the data set, instead of those in it.
        """
        conditions = image_conditions(splits, supervision, located, removed=removed)
        if ids is None:
            return self._select(*conditions, limit=limit)
        records: list[ImageRecord] = []
        for chunk in chunks(sorted(set(ids))):
            records += self._select(*conditions, Image.id.in_(chunk))
        return records[:limit]

    def ids(self, *, splits: Iterable[Split | None] | None = None, located: bool | None = None) -> list[int]:
        """Return the numbers of the images that `select` would return."""
        statement = select(Image.id).where(*image_conditions(splits, None, located)).order_by(Image.id)
        return list(self._session.scalars(statement))

    def count(self, *, splits: Iterable[Split | None] | None = None, located: bool | None = None) -> int:
        """Count the images that `select` would return."""
        counted = select(func.count()).select_from(Image).where(*image_conditions(splits, None, located))
        return self._session.scalar(counted) or 0

    def get(self, image_id: int) -> ImageRecord:
        """Return one image, which may have been removed.

        Raises:
            ImageUnknown: there is no such image.
        """
        records = self._select(Image.id == image_id)
        if not records:
            raise ImageUnknown(f"there is no image {image_id} in the registry; list them: partly list")
        return records[0]

    def resolve(self, name: str) -> ImageRecord:
        """Find an image by number, key, path, URI, or the end of its path; it may have been removed.

        Raises:
            ImageUnknown: there is none; Conflict: there are several.
        """
        number = name.partition("-")[0] if name.count("-") == 1 and len(name.partition("-")[2]) == 16 else name
        if number.isdigit() and len(number) < 10:
            return self.get(int(number))
        uris = [self._paths.uri_from_file(file) for file in (ImageFile.at(name), ImageFile.from_text(name))]
        exact = self._select(Image.uri.in_(uris))
        if exact:
            return exact[0]
        escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found = self._select(or_(Image.uri == name, Image.uri.like(f"%/{escaped}", escape="\\")), limit=6)
        if not found:
            near = self._nearest(name)
            meant = f"did you mean {near!r}?" if near else "give its number or path, see: partly list"
            raise ImageUnknown(f"there is no image {name!r} in the registry; {meant}")
        if len(found) > 1:
            several = ", ".join(f"{record.id} ({record.path})" for record in found[:5])
            raise Conflict(f"{name!r} matches several images: {several}; give the number")
        return found[0]

    def _nearest(self, name: str) -> str | None:
        """Return the file's name that is most like a mistyped one, among the images registered last."""
        uris = self._session.scalars(select(Image.uri).order_by(Image.id.desc()).limit(MOST_NAMES))
        names = {uri.rpartition("/")[2] for uri in uris}
        return next(iter(difflib.get_close_matches(name.rpartition("/")[2], sorted(names), n=1)), None)

    def _select(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[ImageRecord]:
        statement = (
            select(*IMAGE_COLUMNS)
            .outerjoin(ImageClass, ImageClass.id == Image.class_id)
            .where(*conditions)
            .order_by(Image.id)
            .limit(limit)
        )
        return records_from_rows(self._session, self._paths, self._session.execute(statement).all())

    def group_facts(self) -> Iterator[tuple[int, str | None, str]]:
        """Yield id, group and content hash of every image: the input of `db.curation.groups`."""
        statement = select(Image.id, Image.group_key, Image.content_hash).where(Image.removed.is_(False))
        streamed = statement.order_by(Image.id).execution_options(yield_per=PAGE)
        for row in self._session.execute(streamed):
            yield row[0], row[1], row[2]


def records_from_rows(session: Session, paths: ProjectPaths, rows: Sequence[Any]) -> list[ImageRecord]:
    """Turn rows of IMAGE_COLUMNS into records."""
    labels = labels_by_id(session, [row.label_id for row in rows if row.label_id is not None])
    return [
        ImageRecord(
            id=row.id,
            path=paths.file_from_uri(row.uri),
            content_hash=row.content_hash,
            width=row.width,
            height=row.height,
            class_name=row.class_name,
            group=row.group_key,
            split=Split(row.split) if row.split else None,
            label=labels[row.label_id] if row.label_id is not None else None,
            removed=row.removed,
        )
        for row in rows
    ]


def image_conditions(
    splits: Iterable[Split | None] | None,
    supervision: Supervision | None,
    located: bool | None,
    *,
    removed: bool = False,
) -> list[ColumnElement[bool]]:
    """Say of an image what `ImageQueries.select` asks for."""
    conditions: list[ColumnElement[bool]] = [Image.removed.is_(removed)]
    if splits is not None:
        wanted = list(splits)
        in_named = Image.split.in_([split for split in wanted if split is not None])
        conditions.append(or_(in_named, Image.split.is_(None)) if None in wanted else in_named)
    if supervision is not None:
        conditions.append(_supervision_is(supervision))
    if located is not None:
        unknown = Image.location_status == LocationStatus.UNKNOWN
        conditions.append(~unknown if located else unknown)
    return conditions


def _supervision_is(supervision: Supervision) -> ColumnElement[bool]:
    if supervision is Supervision.UNLABELED:
        return Image.class_id.is_(None)
    unknown = Image.location_status == LocationStatus.UNKNOWN
    return and_(Image.class_id.is_not(None), ~unknown if supervision is Supervision.FULLY else unknown)


def count_images(session: Session) -> tuple[dict[str, int], dict[str, int], dict[str, int], dict[str, int]]:
    """Count images by supervision, by location, by class and by split."""
    names = {row[0]: row[1] for row in session.execute(select(ImageClass.id, ImageClass.name))}
    columns = (Image.split, Image.class_id, Image.location_status)
    images = {"total": 0, "fully": 0, "partly": 0, "unlabeled": 0}
    locations = {"present": 0, "confirmed_empty": 0, "unknown": 0}
    counted: dict[str, int] = dict.fromkeys(names.values(), 0)
    splits = dict.fromkeys((str(split) for split in Split), 0)
    statement = select(*columns, func.count()).where(Image.removed.is_(False)).group_by(*columns)
    for split, class_id, status, count in session.execute(statement):
        known = status != LocationStatus.UNKNOWN
        images["total"] += count
        images["unlabeled" if class_id is None else "fully" if known else "partly"] += count
        locations["confirmed_empty" if status == LocationStatus.EMPTY else status] += count
        if class_id is not None:
            counted[names[class_id]] += count
        if split is not None:
            splits[split] += count
    classes = {name: counted[name] for name in sorted(counted) if counted[name]}
    return images, locations, classes, splits
