"""Location labels with their boxes and masks, and classes that reviewers stated: append-only.

Each location label is a new revision of its image.
"""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, UtcDateTime, now


class Mask(Base):
    """A mask, stored once per content as a 1-bit PNG."""

    __tablename__ = "masks"

    hash: Mapped[str] = mapped_column(String(80), primary_key=True)
    png: Mapped[bytes] = mapped_column(LargeBinary)


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
    operation_id: Mapped[int | None]
    """The import or pull that stored it."""
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


class ClassLabel(Base):
    """A class that a reviewer stated for an image; the image's row says which class holds."""

    __tablename__ = "class_labels"
    __table_args__ = (
        CheckConstraint("source IN ('accepted', 'chosen', 'withdrawn')", name="source"),
        CheckConstraint("source <> 'accepted' OR run_id IS NOT NULL", name="run"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"), index=True)
    class_id: Mapped[int] = mapped_column(ForeignKey("classes.id", ondelete="RESTRICT"))
    source: Mapped[str] = mapped_column(String(16))
    """Accepted as a run proposed it, chosen by the reviewer, or withdrawn: its annotation was deleted."""
    reviewer: Mapped[str] = mapped_column(Text)
    review_id: Mapped[int] = mapped_column(ForeignKey("reviews.id", ondelete="RESTRICT"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    operation_id: Mapped[int | None]
    """The pull that stored it."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
