"""The typed ORM classes, private to db (those of what passes to and from Label Studio are in sync_tables).

Three facts about a location are kept apart by the schema itself: an image without a current label (unknown), a label
with status `empty`, and a label with status `present`, which alone may own boxes and a mask. Labels, proposals and
reviews are append-only: triggers in the migration refuse UPDATE and DELETE, and a new label takes the next `revision`
of its image, so that two writers can never both replace the same one.

What no program may forget is done by triggers too (db/migrations/triggers.py): an image points at the label that
holds, every change of an image leaves a row in image_versions, and the test split is frozen.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, UtcDateTime, now
from db.tables.sync import CatchReview, CatchTrial, Connection, LabelStudioTask, Review, Sync, SyncStep

__all__ = [
    "APPEND_ONLY",
    "Base",
    "CatchReview",
    "CatchTrial",
    "Connection",
    "Fingerprint",
    "Image",
    "ImageClass",
    "ImageVersion",
    "LabelStudioTask",
    "LocationBox",
    "LocationLabel",
    "Mask",
    "NearDuplicate",
    "Proposal",
    "ProposalBox",
    "RetractedLabel",
    "Retraction",
    "Review",
    "Run",
    "Snapshot",
    "Sync",
    "SyncStep",
    "Thumbnail",
    "now",
]


class ImageClass(Base):
    """A class that images can have."""

    __tablename__ = "classes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)


class Image(Base):
    """One image: where it is, what it contains byte for byte, its upright size, class, group and split."""

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("width > 0 AND height > 0", name="size"),
        CheckConstraint("split IN ('train', 'val', 'test')", name="split"),
        # Covers everything that `partly status` counts.
        Index(None, "split", "class_id", "location_status"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uri: Mapped[str] = mapped_column(Text, unique=True)
    """Relative to the project folder where the file lies below it, absolute otherwise; an fsspec URI if remote."""
    content_hash: Mapped[str] = mapped_column(String(80), index=True)
    width: Mapped[int]
    height: Mapped[int]
    class_id: Mapped[int | None] = mapped_column(ForeignKey("classes.id", ondelete="RESTRICT"))
    group_key: Mapped[str | None] = mapped_column(Text, index=True)
    split: Mapped[str | None] = mapped_column(String(8))
    label_id: Mapped[int | None]
    """The location label that holds. Kept by a trigger, like the status beside it."""
    location_status: Mapped[str] = mapped_column(String(16), default="unknown", server_default="unknown")
    origin: Mapped[str | None] = mapped_column(Text)
    """Who or what wrote this row last, in words."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ImageVersion(Base):
    """What an image's row said after each change; written by triggers alone."""

    __tablename__ = "image_versions"
    __table_args__ = (Index(None, "image_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"))
    uri: Mapped[str] = mapped_column(Text)
    class_id: Mapped[int | None] = mapped_column(ForeignKey("classes.id", ondelete="RESTRICT"))
    group_key: Mapped[str | None] = mapped_column(Text)
    split: Mapped[str | None] = mapped_column(String(8))
    label_id: Mapped[int | None]
    origin: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Snapshot(Base):
    """A state of the registry: everything up to `position` in image_versions, under the hash of what it says."""

    __tablename__ = "snapshots"

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(String(80), unique=True)
    position: Mapped[int]
    num_images: Mapped[int]
    state: Mapped[bytes] = mapped_column(LargeBinary)
    """The running sum that the hash is made of, so that the next snapshot costs only what has changed."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Fingerprint(Base):
    """What near-duplicates are found by."""

    __tablename__ = "fingerprints"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    compared: Mapped[bool] = mapped_column(index=True)
    """Compared with every image registered before it."""


class Thumbnail(Base):
    """32 x 32 grey values of an image, which decide whether two are near-duplicates."""

    __tablename__ = "thumbnails"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    pixels: Mapped[bytes] = mapped_column(LargeBinary)


class NearDuplicate(Base):
    """Two images that show the same."""

    __tablename__ = "near_duplicates"
    __table_args__ = (CheckConstraint("first_id < second_id", name="order"),)

    first_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    second_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False, index=True
    )
    correlation: Mapped[float]


class Mask(Base):
    """A mask, stored once per content as a 1-bit PNG."""

    __tablename__ = "masks"

    hash: Mapped[str] = mapped_column(String(80), primary_key=True)
    png: Mapped[bytes] = mapped_column(LargeBinary)


class Run(Base):
    """One training, the data it saw and what came out."""

    __tablename__ = "runs"
    __table_args__ = (CheckConstraint("status IN ('running', 'finished', 'failed')", name="status"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    preset: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    snapshot: Mapped[str] = mapped_column(String(80))
    checkpoint: Mapped[str | None] = mapped_column(Text)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Proposal(Base):
    """A location that a run suggests; it never becomes a label without a review."""

    __tablename__ = "proposals"
    __table_args__ = (
        UniqueConstraint("run_id", "image_id"),
        CheckConstraint("score >= 0 AND score <= 1", name="score"),
        CheckConstraint("class_probability >= 0 AND class_probability <= 1", name="class_probability"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"), index=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    class_id: Mapped[int] = mapped_column(ForeignKey("classes.id", ondelete="RESTRICT"))
    class_probability: Mapped[float]
    score: Mapped[float] = mapped_column(index=True)
    tau: Mapped[float]
    gate: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ProposalBox(Base):
    """One box of a proposal."""

    __tablename__ = "proposal_boxes"
    __table_args__ = (CheckConstraint("width > 0 AND height > 0", name="size"),)

    proposal_id: Mapped[int] = mapped_column(
        ForeignKey("proposals.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]


class Retraction(Base):
    """Labels taken back together, or (with `undoes_id`) a retraction that is itself taken back."""

    __tablename__ = "retractions"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"), index=True)
    reviewer: Mapped[str | None] = mapped_column(Text)
    since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undoes_id: Mapped[int | None] = mapped_column(ForeignKey("retractions.id", ondelete="RESTRICT"), unique=True)
    author: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class RetractedLabel(Base):
    """One label that a retraction takes back."""

    __tablename__ = "retracted_labels"

    retraction_id: Mapped[int] = mapped_column(
        ForeignKey("retractions.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    label_id: Mapped[int] = mapped_column(
        ForeignKey("location_labels.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False, index=True
    )


class LocationLabel(Base):
    """A statement about where something is in an image. The highest revision of an image holds."""

    __tablename__ = "location_labels"
    __table_args__ = (
        UniqueConstraint("image_id", "revision"),
        UniqueConstraint("id", "status"),
        CheckConstraint("revision > 0", name="revision"),
        CheckConstraint("status IN ('present', 'empty', 'unknown')", name="status"),
        CheckConstraint("source IN ('imported', 'drawn', 'accepted', 'edited', 'withdrawn')", name="source"),
        CheckConstraint("(status = 'present') = (num_boxes > 0)", name="boxes"),
        CheckConstraint("status = 'present' OR mask_hash IS NULL", name="mask"),
        CheckConstraint("(status = 'unknown') = (source = 'withdrawn')", name="withdrawn"),
        CheckConstraint("source = 'imported' OR review_id IS NOT NULL OR retraction_id IS NOT NULL", name="review"),
        CheckConstraint("source NOT IN ('accepted', 'edited') OR run_id IS NOT NULL", name="run"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"))
    revision: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    num_boxes: Mapped[int]
    mask_hash: Mapped[str | None] = mapped_column(ForeignKey("masks.hash", ondelete="RESTRICT"))
    source: Mapped[str] = mapped_column(String(16))
    reviewer: Mapped[str | None] = mapped_column(Text)
    review_id: Mapped[int | None] = mapped_column(ForeignKey("reviews.id", ondelete="RESTRICT"), index=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"), index=True)
    retraction_id: Mapped[int | None] = mapped_column(ForeignKey("retractions.id", ondelete="RESTRICT"))
    """The retraction (or its undoing) that wrote this label."""
    restores_id: Mapped[int | None] = mapped_column(ForeignKey("location_labels.id", ondelete="RESTRICT"))
    """The earlier label that this one repeats, since a retraction made it hold again."""
    on_test: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Said about a test image on purpose; without it a trigger refuses."""
    origin: Mapped[str | None] = mapped_column(Text)
    """What said it, in words: the import of a file, the pull from a server."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class LocationBox(Base):
    """One box of a present location. The composite key makes boxes on any other status impossible."""

    __tablename__ = "location_boxes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["label_id", "label_status"],
            ["location_labels.id", "location_labels.status"],
            ondelete="RESTRICT",
        ),
        CheckConstraint("label_status = 'present'", name="present"),
        CheckConstraint("width > 0 AND height > 0", name="size"),
    )

    label_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label_status: Mapped[str] = mapped_column(String(16), default="present")
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]


APPEND_ONLY = frozenset(
    {"location_labels", "location_boxes", "masks", "proposals", "proposal_boxes", "reviews", "image_versions"}
    | {"snapshots", "retractions", "retracted_labels", "catch_trials", "catch_reviews"}
)
"""Tables whose rows are never changed or deleted; the migrations carry triggers that refuse it."""
