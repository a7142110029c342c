"""Images: add, find, list with what is currently known, count."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from db.errors import InvalidArgument, NotFound
from db.paths import ProjectPaths
from db.queries.labels import label_from_row, list_boxes
from db.records import ImageRecord, LocationStatus, NewImage, RegistryStatus, Split, Supervision
from db.tables import Image, ImageClass, LocationLabel, Proposal, Review, Run

CHUNK = 500


class ImageQueries:
    """Images of the registry."""

    def __init__(self, session: Session, paths: ProjectPaths) -> None:
        self._session = session
        self._paths = paths

    def class_ids(self, names: Iterable[str]) -> dict[str, int]:
        """Return the ids of these classes, making those that are new."""
        known = {row.name: row.id for row in self._session.execute(select(ImageClass.name, ImageClass.id))}
        for name in sorted(set(names) - set(known)):
            created = ImageClass(name=name)
            self._session.add(created)
            self._session.flush()
            known[name] = created.id
        return known

    def class_names(self) -> list[str]:
        """Return all class names in alphabetical order."""
        return list(self._session.scalars(select(ImageClass.name).order_by(ImageClass.name)))

    def add(self, images: Sequence[NewImage]) -> list[int]:
        """Register images and return their ids in the same order; locations are not written here."""
        classes = self.class_ids(image.class_name for image in images if image.class_name is not None)
        rows = [
            {
                "uri": self._paths.uri_from_path(image.path),
                "content_hash": image.content_hash,
                "width": image.width,
                "height": image.height,
                "class_id": classes[image.class_name] if image.class_name is not None else None,
                "group_key": image.group,
                "split": image.split,
            }
            for image in images
        ]
        if not rows:
            return []
        statement = insert(Image).returning(Image.id, sort_by_parameter_order=True)
        return list(self._session.scalars(statement, rows))

    def set_facts(self, image_id: int, *, class_name: str | None, group: str | None, split: Split | None) -> None:
        """Fill in class, group and split of a registered image."""
        class_id = self.class_ids([class_name])[class_name] if class_name is not None else None
        values = {"class_id": class_id, "group_key": group, "split": split}
        self._session.execute(update(Image).where(Image.id == image_id).values(**values))

    def move(self, image_id: int, new: NewImage) -> None:
        """Note that the file of an image lies elsewhere now; its content is the same."""
        uri = self._paths.uri_from_path(new.path)
        self._session.execute(update(Image).where(Image.id == image_id).values(uri=uri))

    def set_splits(self, splits: dict[int, Split]) -> None:
        """Assign splits to images that are not in test.

        Raises:
            InvalidArgument: one of them is in test, which nothing ever leaves.
        """
        for split in Split:
            ids = [image_id for image_id, value in splits.items() if value is split]
            for start in range(0, len(ids), CHUNK):
                chunk = ids[start : start + CHUNK]
                frozen = self._session.scalar(
                    select(func.count()).where(Image.id.in_(chunk), Image.split == Split.TEST)
                )
                if frozen and split is not Split.TEST:
                    raise InvalidArgument("an image never leaves the test split")
                self._session.execute(update(Image).where(Image.id.in_(chunk)).values(split=split))

    def named(self, path: Path) -> Path:
        """Return a path as records give it: below the project folder or absolute, without `..`."""
        return self._paths.path_from_uri(self._paths.uri_from_path(path))

    def find(self, paths_and_hashes: Sequence[NewImage]) -> list[ImageRecord]:
        """Return the registered images at these paths or with these contents."""
        found: dict[int, ImageRecord] = {}
        for start in range(0, len(paths_and_hashes), CHUNK):
            chunk = paths_and_hashes[start : start + CHUNK]
            uris = [self._paths.uri_from_path(item.path) for item in chunk]
            hashes = [item.content_hash for item in chunk]
            for record in self._select(or_(Image.uri.in_(uris), Image.content_hash.in_(hashes))):
                found[record.id] = record
        return list(found.values())

    def select(
        self,
        *,
        splits: Iterable[Split | None] | None = None,
        supervision: Supervision | None = None,
        ids: Iterable[int] | None = None,
    ) -> list[ImageRecord]:
        """Return images in order of id, each with the label that holds.

        Args:
            splits: only these splits (None stands for images without one); None for all.
            supervision: only images with this supervision.
            ids: only these images.
        """
        conditions: list[ColumnElement[bool]] = []
        if splits is not None:
            wanted = list(splits)
            in_named = Image.split.in_([split for split in wanted if split is not None])
            conditions.append(or_(in_named, Image.split.is_(None)) if None in wanted else in_named)
        if supervision is not None:
            conditions.append(_supervision_is(supervision))
        if ids is None:
            return self._select(*conditions)
        wanted_ids = sorted(set(ids))
        records: list[ImageRecord] = []
        for start in range(0, len(wanted_ids), CHUNK):
            records += self._select(*conditions, Image.id.in_(wanted_ids[start : start + CHUNK]))
        return records

    def get(self, image_id: int) -> ImageRecord:
        """Return one image.

        Raises:
            NotFound: there is no such image.
        """
        records = self._select(Image.id == image_id)
        if not records:
            raise NotFound(f"there is no image {image_id} in the registry")
        return records[0]

    def _select(self, *conditions: ColumnElement[bool]) -> list[ImageRecord]:
        statement = _select_images().where(*conditions).order_by(Image.id)
        rows = self._session.execute(statement).all()
        boxes = list_boxes(self._session, [label.id for _, _, label in rows if label is not None])
        return [
            ImageRecord(
                id=image.id,
                path=self._paths.path_from_uri(image.uri),
                content_hash=image.content_hash,
                width=image.width,
                height=image.height,
                class_name=class_name,
                group=image.group_key,
                split=Split(image.split) if image.split else None,
                label=label_from_row(label, boxes.get(label.id, ())) if label is not None else None,
            )
            for image, class_name, label in rows
        ]

    def status(self) -> RegistryStatus:
        """Count images by supervision, location, class and split, proposals by outcome, and runs."""
        session = self._session
        label = aliased(LocationLabel)
        statement = (
            select(Image.class_id.is_(None).label("unlabeled"), label.status, func.count())
            .select_from(Image)
            .outerjoin(label, and_(label.image_id == Image.id, _is_current(label)))
            .group_by("unlabeled", label.status)
        )
        images = {"total": 0, "fully": 0, "partly": 0, "unlabeled": 0}
        locations = {"present": 0, "confirmed_empty": 0, "unknown": 0}
        for unlabeled, status, count in session.execute(statement):
            images["total"] += count
            known = status in (LocationStatus.PRESENT, LocationStatus.EMPTY)
            images["unlabeled" if unlabeled else "fully" if known else "partly"] += count
            key = "confirmed_empty" if status == LocationStatus.EMPTY else status if known else "unknown"
            locations[key] += count
        by_class = select(ImageClass.name, func.count(Image.id)).outerjoin(Image).group_by(ImageClass.name)
        by_split = select(Image.split, func.count()).where(Image.split.is_not(None)).group_by(Image.split)
        splits = dict.fromkeys((str(split) for split in Split), 0)
        splits.update({name: count for name, count in session.execute(by_split) if name})
        return RegistryStatus(
            images=images,
            locations=locations,
            classes={row[0]: row[1] for row in session.execute(by_class.order_by(ImageClass.name))},
            splits=splits,
            proposals=self._count_proposals(),
            runs={"total": session.scalar(select(func.count()).select_from(Run)) or 0},
        )

    def _count_proposals(self) -> dict[str, int]:
        counts = {"pending": 0, "accepted": 0, "edited": 0, "rejected": 0}
        counts["pending"] = self._session.scalar(select(func.count()).select_from(Proposal).where(is_pending())) or 0
        newest = aliased(Review)
        latest = ~exists().where(newest.proposal_id == Review.proposal_id, newest.id > Review.id)
        statement = (
            select(Review.outcome, func.count()).where(Review.proposal_id.is_not(None), latest).group_by(Review.outcome)
        )
        for outcome, count in self._session.execute(statement):
            # A reviewer who replaced a proposal by something else has rejected it.
            counts[outcome if outcome in counts else "rejected"] += count
        return counts


def is_pending() -> ColumnElement[bool]:
    """Say of a proposal: not reviewed, its image still without a known location, no newer run's proposal."""
    newer, label = aliased(Proposal), aliased(LocationLabel)
    return and_(
        ~exists().where(Review.proposal_id == Proposal.id),
        ~exists().where(newer.image_id == Proposal.image_id, newer.run_id > Proposal.run_id),
        ~exists().where(
            label.image_id == Proposal.image_id, label.status != LocationStatus.UNKNOWN, _is_current(label)
        ),
    )


def _is_current(label: type[LocationLabel]) -> ColumnElement[bool]:
    newer = aliased(LocationLabel)
    return ~exists().where(newer.image_id == label.image_id, newer.revision > label.revision)


def _supervision_is(supervision: Supervision) -> ColumnElement[bool]:
    if supervision is Supervision.UNLABELED:
        return Image.class_id.is_(None)
    known = and_(LocationLabel.id.is_not(None), LocationLabel.status != LocationStatus.UNKNOWN)
    return and_(Image.class_id.is_not(None), known if supervision is Supervision.FULLY else ~known)


def _select_images() -> Any:
    return (
        select(Image, ImageClass.name, LocationLabel)
        .outerjoin(ImageClass, ImageClass.id == Image.class_id)
        .outerjoin(LocationLabel, and_(LocationLabel.image_id == Image.id, _is_current(LocationLabel)))
    )
