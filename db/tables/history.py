"""Snapshots that can be read again, labels that were taken back, and operations that can be undone."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String, Text, false
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


class Operation(Base):
    """An import, a pull, a split or a change by hand, which can be undone as a whole; an undoing is one itself."""

    __tablename__ = "operations"
    __table_args__ = (CheckConstraint("kind IN ('import', 'pull', 'split', 'remove', 'set', 'undo')", name="kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    detail: Mapped[str] = mapped_column(Text)
    """What was done, in words."""
    author: Mapped[str] = mapped_column(Text)
    undoes_id: Mapped[int | None] = mapped_column(ForeignKey("operations.id", ondelete="RESTRICT"))
    retraction_id: Mapped[int | None] = mapped_column(ForeignKey("retractions.id", ondelete="RESTRICT"))
    """The retraction by which an undoing took labels back, or the undoing of that."""
    undone: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class RegistryIdentity(Base):
    """What tells this registry from every other; a copy of it is the same registry. One row, written when needed."""

    __tablename__ = "registry_identity"
    __table_args__ = (CheckConstraint("one = 1", name="one"),)

    one: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    identity: Mapped[str] = mapped_column(String(36))
