"""Images, their versions, and how they look."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, UtcDateTime, now


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
        Index(None, "split", "class_id", "location_status", "removed"),
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
    removed: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Taken out of the data set; kept for the history and for snapshots from before."""
    operation_id: Mapped[int | None]
    """The operation that changed this row last, where it was one that can be undone."""
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
    removed: Mapped[bool] = mapped_column(default=False, server_default=false())
    operation_id: Mapped[int | None]
    origin: Mapped[str | None] = mapped_column(Text)
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
