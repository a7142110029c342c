"""The tables of snapshots and retractions. Private to db."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, UtcDateTime, now


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
